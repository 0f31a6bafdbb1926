"""Explores with Hamiltonian Monte Carlo, one trajectory per scan, tuned per chain (Neal 2011).

A trajectory costs `length` gradients. Its step is jittered once, which breaks resonance with the
period of a mode. The tuning follows the round's statistics: step from the acceptance, scale from
the visits to neighbouring chains, length from a fixed integration time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Noise, NoiseShape, RoundOutcome, Start
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.potential import Evaluate, State, gradient, log_density

FIRST_STEP = 0.1
FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
FIRST_LONG_ROUND = 4  # rounds before it take a single leapfrog step
SHORT_ROUND = 64  # scans; in shorter rounds the step makes up for a change of scale


class HMCTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of `scale`
    length: np.ndarray  # shape (n_chains,), leapfrog steps, int32
    scale: Floats  # shape (n_chains, dimension), unconstrained units


@dataclass(frozen=True, slots=True, kw_only=True)
class HMC:
    """Hamiltonian Monte Carlo with a diagonal scale, everything tuned per chain.

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

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, eq. 5.18-5.20.
    """

    acceptance: float = 0.8
    integration_time: float = np.pi / 4
    max_length: int = 64
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.acceptance < 1:
            raise ValueError(f"acceptance must lie in (0, 1): got {self.acceptance}")
        if not 0 < self.integration_time < np.inf:
            raise ValueError(f"integration_time must be positive: got {self.integration_time}")
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1: got {self.max_length}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must lie in [0, 1): got {self.jitter}")

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("acceptance", "n_gradients")

    @property
    def needs_gradients(self) -> bool:
        return True

    def noise(self, dimension: int) -> NoiseShape:
        return NoiseShape(n_normals=dimension, n_uniforms=2)

    def start(self, start: Start) -> HMCTuning:
        n = len(start.betas)
        return HMCTuning(
            step_size=np.full(n, FIRST_STEP),
            length=np.ones(n, np.int32),
            scale=np.tile(start.scale, (n, 1)),
        )

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: HMCTuning, noise: Noise
    ) -> tuple[State, Array]:
        dtype = state.x.dtype
        jitter, accept = noise.uniforms[0], noise.uniforms[1]
        step = jnp.asarray(tuning.step_size * (1 + self.jitter * (2 * jitter - 1)), dtype)
        scale = tuning.scale

        def leapfrog(_: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            here, p = carry
            p = p + 0.5 * step * scale * gradient(here, beta)
            there = evaluate(here.x + step * scale * p)
            return there, p + 0.5 * step * scale * gradient(there, beta)

        p = noise.normals
        end, p_end = jax.lax.fori_loop(0, tuning.length, leapfrog, (state, p))
        difference = (log_density(end, beta) - 0.5 * jnp.sum(p_end * p_end)) - (
            log_density(state, beta) - 0.5 * jnp.sum(p * p)
        )
        difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
        accepted = jnp.log(accept) < difference
        new = State(*(jnp.where(accepted, a, b) for a, b in zip(end, state, strict=True)))
        probability = jnp.minimum(1, jnp.exp(difference))
        return new, jnp.stack([probability, tuning.length.astype(dtype)])

    def adapt(self, tuning: HMCTuning, outcome: RoundOutcome) -> HMCTuning:
        step = _core.engine.tuned_steps(
            tuning.step_size, outcome.statistics["acceptance"], self.acceptance, outcome.n_scans
        )
        scale = tuning.scale
        if outcome.round >= FIRST_SCALED_ROUND:
            scale = np.sqrt(neighbour_variances(scale**2, outcome))
        if outcome.n_scans < SHORT_ROUND:
            change = np.exp(np.mean(np.log(tuning.scale) - np.log(scale), axis=1))
            step = step * np.clip(change, 0.1, 10.0)
        step = np.exp(carried_over(np.log(step), outcome))
        scale = np.exp(carried_over(np.log(scale), outcome))
        length = np.ones(len(step), np.int32)
        if outcome.round + 1 >= FIRST_LONG_ROUND:
            wanted = np.ceil(self.integration_time / step)
            length = np.clip(wanted, 1, self.max_length).astype(np.int32)
        return HMCTuning(step_size=step, length=length, scale=scale)
