"""Evaluates the pair (log gamma_0, V) and its gradients at a state, with the rule for numbers.

Chain beta has log density log gamma_0 + beta V. The two gradients are kept apart, so that a swap
needs no evaluation: at any beta the gradient is their combination.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.errors import ModelError
from numpygeons.target.model.failures import text_of
from numpygeons.target.path import TemperedPath
from numpygeons.xla.values_on_demand import Split, split


class State(NamedTuple):
    """A replica's state; everything that an evaluation gives travels with it."""

    x: Array  # shape (dimension,), unconstrained
    log_reference: Array  # log gamma_0(x), scalar, nats
    v: Array  # V(x), scalar, nats; -inf where the likelihood is zero or not a number
    grad_reference: Array  # shape (dimension,); (0,) for explorers without gradients
    grad_v: Array  # likewise


Replicas = State  # with a leading axis of replicas on every field


class Evaluate(Protocol):
    """The function x -> State of a path."""

    def __call__(self, x: Array, valued: Array | bool = True) -> State:
        """Return the state at x, shape (dimension,), at the cost of one gradient.

        Where `valued`, which may be traced, is false, log gamma_0 and V are NaN and cost nothing:
        all that a step in mid-trajectory needs is the gradients.
        """
        ...


def log_density(state: State, beta: Array) -> Array:
    """Return the log density of chain `beta` > 0 at a state, up to a constant; scalar, nats."""
    return state.log_reference + beta * state.v


def gradient(state: State, beta: Array) -> Array:
    """Return the gradient of `log_density`, shape (dimension,)."""
    return state.grad_reference + beta * state.grad_v


def gradients_at(evaluate: Evaluate, x: Array) -> tuple[State, list[Array]]:
    """Return the state at x, whose log gamma_0 and V may be NaN, and what `with_values` needs for
    them.

    An `evaluate` that does not come in two parts, as one of a user's, evaluates all at once.
    """
    if isinstance(evaluate, _Evaluation):
        return evaluate.gradients(x)
    return evaluate(x), []


def with_values(evaluate: Evaluate, state: State, handed_over: list[Array]) -> State:
    """Return a state of `gradients_at`, with log gamma_0 and V."""
    return evaluate.values(state, handed_over) if isinstance(evaluate, _Evaluation) else state


def make_evaluate(path: TemperedPath, *, with_gradients: bool) -> Evaluate:
    """Return the function x -> State of a path.

    A NaN in V is read as -inf: the state has likelihood zero. A gradient component that is not
    finite is read as 0, which keeps leapfrog steps reversible, since any function of x does.
    """
    return _Evaluation(_pair_with_gradients(path, with_gradients))


def _pair_with_gradients(path: TemperedPath, with_gradients: bool) -> Callable[[Array], Any]:
    def finite(g: Array) -> Array:
        # g - g is zero for finite numbers alone; `isfinite` takes twice the instructions.
        return jnp.where(g - g == 0, g, jnp.zeros_like(g))

    def evaluate_all(x: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        if with_gradients:
            log_reference, grad_reference = _with_gradient("prior", path.log_reference, x)
            v, grad_v = _with_gradient("likelihood", path.v, x)
        else:
            log_reference, v = path.log_reference(x), path.v(x)
            grad_reference = grad_v = jnp.zeros((0,), x.dtype)
        return (log_reference, v), (finite(grad_reference), finite(grad_v))

    return evaluate_all


def _with_gradient(what: str, function: Callable[[Array], Array], x: Array) -> Any:
    """Return the function's value and gradient at x.

    Raises
    ------
    ModelError
        Where JAX cannot differentiate it; it has been traced without before.
    """
    try:
        return jax.value_and_grad(function)(x)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ModelError(
            f"the log {what} has no gradient that JAX can compute, and the explorer needs it: "
            f"{text_of(error)}; use an explorer without gradients, SliceSampler() or AutoRWMH(), "
            "or give what fails a derivative by jax.custom_jvp"
        ) from error


def raw_state(evaluate: Evaluate, x: Array) -> State:
    """Return the state at x, whose V is NaN where the model says so: for who counts them."""
    return evaluate.raw(x) if isinstance(evaluate, _Evaluation) else evaluate(x)


def read_v(v: Any, numpy: Any = jnp) -> Any:
    """V as it counts: a NaN as -inf. `numpy`: the module that computes, np for arrays in memory."""
    return numpy.where(numpy.isnan(v), -numpy.inf, v)


class _Evaluation:
    """An `Evaluate` in two parts, from the function x -> (values, gradients)."""

    def __init__(self, function: Callable[[Array], Any]) -> None:
        self._function = function
        self._splits: dict[Any, Split] = {}

    def __call__(self, x: Array, valued: Array | bool = True) -> State:
        if valued is True:
            state = self.raw(x)
            return state._replace(v=read_v(state.v))
        state, handed_over = self.gradients(x)

        def both(state: State) -> tuple[Array, Array]:
            return state.log_reference, state.v

        log_reference, v = jax.lax.cond(
            valued, lambda: both(self.values(state, handed_over)), lambda: both(state)
        )
        return state._replace(log_reference=log_reference, v=v)

    def raw(self, x: Array) -> State:
        values, gradients = self._split(x).whole(x)
        return State(x, *values, *gradients)

    def gradients(self, x: Array) -> tuple[State, list[Array]]:
        gradients, handed_over = self._split(x).always(x)
        unknown = jnp.full((), jnp.nan, x.dtype)
        return State(x, unknown, unknown, *gradients), handed_over

    def values(self, state: State, handed_over: list[Array]) -> State:
        log_reference, v = self._split(state.x).on_demand(state.x, handed_over)
        return state._replace(log_reference=log_reference, v=read_v(v))

    def _split(self, x: Array) -> Split:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        if shape not in self._splits:
            self._splits[shape] = split(self._function, shape)
        return self._splits[shape]
