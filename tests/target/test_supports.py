"""Tests that densities ask for the support, and gradients do not, where that changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import potential_energy

from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate
from numpygeons.target.rewriting.program import rewritten
from numpygeons.target.rewriting.supports import past_supports
from numpygeons.xla.jaxprs import inlined, needed
from support.rewritten_functions import named, rewritten_function

X = jnp.array([0.3, 1.2, -0.7])  # of which the last lies outside
INSIDE = jnp.array([0.3, 1.2, 0.7])


def supported(x, term):
    return jnp.where(x > 0, term, -jnp.inf)


def summed(x):
    return jnp.sum(supported(x, -(x**2)))


def of_two_sites(x):
    prior = supported(x[:2], -x[:2])
    return (prior.reshape(2, 1) - 0.5).sum() + supported(x[2], 3 * x[2])


def in_a_plate(x):
    masked = jnp.where(jnp.array([True, False, True]), supported(x, -(x**2)), 0.0)
    return jnp.sum(masked)


def between_two_bounds(x):
    return jnp.sum(jnp.where(x < 9, supported(x, -(x**2)), -jnp.inf))


def jitted(x):
    return jax.jit(lambda x: jnp.sum(supported(x, jnp.sin(x))))(x)


HANDED_ON = [summed, of_two_sites, in_a_plate, between_two_bounds, jitted]


def in_a_mixture(x):
    return jnp.sum(jnp.logaddexp(supported(x, jnp.log(x)), -(x**2)))


def exponentiated(x):
    return jnp.sum(jnp.exp(supported(x, -x)))


def used_twice(x):
    term = supported(x, -x)
    return jnp.sum(term) + jnp.exp(term[0])


def subtracted(x):
    return -jnp.sum(x**2) - jnp.sum(supported(x, x))


def of_zero(x):
    return jnp.sum(jnp.where(x > 0, -x, 0.0))


def in_a_branch(x):
    return jax.lax.cond(x[0] > 0, summed, jnp.sum, x)


LEFT_ALONE = [in_a_mixture, exponentiated, used_twice, subtracted, of_zero, in_a_branch]


def past(function):
    return rewritten_function(function, X, past_supports)


@pytest.mark.parametrize("function", HANDED_ON, ids=named)
def test_values_stay_the_same_everywhere(function):
    for x in (X, INSIDE, X.at[0].set(jnp.nan)):
        np.testing.assert_array_equal(past(function)(x), function(x))


def needed_by(function):
    """Names of the primitives that the results of a function need."""
    traced, _ = inlined(function, X)
    equations = traced.jaxpr.eqns
    wanted = needed(equations, traced.jaxpr.outvars)
    return {equation.primitive.name for equation in equations if id(equation) in wanted}


@pytest.mark.parametrize("function", HANDED_ON, ids=named)
def test_gradients_stay_the_same_inside_and_do_not_ask(function):
    np.testing.assert_allclose(
        jax.grad(past(function))(INSIDE), jax.grad(function)(INSIDE), rtol=1e-6
    )
    assert "gt" in needed_by(jax.grad(function))
    assert not {"gt", "lt"} & needed_by(jax.grad(past(function)))
    assert "gt" in needed_by(past(function))


def test_the_value_outside_is_minus_infinity_whatever_the_term():
    def poles(x):
        return jnp.sum(supported(x, jnp.array([1, jnp.nan, jnp.inf]) - x))

    outside = jnp.array([0.5, -1.0, -1.0])
    assert past(poles)(outside) == poles(outside) == -jnp.inf
    assert jnp.isnan(past(poles)(outside.at[1].set(1.0)))  # as it was


@pytest.mark.parametrize("function", LEFT_ALONE, ids=named)
def test_what_decides_more_than_the_whole_density_is_left_alone(function):
    traced = jax.make_jaxpr(function)(X)
    assert rewritten(traced, (past_supports,)) is traced


def of_a_lower_bound(y):
    scale = numpyro.sample("scale", dist.Gamma(2, 1))
    probabilities = numpyro.sample("probabilities", dist.Beta(2, 3).expand([2]).to_event(1))
    with numpyro.plate("observations", 3):
        numpyro.sample("y", dist.Pareto(scale, probabilities[0] + 1), obs=y)


@pytest.mark.slow
def test_a_path_asks_for_supports_in_values_alone():
    y = jnp.array([1.5, 2.5, 4.0])
    path = as_path(of_a_lower_bound, (y,))
    x = jnp.array([0.2, -2.0, 0.5])

    def potential(x):
        return potential_energy(of_a_lower_bound, (y,), {}, path.unflatten(x))

    evaluated = make_evaluate(path, with_gradients=True)(x)
    got = evaluated.grad_reference + evaluated.grad_v
    np.testing.assert_allclose(got, -jax.grad(potential)(x), rtol=1e-4)
    # 1.5 is below a scale of e.
    assert path.v(x.at[0].set(1.0)) == -jnp.inf
    assert "gt" not in needed_by(jax.grad(path.v))
    assert "gt" in needed_by(path.v)
