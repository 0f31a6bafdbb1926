"""Tests that draws of a prior which do not wait for each other are compiled together."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from numpygeons import NumPyroPath
from numpygeons.rounds.reference_draws import batch_size, lower_reference
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate
from numpygeons.xla.jaxprs import equations
from numpygeons.xla.shared_draws import together

KEY = jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))


def smoothing():
    """Weights of exponential smoothing, scales, and a scale that waits for another."""
    weights = [numpyro.sample(f"w{i}", dist.Beta(2.0, 1.0 + i)) for i in range(3)]
    scales = [numpyro.sample(f"s{i}", dist.HalfCauchy(1.0)) for i in range(3)]
    numpyro.sample("rate", dist.Gamma(2.0 + scales[0], 1.0))
    numpyro.sample("y", dist.Normal(sum(weights), scales[0]), obs=1.0)


def two_weights():
    weights = [numpyro.sample(f"w{i}", dist.Beta(2.0, 1.0 + i)) for i in range(2)]
    numpyro.sample("y", dist.Normal(sum(weights), 1), obs=1.0)


def normal():
    x = numpyro.sample("x", dist.Normal(0, 1).expand([3]).to_event(1))
    numpyro.sample("y", dist.Normal(x.sum(), 1), obs=1.0)


def path_of(model):
    return as_path(NumPyroPath(model), (), None)


def n_draws(function, kind):
    return sum(e.primitive.name == kind for e in equations(jax.make_jaxpr(function)(KEY)))


@pytest.mark.parametrize(
    ("kind", "apart", "shared"),
    [("random_gamma", 4, 0), ("while", 0, 2), ("random_bits", 3, 3), ("random_fold_in", 7, 3)],
)
def test_draws_of_one_kind_and_shape_are_one_draw(kind, apart, shared):
    """Of two kinds of gamma draws, each with bits of its own."""
    sample = path_of(smoothing).sample_reference
    assert n_draws(sample, kind) == apart
    assert n_draws(together(sample, KEY), kind) == shared


@pytest.mark.usual("normal-False")
@pytest.mark.parametrize(("model", "single"), [(two_weights, True), (normal, False)])
def test_gamma_draws_alone_are_compiled_as_one_function_and_have_the_law_of_the_model(
    model, single
):
    path = path_of(model)
    program = lower_reference(path, make_evaluate(path, with_gradients=False)).compile()
    assert program.as_one_function == single
    keys = np.repeat(np.arange(batch_size(path.dimension), dtype=np.uint32)[:, None], 2, axis=1)
    states, attempts, good, _ = program.call(keys)
    assert np.all(good)
    assert np.all(np.asarray(attempts) == 1)

    def apart(key):
        typed = jax.random.wrap_key_data(key, impl="threefry2x32")
        return path.sample_reference(jax.random.fold_in(typed, 0))

    drawn = jax.jit(jax.vmap(apart))(keys)
    for one, other in zip(np.asarray(states.x).T, np.asarray(drawn).T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-6
    if model is normal:  # no draw is another than the library's
        np.testing.assert_allclose(states.x, drawn, rtol=1e-4, atol=1e-5)


@pytest.mark.usual("False")
@pytest.mark.parametrize("log_space", [True, False])
def test_a_gamma_draw_in_the_place_of_the_librarys_has_its_parameters(log_space):
    concentrations = jnp.array([0.3, 20.0])
    draws = jax.random.loggamma if log_space else jax.random.gamma
    shared = together(lambda key: draws(key, concentrations), KEY)
    drawn = np.asarray(jax.jit(jax.vmap(shared))(jax.random.split(jax.random.key(1), 4_000)))
    values = np.exp(drawn) if log_space else drawn
    for column, a in zip(values.T, concentrations, strict=True):
        assert stats.kstest(column, stats.gamma(float(a)).cdf).pvalue > 1e-6
