"""Checks of a model against what SciPy says about it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons.target.path import as_path


def _all_of(values):
    return jnp.concatenate([jnp.ravel(value) for value in values.values()])


@pytest.fixture
def check_split():
    """Compare log gamma_0, V and the maps with SciPy's numbers at constrained `values`.

    `free` takes as many free numbers out of the constrained values as there are coordinates;
    log|det J| is that of the map from x to them, by automatic differentiation.
    """

    def check(precision, model, values, log_prior, log_likelihood, free=_all_of):
        path = as_path(model)

        def numbers(x):
            constrained = path.constrain(x)
            return free({site: constrained[site] for site in values})

        @jax.jit
        def everything(values):
            x = path.unconstrain(values)
            both = path.log_reference(x), path.v(x)
            rows = path.log_likelihood(x)
            return x, both, path.log_pair(x), rows, path.constrain(x), jax.jacfwd(numbers)(x)

        x, both, pair, rows, back, jacobian = everything(values)
        rtol = 1e-9 if precision == np.float64 else 1e-4
        near = {"rtol": rtol, "atol": rtol}
        log_det = np.linalg.slogdet(np.asarray(jacobian, float))[1]
        assert {x.dtype, path.dtype, both[0].dtype, both[1].dtype} == {precision}
        np.testing.assert_allclose(both[0], log_prior + log_det, **near)
        np.testing.assert_allclose(both[1], log_likelihood, **near)
        np.testing.assert_allclose(pair, both, **near)
        np.testing.assert_allclose(sum(jnp.sum(row) for row in rows.values()), both[1], **near)
        for site, value in values.items():
            np.testing.assert_allclose(back[site], value, rtol=10 * rtol, atol=10 * rtol)

    return check


@pytest.fixture
def check_gradients():
    """Compare the gradients with central differences; they are finite even where V is not."""

    def check(model, values):
        path = as_path(model)
        x = jax.jit(path.unconstrain)(values)
        step = 1e-6
        ends = x + step * jnp.concatenate([jnp.eye(x.size), -jnp.eye(x.size)])
        pair = lambda x: jnp.stack(path.log_pair(x))  # noqa: E731
        gradients, at_ends = jax.jit(lambda: (jax.jacrev(pair)(x), jax.vmap(pair)(ends)))()
        assert np.isfinite(gradients).all()
        slopes = (at_ends[: x.size] - at_ends[x.size :]).T / (2 * step)
        known = np.isfinite(slopes)
        np.testing.assert_allclose(gradients[known], slopes[known], rtol=1e-5, atol=1e-6)

    return check
