"""Products are computed in the precision of the model, which accelerators give up for speed."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import Explorer, JaxTarget, NoiseShape, NumPyroPath, pigeons
from numpygeons.target.path import as_path
from numpygeons.xla.jaxprs import equations

HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
X = np.ones((20, 3), np.float32)


def model(precision=None):
    slopes = numpyro.sample("slopes", dist.Normal(0, 1).expand([3]).to_event(1))
    means = jnp.matmul(X, slopes, precision=precision)
    numpyro.sample("y", dist.Normal(means, 1), obs=jnp.zeros(20))


FUNCTIONS = JaxTarget(
    log_reference=lambda x: -0.5 * jnp.sum(x * x),
    log_target=lambda x: -0.5 * jnp.sum((X @ x) ** 2),
    sample_reference=lambda key: jax.random.normal(key, (3,)),
)


class Multiplies(Explorer):
    """Stays, and notes the precision that its own product of matrices would have."""

    def __init__(self):
        self.seen = set()

    def noise(self, dimension):
        return NoiseShape(n_normals=dimension, n_uniforms=0)

    def explore(self, evaluate, state, beta, tuning, noise):
        self.seen |= precisions(lambda x: X @ x, state.x)
        return state, jnp.ones(1, state.x.dtype)


def precisions(function, *arguments):
    """Those of the products in a function."""
    found = equations(jax.make_jaxpr(function)(*arguments))
    return {e.params["precision"] for e in found if e.primitive.name == "dot_general"}


@pytest.mark.parametrize("target", [NumPyroPath(model), FUNCTIONS], ids=["model", "functions"])
def test_a_target_multiplies_in_full_precision(target):
    path = as_path(target)
    assert precisions(jax.value_and_grad(path.v), jnp.zeros(3)) == {HIGHEST}


def test_what_the_user_asks_for_stays():
    path = as_path(NumPyroPath(model, ("default",)))
    default = (jax.lax.Precision.DEFAULT,) * 2
    assert precisions(path.v, jnp.zeros(3)) == {default}
    with jax.default_matmul_precision("tensorfloat32"):
        path = as_path(NumPyroPath(model))
        assert HIGHEST not in precisions(path.v, jnp.zeros(3))


def test_an_explorer_multiplies_in_full_precision_and_the_caller_as_before():
    explorer = Multiplies()
    settings = {"n_chains": 2, "n_rounds": 1, "driver": "stepwise", "show_report": False}
    pigeons(model, explorer=explorer, **settings)
    assert explorer.seen == {HIGHEST}
    assert HIGHEST not in precisions(lambda x: X @ x, jnp.zeros(3))
