"""Takes leapfrog steps of Hamiltonian dynamics (Neal 2011, eq. 5.18-5.20)."""

from __future__ import annotations

from numpygeons.arrays import Array
from numpygeons.explorers.preconditioners import scaled, scaled_gradient
from numpygeons.target.potential import Evaluate, State, gradient


def leapfrog(
    evaluate: Evaluate,
    state: State,
    p: Array,
    beta: Array,
    step: Array,
    scale: Array,
    valued: Array | bool = True,
) -> tuple[State, Array]:
    """Take one step of size `step` in units of `scale`, at the cost of one gradient; whether
    `valued` is the evaluation's.

    The momentum p, shape (dimension,), is standard normal at rest; `scale` is the inverse square
    root of the mass: a number per coordinate, or a matrix.
    """
    p = p + 0.5 * step * scaled_gradient(scale, gradient(state, beta))
    there = evaluate(state.x + step * scaled(scale, p), valued)
    return there, p + 0.5 * step * scaled_gradient(scale, gradient(there, beta))
