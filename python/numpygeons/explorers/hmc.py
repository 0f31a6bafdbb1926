"""Explores with Hamiltonian Monte Carlo, one trajectory per scan, tuned per chain (Neal 2011).

A trajectory costs `length` gradients. Its step is jittered once, which breaks resonance with the
period of a mode. How step, scale, length and mixtures follow the rounds, `hmc_tuning` says.

Some chains take independence steps before. A mixture of normals is fitted to each of these between
rounds and frozen for the next one (`numpygeons.explorers.mixture`). Proposals are draws x' of the
mixture q (`cpp/numpygeons/engine/proposals`), accepted with probability
min(1, pi(x') q(x) / (pi(x) q(x'))); and the trajectory takes its scale from the region where it
starts. The region k is drawn with the probability r_k(x) that x came from component k. Given k,
the trajectory keeps the density pi(x) r_k(x), so that r_k(x') / r_k(x) enters its acceptance. Its
sum over k is pi: region and trajectory together keep pi exactly, although the scale follows the
state (the region is an auxiliary variable, and drawing it a Gibbs step).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons._core import engine
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Noise, NoiseShape, Proposals, RoundOutcome, Start
from numpygeons.explorers.hmc_tuning import (
    FIRST_TIME,
    HMCTuning,
    Mixed,
    Plain,
    Ways,
    adapted,
    first_tuning,
    is_mixed,
    n_snapshots,
    ways,
)
from numpygeons.explorers.mixture import log_parts, log_total, region_of
from numpygeons.explorers.parameters import check_part, is_auto, take_counts, take_reals
from numpygeons.explorers.preconditioners import (
    PRECONDITIONER,
    DiagonalPreconditioner,
    Preconditioner,
    scaled,
    scaled_gradient,
)
from numpygeons.target.potential import (
    Evaluate,
    State,
    gradient,
    gradients_at,
    log_density,
    with_values,
)


class Walk(NamedTuple):
    """Where one exploration stands."""

    here: State  # the last accepted state
    moving: State  # the end of the trajectory so far
    p: Array  # its momentum, shape (dimension,), half a step behind
    handed_over: list[Array]  # what the values of `moving` need, where they are still to come
    last: Array  # number of the last accepted proposal, -1 before
    independent: Array  # sum of the acceptance probabilities of independence steps


@dataclass(frozen=True, slots=True, kw_only=True)
class HMC:
    """Hamiltonian Monte Carlo, everything tuned per chain; with independence steps in few
    dimensions.

    Parameters
    ----------
    acceptance : float in (0, 1)
        Mean acceptance probability that the step size is tuned to.
    integration_time : float > 0 or "auto"
        Length of a trajectory in units of the scale, pi/4 by default; pi/2 is a quarter of a
        normal's period. "auto" chooses between the two per chain and round, from the measured
        autocorrelation of V (`numpygeons.explorers.effort`): faster where one scale fits all
        places, slower in the neck of a funnel, where a step that is too long for the place fails
        the surer the more of them there are.
    max_length : int > 0
        Most leapfrog steps of a trajectory.
    jitter : float in [0, 1)
        Each trajectory's step is multiplied by a uniform number in [1 - jitter, 1 + jitter].
    n_components : int >= 0
        Components of the mixture that is fitted to each chain, in up to 32 dimensions; 0 or 1
        for a diagonal scale and trajectories alone.
    max_independent : int > 0
        Most independence steps of a scan, each one evaluation; as many are taken as give one
        accepted with probability 0.6.

    preconditioner : Preconditioner
        Scale of the trajectories of chains without a mixture; default
        `DiagonalPreconditioner()`.

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, eq. 5.18-5.20.
    Tierney (1994), Markov chains for exploring posterior distributions, section 2.3.3, for
    independence chains.
    """

    acceptance: float = 0.8
    integration_time: float | Literal["auto"] = FIRST_TIME
    max_length: int = 64
    jitter: float = 0.2
    n_components: int = 8
    max_independent: int = 6
    preconditioner: Preconditioner = field(default_factory=DiagonalPreconditioner)

    def __post_init__(self) -> None:
        take_reals(self, "acceptance", "jitter")
        take_counts(self, "max_length", "max_independent")
        take_counts(self, "n_components", least=0)
        if not is_auto("integration_time", self.integration_time):
            take_reals(self, "integration_time")
        check_part(
            "preconditioner", self.preconditioner, PRECONDITIONER, "DiagonalPreconditioner()"
        )
        if not 0 < self.acceptance < 1:
            raise ValueError(f"acceptance must lie in (0, 1): got {self.acceptance}")
        time = self.integration_time
        if not isinstance(time, str) and not 0 < time < np.inf:
            raise ValueError(f'integration_time must be positive, or "auto": got {time!r}')
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must lie in [0, 1): got {self.jitter}")

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("acceptance", "n_gradients", "independent_acceptance")

    @property
    def needs_gradients(self) -> bool:
        return True

    def noise(self, dimension: int) -> NoiseShape:
        n_proposals = self.max_independent if is_mixed(self, dimension) else 0
        return NoiseShape(
            n_normals=dimension,
            n_uniforms=5 if n_proposals else 4,
            n_proposals=n_proposals,
        )

    def n_snapshots(self, n_chains: int, dimension: int) -> int:
        return n_snapshots(self, dimension)

    def proposals(self, tuning: HMCTuning) -> list[engine.Proposals]:
        if tuning.regions is None:
            return []
        regions = tuning.regions
        return [regions.mixture.proposals(regions.n_independent, self.max_independent)]

    def operands(self, tuning: HMCTuning) -> Ways:
        return ways(self, tuning)

    def start(self, start: Start) -> HMCTuning:
        return first_tuning(self, start)

    def chosen(self, tuning: HMCTuning) -> dict[str, Floats]:
        n_independent = 0 if tuning.regions is None else tuning.regions.n_independent
        return {
            "leapfrog steps": tuning.length.astype(float),
            "independence steps": np.broadcast_to(n_independent, len(tuning.length)).astype(float),
        }

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: Ways, noise: Noise
    ) -> tuple[State, Array]:
        """A trajectory, after independence steps if the chain takes any. The two ways are compiled
        apart: one loop for both would make each slower."""
        plain, mixed = tuning

        def walk(way: Plain | Mixed) -> tuple[State, Array]:
            return self._walk(evaluate, state, beta, way, noise)

        if plain is None or mixed is None:
            return walk(cast(Mixed, mixed) if plain is None else plain)
        takes_mixed = jnp.asarray(mixed.n_independent) > 0
        # A batch computes both ways: the one that is not taken has no steps.
        mixed = mixed._replace(length=jnp.where(takes_mixed, mixed.length, 0))
        plain = plain._replace(length=jnp.where(takes_mixed, 0, plain.length))
        explored: tuple[State, Array] = jax.lax.cond(
            takes_mixed, lambda: walk(mixed), lambda: walk(plain)
        )
        return explored

    def _walk(
        self,
        evaluate: Evaluate,
        state: State,
        beta: Array,
        way: Plain | Mixed,
        noise: Noise,
    ) -> tuple[State, Array]:
        """One exploration; `Mixed`: with independence steps and regions. One loop holds both kinds
        of steps, so that the model is compiled once for it."""
        dtype, mixed = state.x.dtype, isinstance(way, Mixed)
        proposals = cast(Proposals, noise.proposals)
        u_jitter, u_accept = noise.uniforms[:2]
        step = jnp.asarray(way.step_size * (1 + self.jitter * (2 * u_jitter - 1)), dtype)
        minus_one, zero = jnp.int32(-1), jnp.zeros((), dtype)
        scale: Any = None
        mixture: Any = None
        n_independent, start = jnp.int32(0), (zero, zero, minus_one)
        if isinstance(way, Mixed):
            mixture, n_independent = way.mixture, jnp.asarray(way.n_independent)
            start = region_of(mixture, state.x, noise.uniforms[4])
        else:
            scale = self.preconditioner.scale(jnp.asarray(way.scale), noise.uniforms[2:4])
        n_evaluations = n_independent + jnp.asarray(way.length)

        def of_last(last: Array, own: Array, drawn: Array) -> Array:
            """What belongs to the last accepted proposal, or to the state before all of them."""
            return jnp.where(last < 0, own, drawn[jnp.maximum(last, 0)])

        def by_scale(walk: Walk, a: Array, transposed: bool) -> Array:
            """The scale of the trajectory, that of its region where there are regions, times a."""
            own = scale
            if mixed:
                own = mixture.factors[of_last(walk.last, start[2], proposals.components)]
            return scaled_gradient(own, a) if transposed else scaled(own, a)

        def leap(i: Array, walk: Walk) -> tuple[Array, Array]:
            """Where a leapfrog step leads (Neal 2011, eq. 5.18-5.20). Half steps of the momentum
            that follow each other are taken as one."""
            here = walk.moving
            share = jnp.where(i == n_independent, 0.5, 1.0).astype(dtype)
            p = walk.p + share * step * by_scale(walk, gradient(here, beta), True)
            return here.x + step * by_scale(walk, p, False), p

        def turn(i: Array, walk: Walk) -> Walk:
            """One evaluation, of a proposal or at the end of a leapfrog step. The density itself is
            computed only where it decides."""
            if not mixed:
                x, p = leap(i, walk)
                moving, handed_over = gradients_at(evaluate, x)
                return walk._replace(moving=moving, p=p, handed_over=handed_over)
            independent = i < n_independent
            j = jnp.minimum(i, self.max_independent - 1)
            x, p = jax.lax.cond(
                independent, lambda: (proposals.x[j], walk.p), lambda: leap(i, walk)
            )
            there = evaluate(x, independent | (i == n_evaluations - 1))

            def decide() -> Walk:
                difference = (
                    log_density(there, beta)
                    - log_density(walk.here, beta)
                    + of_last(walk.last, start[0], proposals.logs[:, 0])
                    - proposals.logs[j, 0]
                )
                difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
                accepted = proposals.logs[j, 2] < difference
                here = _choose(accepted, there, walk.here)
                return Walk(
                    here=here,
                    moving=here,
                    p=p,
                    handed_over=[],
                    last=jnp.where(accepted, i, walk.last),
                    independent=walk.independent + jnp.minimum(1, jnp.exp(difference)),
                )

            walked: Walk = jax.lax.cond(
                independent, decide, lambda: walk._replace(moving=there, p=p)
            )
            return walked

        shapes = [] if mixed else jax.eval_shape(partial(gradients_at, evaluate), state.x)[1]
        nothing = [jnp.zeros(a.shape, a.dtype) for a in shapes]
        walk = Walk(state, state, noise.normals, nothing, minus_one, zero)
        walk = jax.lax.fori_loop(0, n_evaluations, turn, walk)

        here = walk.here
        end = walk.moving if mixed else with_values(evaluate, walk.moving, walk.handed_over)
        p = walk.p + 0.5 * step * by_scale(walk, gradient(end, beta), True)
        kinetic = 0.5 * (jnp.sum(noise.normals * noise.normals) - jnp.sum(p * p))
        difference = log_density(end, beta) - log_density(here, beta) + kinetic
        if mixed:
            parts = log_parts(mixture, end.x)
            region = of_last(walk.last, start[2], proposals.components)
            difference += (parts[region] - log_total(parts)) - of_last(
                walk.last, start[1], proposals.logs[:, 1]
            )
        difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
        accepted = jnp.log(u_accept) < difference
        new = _choose(accepted, end, here)
        probability = jnp.minimum(1, jnp.exp(difference))
        independent = walk.independent / jnp.maximum(n_independent, 1).astype(dtype)
        return new, jnp.stack([probability, n_evaluations.astype(dtype), independent])

    def adapt(self, tuning: HMCTuning, outcome: RoundOutcome) -> HMCTuning:
        return adapted(self, tuning, outcome)


def _choose(condition: Array, a: State, b: State) -> State:
    return State(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))
