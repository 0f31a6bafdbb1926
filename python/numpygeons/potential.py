"""Evaluates the pair (log gamma_0, V) and its gradients at a state, with the rule for numbers.

Chain beta has log density log gamma_0 + beta V. The two gradients are kept apart, so that a swap
needs no evaluation: at any beta the gradient is their combination.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.path import Path


class State(NamedTuple):
    """A replica's state; everything that an evaluation gives travels with it."""

    x: Array  # shape (dimension,), unconstrained
    log_reference: Array  # log gamma_0(x), scalar, nats
    v: Array  # V(x), scalar, nats; -inf where the likelihood is zero or not a number
    grad_reference: Array  # shape (dimension,); (0,) for explorers without gradients
    grad_v: Array  # likewise


Evaluate = Callable[[Array], State]


def log_density(state: State, beta: Array) -> Array:
    """Log density of chain `beta` > 0 at a state, up to a constant; scalar, nats."""
    return state.log_reference + beta * state.v


def gradient(state: State, beta: Array) -> Array:
    """Gradient of `log_density`, shape (dimension,)."""
    return state.grad_reference + beta * state.grad_v


def make_evaluate(path: Path, *, with_gradients: bool) -> Evaluate:
    """The function x -> State of a path.

    A NaN in V is read as -inf: the state has likelihood zero. A gradient component that is not
    finite is read as 0, which keeps leapfrog steps reversible, since any function of x does.
    """

    def finite(g: Array) -> Array:
        return jnp.where(jnp.isfinite(g), g, jnp.zeros_like(g))

    def evaluate(x: Array) -> State:
        if with_gradients:
            log_reference, grad_reference = jax.value_and_grad(path.log_reference)(x)
            v, grad_v = jax.value_and_grad(path.log_ratio)(x)
        else:
            log_reference, v = path.log_reference(x), path.log_ratio(x)
            grad_reference = grad_v = jnp.zeros((0,), x.dtype)
        v = jnp.where(jnp.isnan(v), -jnp.inf, v)
        return State(x, log_reference, v, finite(grad_reference), finite(grad_v))

    return evaluate
