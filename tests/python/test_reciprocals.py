"""Tests that what is divided by a shared number is multiplied by its reciprocal, once."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.extend.core import jaxpr_as_fun

from numpygeons.jaxprs import equations
from numpygeons.path import as_path
from numpygeons.rewriting.program import rewritten
from numpygeons.rewriting.reciprocals import by_reciprocals
from rewritten_functions import assert_same_values_and_gradients, named

GROUPS = jnp.array([0, 1, 1, 0, 2, 2, 1])
DATA = jnp.array([0.3, -1.2, 0.7, 2.0, -0.4, 1.1, 0.9])
X = jnp.array([0.3, -0.2, 0.7])


def one_scale(x):
    return jnp.sum(((DATA - x[0]) / jnp.exp(x[1])) ** 2)


def scales_of_rows(x):
    return jnp.sum(jnp.tanh(jnp.outer(x, DATA) / jnp.exp(x)[:, None]))


def scales_of_groups(x):
    return jnp.sum(((DATA - x[0]) / jnp.exp(x)[GROUPS]) ** 2)


def over_many(x):
    return jnp.sum(1 / jnp.broadcast_to(jnp.exp(x[1]), (7,)) * DATA)


def jitted(x):
    return jnp.sum(jnp.sin(jax.jit(lambda a, b: a / b)(DATA, x[2])))


REPLACED = [one_scale, scales_of_rows, scales_of_groups, over_many, jitted]


def by_a_constant(x):
    return jnp.sum(jnp.sin(x / 3))


def by_as_many(x):
    return jnp.sum(jnp.sin(DATA[:3] / x))


def of_one(x):
    return x[0] / x[1]


def of_integers(x):
    return jnp.sum(x * jax.lax.div(jnp.arange(3), jnp.argmax(x) + 1))


def without_quotients(x):
    return jnp.sum(x**2)


LEFT_ALONE = [by_a_constant, by_as_many, of_one, of_integers, without_quotients]


def shared_quotients(jaxpr):
    """Quotients of many floating numbers, one division for each."""
    return [e for e in equations(jaxpr) if e.primitive.name == "div" and e.outvars[0].aval.size > 3]


def with_reciprocals(function, *arguments):
    return rewritten(jax.make_jaxpr(function)(*arguments), (by_reciprocals,))


@pytest.mark.parametrize("function", REPLACED, ids=named)
def test_only_the_shared_divisor_is_divided(function):
    assert shared_quotients(jax.make_jaxpr(function)(X).jaxpr)
    after = with_reciprocals(function, X)
    assert not shared_quotients(after.jaxpr)
    gradient = jax.make_jaxpr(jax.grad(lambda x: jaxpr_as_fun(after)(x)[0]))(X)
    assert not shared_quotients(gradient.jaxpr)


@pytest.mark.parametrize("function", REPLACED, ids=named)
def test_values_and_gradients_stay_the_same(function):
    assert_same_values_and_gradients(function, jnp.stack([X, -2 * X, 3 + X]), by_reciprocals)


@pytest.mark.parametrize("function", LEFT_ALONE, ids=named)
def test_other_quotients_are_left_alone(function):
    traced = jax.make_jaxpr(function)(X)
    assert rewritten(traced, (by_reciprocals,)) is traced


def test_quotients_of_zero_and_by_zero_stay_what_they_were():
    def quotients(dividends, divisor):
        return dividends / divisor

    dividends = jnp.array([-1.0, 0.0, 2.0, jnp.inf, jnp.nan])
    after = jaxpr_as_fun(with_reciprocals(quotients, dividends, jnp.float32(1)))
    for divisor in (0.0, -0.0, jnp.inf, jnp.nan):
        np.testing.assert_array_equal(
            after(dividends, jnp.float32(divisor))[0], quotients(dividends, jnp.float32(divisor))
        )


def groups_of_normals(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1).expand([3]).to_event(1))
    numpyro.sample("y", dist.Normal(mu, sigma[GROUPS]), obs=y)


def test_the_functions_of_a_path_divide_once():
    path = as_path(groups_of_normals, (DATA,))
    x = jnp.zeros(path.dimension)
    assert not shared_quotients(jax.make_jaxpr(path.log_ratio)(x).jaxpr)
    wanted = jnp.sum(dist.Normal(0.0, jnp.ones(3)[GROUPS]).log_prob(DATA))
    np.testing.assert_allclose(path.log_ratio(x), wanted, rtol=1e-5)
