"""Explores with Hamiltonian Monte Carlo, one trajectory per scan, tuned per chain (Neal 2011).

A trajectory costs `length` gradients. Its step is jittered once, which breaks resonance with the
period of a mode (`trajectory`). How step, scale, length and mixtures follow the rounds,
`hmc_tuning` says.

Some chains take independence steps before. A mixture of normals is fitted to each of these between
rounds and frozen for the next one (`numpygeons.explorers.mixture`). Proposals are draws x' of the
mixture q (`cpp/numpygeons/tuning/proposals`), accepted with probability
min(1, pi(x') q(x) / (pi(x) q(x'))); and the trajectory takes its scale from the region where it
starts. The region k is drawn with the probability r_k(x) that x came from component k. Given k,
the trajectory keeps the density pi(x) r_k(x), so that r_k(x') / r_k(x) enters its acceptance. Its
sum over k is pi: region and trajectory together keep pi exactly, although the scale follows the
state (the region is an auxiliary variable, and drawing it a Gibbs step).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons._core import tuning as core
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Explorer, Noise, NoiseShape, RoundOutcome, Start
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
from numpygeons.explorers.parameters import check_part, is_auto, take_counts, take_reals
from numpygeons.explorers.preconditioners import (
    PRECONDITIONER,
    DiagonalPreconditioner,
    Preconditioner,
)
from numpygeons.explorers.trajectory import mixed_walk, plain_walk
from numpygeons.target.potential import Evaluate, State


@dataclass(frozen=True, slots=True, kw_only=True)
class HMC(Explorer):
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

    def proposals(self, tuning: HMCTuning) -> list[core.Proposals]:
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
        """Follow a trajectory, after independence steps if the chain takes any. The two ways are
        compiled apart: one loop for both would make each slower."""
        plain, mixed = tuning

        def take_plain(way: Plain) -> tuple[State, Array]:
            scale = self.preconditioner.scale(jnp.asarray(way.scale), noise.uniforms[2:4])
            step, length = self._jittered(way.step_size, noise), jnp.asarray(way.length)
            return plain_walk(evaluate, state, beta, step, length, scale, noise)

        def take_mixed(way: Mixed) -> tuple[State, Array]:
            step = self._jittered(way.step_size, noise)
            return mixed_walk(evaluate, state, beta, step, way, noise)

        if plain is None:
            return take_mixed(cast(Mixed, mixed))
        if mixed is None:
            return take_plain(plain)
        takes_mixed = jnp.asarray(mixed.n_independent) > 0
        # A batch computes both ways: the one that is not taken has no steps.
        mixed = mixed._replace(length=jnp.where(takes_mixed, mixed.length, 0))
        plain = plain._replace(length=jnp.where(takes_mixed, 0, plain.length))
        explored: tuple[State, Array] = jax.lax.cond(
            takes_mixed, lambda: take_mixed(mixed), lambda: take_plain(plain)
        )
        return explored

    def _jittered(self, step_size: Any, noise: Noise) -> Array:
        """Return the step of this exploration."""
        step = step_size * (1 + self.jitter * (2 * noise.uniforms[0] - 1))
        return jnp.asarray(step, noise.normals.dtype)

    def adapt(self, tuning: HMCTuning, outcome: RoundOutcome) -> HMCTuning:
        return adapted(self, tuning, outcome)
