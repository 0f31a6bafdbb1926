"""Tests that matrices of data are stored along their longer axis, and that nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons.target.model import program as model_program
from numpygeons.target.path import JaxTarget, as_path
from numpygeons.target.rewriting.matrix_order import along_longer_axes
from numpygeons.target.rewriting.program import rewritten
from numpygeons.xla import traced as model_jaxpr
from numpygeons.xla.jaxprs import equations
from support.rewritten_functions import assert_same_values_and_gradients, named

RNG = np.random.default_rng(1)
TALL = jnp.asarray(RNG.normal(size=(40, 3)))  # a row for each observation
GROUPS = jnp.asarray(RNG.normal(size=(4, 30, 3)))
COUNTS = jnp.asarray(RNG.integers(0, 5, size=(40, 3)))
X = jnp.array([0.3, -1.2, 0.7])


def predictions(x):
    return jnp.sum(jnp.tanh(TALL @ x))


def transposed(x):
    return jnp.sum(jnp.tanh(x @ TALL.T))


def from_the_right(x):
    return jnp.sum(jnp.tanh(jnp.repeat(x, 40)[:40] @ TALL))


def standardised(x):
    z = (TALL - TALL.mean(0)) / TALL.std(0)
    return jnp.sum(jnp.tanh(z @ x))


def integers(x):
    return jnp.sum(jnp.tanh(COUNTS @ x))


def by_groups(x):
    return jnp.sum(jnp.tanh(jnp.einsum("gnd,gd->gn", GROUPS, jnp.outer(jnp.arange(4.0), x))))


def groups_last(x):
    last = jnp.moveaxis(GROUPS, 0, -1)
    return jnp.sum(jnp.tanh(jnp.einsum("ndg,dg->ng", last, jnp.outer(x, jnp.arange(4.0)))))


def twice(x):
    return jnp.sum(jnp.tanh(TALL @ x) * jnp.exp(-jnp.abs(TALL @ (2 * x))))


def jitted(x):
    return jax.jit(jnp.matmul)(TALL, x).sum()


STORED = [
    predictions,
    transposed,
    from_the_right,
    standardised,
    integers,
    by_groups,
    groups_last,
    twice,
    jitted,
]


def wide(x):
    return jnp.sum(jnp.tanh(TALL.T @ jnp.repeat(x, 40)[:40]))


def of_two_matrices(x):
    return jnp.sum(jnp.tanh(TALL @ jnp.outer(x, x)))


def of_the_argument(x):
    return jnp.sum(jnp.tanh(jnp.outer(jnp.arange(10.0), x) @ x))


def in_a_loop(x):
    return jax.lax.fori_loop(0, 3, lambda _, total: total + jnp.sum(TALL @ x), 0.0)


def without_products(x):
    return jnp.sum(x**2)


LEFT_ALONE = [wide, of_two_matrices, of_the_argument, in_a_loop, without_products]


def stored_longer(traced):
    return rewritten(traced, (along_longer_axes,))


def products(traced):
    return [e for e in equations(traced.jaxpr) if e.primitive.name == "dot_general"]


@pytest.mark.parametrize("function", STORED, ids=named)
def test_the_longer_axis_of_a_matrix_comes_last(function):
    before = jax.make_jaxpr(function)(X)
    after = stored_longer(before)
    assert len(products(after)) == len(products(before)) > 0
    for product in products(after):
        *shared, shorter, longer = product.invars[1].aval.shape
        assert shorter == 3 < longer
        assert shared in ([], [4])


@pytest.mark.usual("groups_last", "transposed", "standardised", "integers")
@pytest.mark.parametrize("function", STORED, ids=named)
def test_values_and_gradients_stay_the_same(function):
    points = jnp.stack([X, -2 * X, jnp.zeros(3)])
    assert_same_values_and_gradients(function, points, along_longer_axes)


@pytest.mark.parametrize("function", LEFT_ALONE, ids=named)
def test_what_is_no_matrix_of_data_times_a_vector_is_left_alone(function):
    traced = jax.make_jaxpr(function)(X)
    assert stored_longer(traced) is traced


def test_a_matrix_used_twice_is_stored_once():
    after = stored_longer(jax.make_jaxpr(twice)(X))
    first, second = products(after)
    assert first.invars[1] is second.invars[1]


def regression(z, y):
    weights = numpyro.sample("weights", dist.Normal(0, 1).expand([3]).to_event(1))
    numpyro.sample("y", dist.Normal(z @ weights, 1), obs=y)


def target_of_functions():
    return JaxTarget(
        log_reference=lambda x: -jnp.sum(x**2) / 2,
        log_target=lambda x: -jnp.sum(x**2) / 2 - jnp.sum((TALL @ x) ** 2),
        sample_reference=lambda key: jax.random.normal(key, (3,)),
    )


@pytest.mark.parametrize("kind", ["model", "functions"])
def test_the_functions_of_a_path_read_stored_matrices(kind):
    path = (
        as_path(regression, (TALL, TALL[:, 0]))
        if kind == "model"
        else as_path(target_of_functions())
    )
    for function in (path.v, path.log_pair):
        (product,) = products(jax.make_jaxpr(function)(X))
        assert product.invars[1].aval.shape == (3, 40)
    assert not products(jax.make_jaxpr(path.log_reference)(X))


def test_draws_from_the_prior_store_no_matrix(monkeypatch):
    stored = []

    def counted(traced):
        stored.append(rewritten(traced))
        return stored[-1]

    monkeypatch.setattr(model_jaxpr, "rewritten", counted, raising=False)
    monkeypatch.setattr(model_program, "rewritten", counted, raising=False)
    as_path(regression, (TALL, TALL[:, 0]))
    assert len(stored) == 1
