"""Explores with Hamiltonian Monte Carlo, one trajectory per scan, tuned per chain (Neal 2011).

A trajectory costs `length` gradients. Its step is jittered once, which breaks resonance with the
period of a mode. The tuning follows the round's statistics: step from the acceptance, scale from
the visits to neighbouring chains, length from a fixed integration time.

In few dimensions a mixture of normals is fitted to each chain between rounds and frozen for the
next one (`numpygeons.explorers.mixture`). Then a scan begins with independence steps, whose
proposals are draws x' of the mixture q, accepted with probability
min(1, pi(x') q(x) / (pi(x) q(x'))); and the trajectory takes its scale from the region where it
starts. The region k is drawn with the probability r_k(x) that x came from component k. Given k,
the trajectory keeps the density pi(x) r_k(x), so that r_k(x') / r_k(x) enters its acceptance. Its
sum over k is pi: region and trajectory together keep pi exactly, although the scale follows the
state (the region is an auxiliary variable, and drawing it a Gibbs step).

Effort follows the acceptance of the independence steps. Where they help, as many are taken as make
one of them succeed more often than not, and the trajectory is short: it has only to move within
its region, and a long one would leave it and be refused. Where they hardly help, before the
replicas have spread, trajectories are longer. More of either gives more restarts per scan and
fewer per second: the restarts per scan approach their limit long before V is drawn afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Noise, NoiseShape, RoundOutcome, Start
from numpygeons.explorers.leapfrog import leapfrog
from numpygeons.explorers.mixture import (
    Mixtures,
    fitted_mixtures,
    log_parts,
    log_total,
    pick,
    single_normals,
)
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.potential import Evaluate, State, gradient, log_density

FIRST_STEP = 0.1
FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
FIRST_LONG_ROUND = 4  # rounds before it take a single leapfrog step
SHORT_ROUND = 64  # scans; in shorter rounds the step makes up for a change of scale

MOST_MIXED_DIMENSIONS = 8  # beyond, a cheap model gains less per draw than a mixture costs
N_SNAPSHOTS = 256  # states per chain and round that mixtures are fitted to
FIRST_FITTED_ROUND = 5  # 32 scans; the replicas have begun to spread
MISSED = 0.4  # probability that no independence step of a scan is accepted, if there are enough
HOPELESS = 0.01  # acceptance of independence steps below which one is enough, to see it rise
HELPFUL = 0.1  # acceptance from which the trajectory may be short
SHORT_TRAJECTORY = 2  # leapfrog steps at most, where independence steps help
MIXED_TRAJECTORY = 16  # and where they do not: 8 was too short for a funnel, 32 gained nothing


class HMCTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of `scale`
    length: np.ndarray  # shape (n_chains,), leapfrog steps, int32
    scale: Floats  # shape (n_chains, dimension), unconstrained units


class MixedTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of the factors of the mixture
    length: np.ndarray  # shape (n_chains,), leapfrog steps, int32
    n_independent: np.ndarray  # shape (n_chains,), independence steps, int32
    scale: Floats  # shape (n_chains, dimension), unconstrained units
    mixture: Mixtures


class Walk(NamedTuple):
    """Where one exploration stands."""

    here: State  # the last accepted state
    parts: Array  # log parts of the mixture there, shape (K,)
    moving: State  # the end of the trajectory so far
    p: Array  # its momentum, shape (dimension,)
    region: Array  # component whose factor is its scale
    independent: Array  # sum of the acceptance probabilities of independence steps
    acceptance: Array  # acceptance probability of the trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class HMC:
    """Hamiltonian Monte Carlo, everything tuned per chain; with independence steps in few
    dimensions.

    Parameters
    ----------
    acceptance : float in (0, 1)
        Mean acceptance probability that the step size is tuned to.
    integration_time : float > 0
        Length of a trajectory in units of the scale; pi/2 is a quarter of a normal's period.
    max_length : int > 0
        Most leapfrog steps of a trajectory.
    jitter : float in [0, 1)
        Each trajectory's step is multiplied by a uniform number in [1 - jitter, 1 + jitter].
    n_components : int >= 0
        Components of the mixture that is fitted to each chain, in up to 8 dimensions; 0 or 1
        for a diagonal scale and trajectories alone.
    max_independent : int > 0
        Most independence steps of a scan, each one evaluation; as many are taken as give one
        accepted with probability 0.6.

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, eq. 5.18-5.20.
    Tierney (1994), Markov chains for exploring posterior distributions, section 2.3.3, for
    independence chains.
    """

    acceptance: float = 0.8
    integration_time: float = np.pi / 4
    max_length: int = 64
    jitter: float = 0.2
    n_components: int = 8
    max_independent: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.acceptance < 1:
            raise ValueError(f"acceptance must lie in (0, 1): got {self.acceptance}")
        if not 0 < self.integration_time < np.inf:
            raise ValueError(f"integration_time must be positive: got {self.integration_time}")
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1: got {self.max_length}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must lie in [0, 1): got {self.jitter}")
        if self.n_components < 0:
            raise ValueError(f"n_components must not be negative: got {self.n_components}")
        if self.max_independent < 1:
            raise ValueError(f"max_independent must be at least 1: got {self.max_independent}")

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("acceptance", "n_gradients", "independent_acceptance")

    @property
    def needs_gradients(self) -> bool:
        return True

    def _mixed(self, dimension: int) -> bool:
        return self.n_components > 1 and dimension <= MOST_MIXED_DIMENSIONS

    def noise(self, dimension: int) -> NoiseShape:
        if not self._mixed(dimension):
            return NoiseShape(n_normals=dimension, n_uniforms=2)
        return NoiseShape(
            n_normals=dimension * (1 + self.max_independent),
            n_uniforms=3 + 2 * self.max_independent,
        )

    def n_snapshots(self, n_chains: int, dimension: int) -> int:
        return N_SNAPSHOTS if self._mixed(dimension) else 0

    def start(self, start: Start) -> HMCTuning | MixedTuning:
        n = len(start.betas)
        step_size, length = np.full(n, FIRST_STEP), np.ones(n, np.int32)
        scale = np.tile(start.scale, (n, 1))
        if not self._mixed(len(start.scale)):
            return HMCTuning(step_size=step_size, length=length, scale=scale)
        return MixedTuning(
            step_size=step_size,
            length=length,
            n_independent=np.zeros(n, np.int32),
            scale=scale,
            mixture=single_normals(np.tile(start.centre, (n, 1)), scale, self.n_components),
        )

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: Any, noise: Noise
    ) -> tuple[State, Array]:
        if isinstance(tuning, MixedTuning):
            return self._explore_mixed(evaluate, state, beta, tuning, noise)
        return self._explore_plain(evaluate, state, beta, tuning, noise)

    def _jittered(self, step_size: Any, uniform: Array) -> Array:
        return jnp.asarray(step_size * (1 + self.jitter * (2 * uniform - 1)), uniform.dtype)

    def _explore_plain(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: HMCTuning, noise: Noise
    ) -> tuple[State, Array]:
        """One trajectory with a scale per coordinate."""
        dtype = state.x.dtype
        step = self._jittered(tuning.step_size, noise.uniforms[0])
        scale = tuning.scale

        def one(_: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            return leapfrog(evaluate, *carry, beta, step, jnp.asarray(scale))

        p = noise.normals
        end, p_end = jax.lax.fori_loop(0, tuning.length, one, (state, p))
        difference = (log_density(end, beta) - 0.5 * jnp.sum(p_end * p_end)) - (
            log_density(state, beta) - 0.5 * jnp.sum(p * p)
        )
        difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
        accepted = jnp.log(noise.uniforms[1]) < difference
        new = _choose(accepted, end, state)
        probability = jnp.minimum(1, jnp.exp(difference))
        zero = jnp.zeros((), dtype)
        return new, jnp.stack([probability, tuning.length.astype(dtype), zero])

    def _explore_mixed(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: MixedTuning, noise: Noise
    ) -> tuple[State, Array]:
        """Independence steps, then a trajectory; one loop, so that the model is compiled once."""
        dtype, dimension = state.x.dtype, len(state.x)
        mixture = tuning.mixture
        momentum, *_ = normals = noise.normals.reshape(-1, dimension)
        u_jitter, u_accept, u_region = noise.uniforms[:3]
        u_independent = noise.uniforms[3:].reshape(-1, 2)
        step = self._jittered(tuning.step_size, u_jitter)
        n_independent = jnp.asarray(tuning.n_independent)
        n_evaluations = n_independent + tuning.length

        def turn(i: Array, walk: Walk) -> Walk:
            """One evaluation: an independence step, or a leapfrog step and perhaps the end."""
            independent = i < n_independent
            j = jnp.minimum(i, self.max_independent - 1)
            u_component, u_choice = u_independent[j]
            component = pick(jnp.asarray(mixture.log_weights), u_component)
            drawn = mixture.means[component] + mixture.factors[component] @ normals[1 + j]

            factor = mixture.factors[walk.region]
            p = walk.p + 0.5 * step * (gradient(walk.moving, beta) @ factor)
            there = evaluate(jnp.where(independent, drawn, walk.moving.x + step * (factor @ p)))
            p = p + 0.5 * step * (gradient(there, beta) @ factor)

            last = i == n_evaluations - 1
            decides = independent | last
            parts = jax.lax.cond(decides, lambda: log_parts(mixture, there.x), lambda: walk.parts)
            # log q(x) - log q(x') for both; with r_k = part_k / q the trajectory has it too.
            totals = log_total(walk.parts) - log_total(parts)
            own = parts[walk.region] - walk.parts[walk.region]
            kinetic = 0.5 * (jnp.sum(momentum * momentum) - jnp.sum(p * p))
            difference = (
                log_density(there, beta)
                - log_density(walk.here, beta)
                + totals
                + jnp.where(independent, 0, own + kinetic)
            )
            difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
            uniform = jnp.where(independent, u_choice, u_accept)
            accepted = decides & (jnp.log(uniform) < difference)
            here = _choose(accepted, there, walk.here)
            parts = jnp.where(accepted, parts, walk.parts)
            probability = jnp.minimum(1, jnp.exp(difference))
            begins = i == n_independent - 1
            return Walk(
                here=here,
                parts=parts,
                moving=_choose(independent, here, there),
                p=jnp.where(independent, momentum, p),
                region=jax.lax.cond(begins, lambda: pick(parts, u_region), lambda: walk.region),
                independent=walk.independent + jnp.where(independent, probability, 0),
                acceptance=jnp.where(last, probability, walk.acceptance),
            )

        parts = log_parts(mixture, state.x)
        zero = jnp.zeros((), dtype)
        walk = Walk(state, parts, state, momentum, pick(parts, u_region), zero, zero)
        walk = jax.lax.fori_loop(0, n_evaluations, turn, walk)
        independent = walk.independent / jnp.maximum(n_independent, 1).astype(dtype)
        return walk.here, jnp.stack([walk.acceptance, n_evaluations.astype(dtype), independent])

    def adapt(self, tuning: Any, outcome: RoundOutcome) -> HMCTuning | MixedTuning:
        step = _core.engine.tuned_steps(
            tuning.step_size, outcome.statistics["acceptance"], self.acceptance, outcome.n_scans
        )
        scale = tuning.scale
        if outcome.round >= FIRST_SCALED_ROUND:
            scale = np.sqrt(neighbour_variances(scale**2, outcome))
        fitted = isinstance(tuning, MixedTuning) and outcome.round > FIRST_FITTED_ROUND
        if outcome.n_scans < SHORT_ROUND and not fitted:
            change = np.exp(np.mean(np.log(tuning.scale) - np.log(scale), axis=1))
            step = step * np.clip(change, 0.1, 10.0)
        step = np.exp(carried_over(np.log(step), outcome))
        scale = np.exp(carried_over(np.log(scale), outcome))
        if isinstance(tuning, MixedTuning):
            return self._adapt_mixed(outcome, step, scale)
        return HMCTuning(step_size=step, length=self._lengths(outcome, step), scale=scale)

    def _adapt_mixed(self, outcome: RoundOutcome, step: Floats, scale: Floats) -> MixedTuning:
        """Fits the mixtures, and spends on each chain what its acceptance asks for."""
        n, dimension = scale.shape
        most = np.full(n, MIXED_TRAJECTORY)
        n_independent = np.zeros(n, np.int32)
        if outcome.round < FIRST_FITTED_ROUND:
            mixture = single_normals(outcome.means, scale, self.n_components)
        else:
            mixture = fitted_mixtures(outcome, scale, self.n_components)
            n_independent[:] = self.max_independent
        if outcome.round == FIRST_FITTED_ROUND:
            # In units of the factors every density is about a standard normal: s^2 = eps^4 d / 16.
            step = np.full(n, dimension**-0.25)
        elif outcome.round > FIRST_FITTED_ROUND:
            rate = np.nan_to_num(outcome.statistics["independent_acceptance"])
            rate = np.exp(carried_over(np.log(np.clip(rate, 1e-3, 0.99)), outcome))
            wanted = np.ceil(np.log(MISSED) / np.log1p(-rate))
            wanted = np.where(rate < HOPELESS, 1, wanted)
            n_independent = np.clip(wanted, 1, self.max_independent).astype(np.int32)
            most = np.where(rate >= HELPFUL, SHORT_TRAJECTORY, MIXED_TRAJECTORY)
        return MixedTuning(
            step_size=step,
            length=np.minimum(self._lengths(outcome, step), most).astype(np.int32),
            n_independent=n_independent,
            scale=scale,
            mixture=mixture,
        )

    def _lengths(self, outcome: RoundOutcome, step: Floats) -> np.ndarray:
        """Leapfrog steps of the next round, shape (n_chains,)."""
        if outcome.round + 1 < FIRST_LONG_ROUND:
            return np.ones(len(step), np.int32)
        wanted = np.ceil(self.integration_time / step)
        return np.clip(wanted, 1, self.max_length).astype(np.int32)


def _choose(condition: Array, a: State, b: State) -> State:
    return State(*(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True)))
