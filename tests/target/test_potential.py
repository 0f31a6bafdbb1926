"""The evaluation of a state: the pair (log gamma_0, V), its gradients, the rule for numbers."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons.target.potential import (
    gradient,
    gradients_at,
    log_density,
    make_evaluate,
    with_values,
)

X = np.array([0.5, -1.5])


def evaluated(v, x=X, *, with_gradients=True):
    path = SimpleNamespace(log_reference=lambda x: -0.5 * jnp.sum(x**2) + x[0], v=v)
    with jax.enable_x64(True):
        state = jax.jit(make_evaluate(path, with_gradients=with_gradients))(x)
    return jax.tree.map(np.asarray, state)


def test_gradients_of_reference_and_ratio_are_kept_apart_and_combine_at_any_beta():
    state = evaluated(lambda x: jnp.sin(x[0]) * x[1])
    np.testing.assert_array_equal(state.x, X)
    assert state.log_reference == pytest.approx(-1.25 + 0.5)
    assert state.v == pytest.approx(-1.5 * np.sin(0.5))
    np.testing.assert_allclose(state.grad_reference, [0.5, 1.5], rtol=1e-14)
    slope = np.array([-1.5 * np.cos(0.5), np.sin(0.5)])
    np.testing.assert_allclose(state.grad_v, slope, rtol=1e-14)
    for beta in (0.25, 1.0):
        np.testing.assert_allclose(gradient(state, beta), [0.5, 1.5] + beta * slope, rtol=1e-14)
        assert log_density(state, beta) == pytest.approx(-0.75 + beta * state.v)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_likelihood_that_is_not_a_number_is_zero(value):
    state = evaluated(lambda x: jnp.where(x[1] > 0, 0.0, value) + 0 * x[0])
    assert np.isneginf(state.v)
    assert np.isneginf(log_density(state, 0.5))
    assert np.all(np.isfinite(state.grad_v))


def test_an_infinite_ratio_is_left_to_be_seen():
    assert evaluated(lambda x: jnp.where(x[1] > 0, 0.0, jnp.inf)).v == np.inf


def test_gradient_components_that_are_not_finite_are_zero_and_the_others_stay():
    state = evaluated(lambda x: jnp.sqrt(jnp.abs(x[0])) + 3 * x[1], np.array([0.0, 2.0]))
    assert state.v == 6
    np.testing.assert_array_equal(state.grad_v, [0, 3])


def test_an_explorer_without_gradients_carries_none():
    state = evaluated(lambda x: x[1], with_gradients=False)
    assert state.grad_v.shape == state.grad_reference.shape == (0,)
    assert state.v == -1.5


def test_values_are_left_out_where_nobody_asks_for_them():
    path = SimpleNamespace(
        log_reference=lambda x: -0.5 * jnp.sum(x**2), v=lambda x: jnp.log(x[0] ** 2 + 1)
    )
    evaluate = jax.jit(make_evaluate(path, with_gradients=True))
    x = jnp.asarray(X)
    whole, asked, not_asked = evaluate(x), evaluate(x, True), evaluate(x, False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), whole, asked)
    assert np.isnan(not_asked.log_reference)
    assert np.isnan(not_asked.v)
    for name in ("x", "grad_reference", "grad_v"):
        np.testing.assert_array_equal(getattr(asked, name), getattr(not_asked, name))


@pytest.mark.parametrize("in_two_parts", [True, False], ids=["ours", "a function"])
def test_gradients_and_then_values_are_the_whole(in_two_parts):
    path = SimpleNamespace(
        log_reference=lambda x: -0.5 * jnp.sum(x**2),
        v=lambda x: jnp.log(x[0]) + jnp.sqrt(jnp.abs(x[1])),
    )
    whole = make_evaluate(path, with_gradients=True)
    evaluate = whole if in_two_parts else lambda x: whole(x)
    x = jnp.array([[0.5, 0.0], [-1.0, 2.0], [2.0, -3.0]])  # a gradient and a value without number

    def in_two(x):
        state, handed_over = gradients_at(evaluate, x)
        return state, with_values(evaluate, state, handed_over)

    states, filled = jax.jit(jax.vmap(in_two))(x)
    if in_two_parts:
        assert np.all(np.isnan(states.v))
        assert np.all(np.isnan(states.log_reference))
    wanted = jax.jit(jax.vmap(whole))(x)
    assert np.isneginf(wanted.v[1])
    assert wanted.grad_v[0, 1] == 0
    for name, value in wanted._asdict().items():
        np.testing.assert_allclose(getattr(filled, name), value, rtol=1e-6, err_msg=name)


def test_a_path_is_traced_once():
    traced = []
    path = SimpleNamespace(
        log_reference=lambda x: traced.append(1) or -0.5 * jnp.sum(x**2),
        v=lambda x: jnp.sum(jnp.cos(x)),
    )
    evaluate = make_evaluate(path, with_gradients=True)
    x = jnp.asarray(X)
    for _ in range(2):
        jax.make_jaxpr(lambda x: with_values(evaluate, *gradients_at(evaluate, x)))(x)
        jax.make_jaxpr(evaluate)(x)
    assert len(traced) == 1
