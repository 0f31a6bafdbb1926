"""Leapfrog trajectories of Hamiltonian Monte Carlo: plain, and in regions after independence steps.

Both give the new state and `HMC.statistics`. The step between two momenta is the same; half steps
of the momentum that follow each other are taken as one.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.explorers.base import Noise, Proposals
from numpygeons.explorers.hmc_tuning import Mixed
from numpygeons.explorers.mixture import log_parts, log_total, region_of
from numpygeons.explorers.preconditioners import scaled, scaled_gradient
from numpygeons.target.potential import (
    Evaluate,
    State,
    gradient,
    gradients_at,
    log_density,
    with_values,
)


def leap(
    state: State, p: Array, beta: Array, step: Array, scale: Any, is_first: Array
) -> tuple[Array, Array]:
    """Return where a leapfrog step leads, and its momentum, half a step behind (Neal 2011, eq.
    5.18-5.20)."""
    share = jnp.where(is_first, 0.5, 1.0).astype(state.x.dtype)
    p = p + share * step * scaled_gradient(scale, gradient(state, beta))
    return state.x + step * scaled(scale, p), p


def gained(start: State, p0: Array, end: State, p: Array, beta: Array) -> Array:
    """Return the log of the joint density of state and momentum at the end, less that at the
    start."""
    kinetic = 0.5 * (jnp.sum(p0 * p0) - jnp.sum(p * p))
    return log_density(end, beta) - log_density(start, beta) + kinetic


def accept(log_acceptance: Array, uniform: Array, there: State, here: State) -> tuple[State, Array]:
    """Return one of two states, and the probability with which it was the first."""
    log_acceptance = jnp.where(jnp.isfinite(log_acceptance), log_acceptance, -jnp.inf)
    state = choose(jnp.log(uniform) < log_acceptance, there, here)
    return state, jnp.minimum(1, jnp.exp(log_acceptance))


def choose(condition: Array, a: State, b: State) -> State:
    """Return `a` where the condition holds."""
    return State(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))


# ------------------------------------------------------------------------------------------ plain


class Moving(NamedTuple):
    """Where a trajectory is."""

    state: State
    p: Array  # its momentum, shape (dimension,), half a step behind
    handed_over: list[Array]  # what its values need, which are still to come


def plain_walk(
    evaluate: Evaluate,
    state: State,
    beta: Array,
    step: Array,
    length: Array,
    scale: Any,
    noise: Noise,
) -> tuple[State, Array]:
    """Follow a trajectory in the chain's scale. Densities are computed at its end alone."""
    dtype = state.x.dtype

    def turn(i: Array, moving: Moving) -> Moving:
        x, p = leap(moving.state, moving.p, beta, step, scale, i == 0)
        there, handed_over = gradients_at(evaluate, x)
        return Moving(there, p, handed_over)

    shapes = jax.eval_shape(partial(gradients_at, evaluate), state.x)[1]
    nothing = [jnp.zeros(a.shape, a.dtype) for a in shapes]
    moving = jax.lax.fori_loop(0, length, turn, Moving(state, noise.normals, nothing))
    end = with_values(evaluate, moving.state, moving.handed_over)
    p = moving.p + 0.5 * step * scaled_gradient(scale, gradient(end, beta))
    log_acceptance = gained(state, noise.normals, end, p, beta)
    new, probability = accept(log_acceptance, noise.uniforms[1], end, state)
    return new, jnp.stack([probability, length.astype(dtype), jnp.zeros((), dtype)])


# ----------------------------------------------------------------------------------- with regions


class Walk(NamedTuple):
    """Where an exploration stands."""

    here: State  # the last accepted state
    moving: State  # the end of the trajectory so far
    p: Array  # its momentum, shape (dimension,), half a step behind
    last: Array  # number of the last accepted proposal, -1 before
    independent: Array  # sum of the acceptance probabilities of independence steps


def mixed_walk(
    evaluate: Evaluate, state: State, beta: Array, step: Array, way: Mixed, noise: Noise
) -> tuple[State, Array]:
    """Take independence steps, and then follow a trajectory in the scale of the region where it
    starts. One loop holds both kinds of steps, so that the model is compiled once."""
    dtype = state.x.dtype
    mixture: Any = way.mixture
    proposals = cast(Proposals, noise.proposals)
    n_independent = jnp.asarray(way.n_independent)
    n_evaluations = n_independent + jnp.asarray(way.length)
    log_mixture, log_region, region = region_of(mixture, state.x, noise.uniforms[4])

    def of_last(last: Array, own: Array, drawn: Array) -> Array:
        """Return what belongs to the last accepted proposal, or to the state before all of them."""
        return jnp.where(last < 0, own, drawn[jnp.maximum(last, 0)])

    def scale_of(walk: Walk) -> Any:
        return mixture.factors[of_last(walk.last, region, proposals.components)]

    def decide(walk: Walk, i: Array, there: State) -> Walk:
        """Take an independence step (Tierney 1994, section 2.3.3); the trajectory starts where it
        ends."""
        j = _row(i, proposals)
        log_acceptance = (
            log_density(there, beta)
            - log_density(walk.here, beta)
            + of_last(walk.last, log_mixture, proposals.logs[:, 0])
            - proposals.logs[j, 0]
        )
        log_acceptance = jnp.where(jnp.isfinite(log_acceptance), log_acceptance, -jnp.inf)
        accepted = proposals.logs[j, 2] < log_acceptance
        here = choose(accepted, there, walk.here)
        return Walk(
            here=here,
            moving=here,
            p=walk.p,
            last=jnp.where(accepted, i, walk.last),
            independent=walk.independent + jnp.minimum(1, jnp.exp(log_acceptance)),
        )

    def turn(i: Array, walk: Walk) -> Walk:
        """Evaluate once, a proposal or the end of a leapfrog step. The density itself
        is computed only where it decides."""
        independent = i < n_independent
        x, p = jax.lax.cond(
            independent,
            lambda: (proposals.x[_row(i, proposals)], walk.p),
            lambda: leap(walk.moving, walk.p, beta, step, scale_of(walk), i == n_independent),
        )
        there = evaluate(x, independent | (i == n_evaluations - 1))
        walked: Walk = jax.lax.cond(
            independent,
            lambda: decide(walk, i, there),
            lambda: walk._replace(moving=there, p=p),
        )
        return walked

    begin = Walk(state, state, noise.normals, jnp.int32(-1), jnp.zeros((), dtype))
    walk = jax.lax.fori_loop(0, n_evaluations, turn, begin)
    p = walk.p + 0.5 * step * scaled_gradient(scale_of(walk), gradient(walk.moving, beta))
    parts = log_parts(mixture, walk.moving.x)
    same = parts[of_last(walk.last, region, proposals.components)] - log_total(parts)
    before = of_last(walk.last, log_region, proposals.logs[:, 1])
    log_acceptance = gained(walk.here, noise.normals, walk.moving, p, beta) + (same - before)
    new, probability = accept(log_acceptance, noise.uniforms[1], walk.moving, walk.here)
    independent = walk.independent / jnp.maximum(n_independent, 1).astype(dtype)
    return new, jnp.stack([probability, n_evaluations.astype(dtype), independent])


def _row(i: Array, proposals: Proposals) -> Array:
    return jnp.minimum(i, proposals.x.shape[0] - 1)
