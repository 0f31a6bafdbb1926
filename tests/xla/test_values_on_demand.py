"""Tests that values are computed where they are asked for, and gradients everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons.xla.values_on_demand import split

X = jnp.array([0.3, -1.2, 0.7])
DATA = jnp.asarray(np.random.default_rng(1).normal(size=(40, 3)))


def regression(x):
    return -jnp.sum(jnp.log1p(jnp.exp(-jnp.abs(DATA @ x)))) - 0.5 * jnp.sum(x**2)


@jax.jit
def with_calls_inside(x):
    return jax.jit(jnp.sum)(jax.nn.softplus(jnp.where(x > 0, jnp.exp(x), x)))


def with_a_loop(x):
    def step(carry, row):
        carry = jnp.tanh(carry + row @ x)
        return carry, carry**2

    end, squares = jax.lax.scan(step, 0.0, DATA)
    return end + jnp.sum(squares)


def with_a_branch(x):
    return jax.lax.cond(x[0] > 0, lambda: jnp.sum(x**3), lambda: jnp.sum(jnp.cos(x)))


def with_a_factorisation(x):
    factor = jnp.linalg.cholesky(jnp.diag(1 + x**2) + 0.1)
    return -jnp.sum(jnp.log(jnp.diag(factor))) - jnp.sum(jnp.linalg.solve(factor, x) ** 2)


@jax.custom_jvp
def steep(x):
    return jnp.sum(jnp.abs(x))


@steep.defjvp
def _(primals, tangents):
    return steep(*primals), jnp.sum(jnp.sign(primals[0]) * tangents[0])


def constant(x):
    return jnp.asarray(2.5, x.dtype)


FUNCTIONS = [
    regression,
    with_calls_inside,
    with_a_loop,
    with_a_branch,
    with_a_factorisation,
    steep,
    constant,
]


def valued(function):
    def both(x):
        value, gradient = jax.value_and_grad(function)(x)
        return {"value": value, "again": -value}, (gradient, x)

    return both


@pytest.mark.usual("with_a_branch", "with_calls_inside", "constant", "steep")
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_both_parts_together_give_what_the_function_gives(function):
    _, always, on_demand = split(valued(function), X)

    @jax.jit
    def together(x):
        others, handed_over = always(x)
        return on_demand(x, handed_over), others

    got, expected = together(X), valued(function)(X)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
    batch = jnp.stack([X, 2 * X])
    got, expected = jax.vmap(together)(batch), jax.vmap(valued(function))(batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)


def primitives(function, *arguments):
    return [e.primitive.name for e in jax.make_jaxpr(function)(*arguments).jaxpr.eqns]


def test_the_value_s_own_work_is_left_to_the_demand():
    _, always, on_demand = split(valued(regression), X)
    before = primitives(always, X)
    after = primitives(on_demand, X, always(X)[1])
    assert "log1p" not in before
    assert "log1p" in after
    assert before.count("dot_general") == 2  # the product and its transpose
    assert "dot_general" not in after
    assert "exp" in before
    assert "exp" not in after  # dear enough to be handed over


def test_what_is_cheap_is_done_again():
    """Sine and cosine are of the same multiples."""
    _, always, on_demand = split(valued(lambda x: jnp.sum(jnp.sin(3 * (DATA @ x)))), X)
    assert primitives(on_demand, X, always(X)[1])[:2] == ["mul", "sin"]


def test_the_state_itself_is_not_handed_over():
    _, always, on_demand = split(valued(lambda x: jnp.sum(x**4)), X)
    _, handed_over = always(X)
    assert handed_over == []
    assert on_demand(X, handed_over)["value"] == pytest.approx(float(jnp.sum(X**4)), rel=1e-5)


def test_a_side_effect_happens_whether_values_are_asked_for_or_not():
    seen = []

    def loud(x):
        value = jnp.sum(x**2)
        jax.debug.callback(lambda v: seen.append(float(v)), value)
        return value

    _, always, _ = split(valued(loud), X)
    jax.block_until_ready(jax.jit(lambda x: always(x)[0])(X))
    jax.effects_barrier()
    assert seen == [pytest.approx(float(jnp.sum(X**2)))]


def test_arrays_from_outside_are_held():
    shift = jnp.arange(20.0)
    _, always, on_demand = split(lambda x: (jnp.sum(jnp.sin(shift * x[0])), x), X)
    others, handed_over = always(X)
    assert on_demand(X, handed_over) == pytest.approx(
        float(jnp.sum(jnp.sin(shift * 0.3))), rel=1e-5
    )
    np.testing.assert_array_equal(others, X)
