"""Explores with AutoStep: a move whose size is searched for at every point.

The search doubles or halves a base step until the change of the log joint density lies between
two bounds. The move is reversible when the same search from its end, with the momentum turned
round, finds the same step (Biron-Lattes et al. 2024, algorithm 1; Liu et al. 2024).

Nothing is evaluated twice. The gradient at a point travels with it; the trial that the search
settles on is kept; and a trial from the end with the forward exponent is the way back, whose
difference is minus the forward one. So an unchanged step costs one trial.

`AutoMALA`, `AutoHMC` and `AutoRWMH` say what a trial is; `MALA` does not search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import Explorer, Noise, NoiseShape, RoundOutcome, Start
from numpygeons.explorers.effort import (
    FIRST_MEASURED_ROUND,
    best_effort,
    clipped_autocorrelation,
)
from numpygeons.explorers.parameters import check_part, is_auto, take_counts, take_reals
from numpygeons.explorers.preconditioners import (
    PRECONDITIONER,
    MixDiagonalPreconditioner,
    Preconditioner,
)
from numpygeons.explorers.scale import (
    N_SNAPSHOTS,
    carried_over,
    covariance_factors,
    diagonal_factors,
    neighbour_variances,
)
from numpygeons.explorers.selectors import SELECTOR, Selector, SymmetricSelector
from numpygeons.target.potential import Evaluate, State, log_density

T = TypeVar("T")

LARGEST_EXPONENT = 14
FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
FORWARD, BACKWARD, DONE = 0, 1, 2
UNIFORMS_PER_STEP = 3  # two bounds, one acceptance
FIRST_REFRESHES, MOST_REFRESHES = 3, 8  # steps per scan where they are chosen by themselves


class AutoStepTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of the scale
    scale: Floats  # shape (n_chains, dimension), unconstrained units
    factor: Floats | None = None  # shape (n_chains, dimension, dimension), of the covariance
    n_refresh: np.ndarray | None = None  # shape (n_chains,), int32, where it is chosen by itself


class Point(NamedTuple):
    """A state with a momentum."""

    state: State
    p: Array  # shape (dimension,)
    joint: Array  # log density - |p|^2 / 2, scalar


class Search(NamedTuple):
    """Where the two searches of one step stand."""

    phase: Array  # FORWARD, BACKWARD or DONE
    origin: Point  # where trials start: the old point, then the flipped proposal
    proposal: Point  # the best trial so far
    difference: Array  # of the proposal
    forward: Array  # exponent that the forward search found
    exponent: Array  # of the next trial
    direction: Array  # +1 doubling, -1 halving, 0 not known
    passed: Array  # whether the backward search agrees
    n_gradients: Array


@dataclass(frozen=True, kw_only=True)
class AutoStep(Explorer):
    """What the explorers with a searched step share; `_trial` makes the difference.

    Parameters
    ----------
    n_refresh : int > 0 or "auto"
        Steps per scan, each with a fresh momentum. "auto" chooses between 1 and 8 per chain and
        round, from the measured autocorrelation of V (`numpygeons.explorers.effort`).
    step_size : float > 0
        Base step of the first round, in units of the scale.
    selector : Selector
        Default `SymmetricSelector()`.
    preconditioner : Preconditioner
        Default `MixDiagonalPreconditioner()`.
    """

    n_refresh: int | Literal["auto"] = 3
    step_size: float = 1.0
    selector: Selector = field(default_factory=SymmetricSelector)
    preconditioner: Preconditioner = field(default_factory=MixDiagonalPreconditioner)

    def __post_init__(self) -> None:
        if not is_auto("n_refresh", self.n_refresh):
            take_counts(self, "n_refresh")
        take_reals(self, "step_size")
        check_part("selector", self.selector, SELECTOR, "SymmetricSelector()")
        check_part(
            "preconditioner", self.preconditioner, PRECONDITIONER, "DiagonalPreconditioner()"
        )
        if not 0 < self.step_size < np.inf:
            raise ValueError(f"step_size must be positive: got {self.step_size}")

    def _trial(
        self, evaluate: Evaluate, origin: State, p: Array, beta: Array, step: Array, scale: Array
    ) -> tuple[State, Array]:
        """Return where a move of size `step` leads: a map that is its own inverse once the momentum
        at its end is turned round, and that keeps volumes."""
        raise NotImplementedError

    @property
    def _gradients_per_trial(self) -> int:
        return 1

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("acceptance", "n_gradients", "reversibility", "step_factor")

    @property
    def needs_gradients(self) -> bool:
        return True

    def noise(self, dimension: int) -> NoiseShape:
        return NoiseShape(
            n_normals=self._most_refreshes * dimension,
            n_uniforms=2 + UNIFORMS_PER_STEP * self._most_refreshes,
        )

    @property
    def _most_refreshes(self) -> int:
        return MOST_REFRESHES if self.n_refresh == "auto" else self.n_refresh

    def n_snapshots(self, n_chains: int, dimension: int) -> int:
        return N_SNAPSHOTS if self.preconditioner.needs_covariance else 0

    def start(self, start: Start) -> AutoStepTuning:
        n = len(start.betas)
        scale = np.tile(start.scale, (n, 1))
        dense, auto = self.preconditioner.needs_covariance, self.n_refresh == "auto"
        return AutoStepTuning(
            step_size=np.full(n, self.step_size),
            scale=scale,
            factor=diagonal_factors(scale) if dense else None,
            n_refresh=np.full(n, FIRST_REFRESHES, np.int32) if auto else None,
        )

    def chosen(self, tuning: AutoStepTuning) -> dict[str, Floats]:
        return {} if tuning.n_refresh is None else {"n_refresh": tuning.n_refresh.astype(float)}

    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: AutoStepTuning, noise: Noise
    ) -> tuple[State, Array]:
        base = jnp.asarray(tuning.step_size)
        own = tuning.scale if tuning.factor is None else tuning.factor
        scale = self.preconditioner.scale(jnp.asarray(own), noise.uniforms[:2])
        normals = noise.normals.reshape(self._most_refreshes, -1)
        uniforms = noise.uniforms[2:].reshape(self._most_refreshes, UNIFORMS_PER_STEP)
        n_refresh = self.n_refresh if tuning.n_refresh is None else tuning.n_refresh

        def step(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            here, statistics = carry
            there, new = self._step(evaluate, here, beta, base, scale, normals[i], uniforms[i])
            return there, statistics + new

        zeros = jnp.zeros(len(self.statistics), state.x.dtype)
        end, sums = jax.lax.fori_loop(0, n_refresh, step, (state, zeros))
        share = 1 / jnp.asarray(n_refresh, sums.dtype)
        return end, sums * jnp.stack([share, jnp.ones_like(share), share, share])

    def _step(
        self,
        evaluate: Evaluate,
        state: State,
        beta: Array,
        base: Array,
        scale: Array,
        p: Array,
        uniforms: Array,
    ) -> tuple[State, Array]:
        """Take one step, and return it with its statistics."""
        dtype = state.x.dtype
        selector = self.selector
        lower, upper = selector.bounds(uniforms[:2])

        def joint(state: State, p: Array) -> Array:
            return log_density(state, beta) - 0.5 * jnp.sum(p * p)

        def trial(origin: Point, exponent: Array) -> Point:
            step = base * jnp.exp2(exponent.astype(dtype))
            there, end = self._trial(evaluate, origin.state, origin.p, beta, step, scale)
            return Point(there, end, joint(there, end))

        def turn(search: Search, result: Point, difference: Array) -> Search:
            more = selector.doubles(difference, lower, upper)
            less = selector.halves(difference, lower, upper)
            return _taken_in(search, result, difference, more, less)

        def known_way_back(search: Search) -> Search:
            """Take a backward trial with the forward exponent as the way back: nothing to
            evaluate."""
            known = (search.phase == BACKWARD) & (search.exponent == search.forward)
            return _choose(known, turn(search, search.proposal, -search.difference), search)

        def body(search: Search) -> Search:
            result = trial(search.origin, search.exponent)
            difference = result.joint - search.origin.joint
            difference = jnp.where(jnp.isfinite(difference), difference, -jnp.inf)
            search = search._replace(n_gradients=search.n_gradients + self._gradients_per_trial)
            return known_way_back(turn(search, result, difference))

        start = Point(state, p, joint(state, p))
        zero = jnp.int32(0)
        search = jax.lax.while_loop(
            lambda search: search.phase != DONE,
            body,
            Search(
                phase=jnp.int32(FORWARD),
                origin=start,
                proposal=start,
                difference=jnp.asarray(-jnp.inf, dtype),
                forward=zero,
                exponent=zero,
                direction=zero,
                passed=jnp.bool_(False),
                n_gradients=zero,
            ),
        )
        probability = jnp.where(search.passed, jnp.minimum(1, jnp.exp(search.difference)), 0)
        accepted = uniforms[2] < probability
        statistics = jnp.stack(
            [
                probability.astype(dtype),
                search.n_gradients.astype(dtype),
                search.passed.astype(dtype),
                jnp.exp2(search.forward.astype(dtype)),
            ]
        )
        return _choose(accepted, search.proposal.state, state), statistics

    def adapt(self, tuning: AutoStepTuning, outcome: RoundOutcome) -> AutoStepTuning:
        change = outcome.statistics["step_factor"]
        usable = np.isfinite(change) & (change > 0)
        step = tuning.step_size * np.where(usable, change, 1.0)
        scale = tuning.scale
        if outcome.round >= FIRST_SCALED_ROUND:
            scale = np.sqrt(neighbour_variances(scale**2, outcome))
        scale = np.exp(carried_over(np.log(scale), outcome))
        factor: Floats | None = None
        if tuning.factor is not None:
            factor = covariance_factors(outcome, scale)
        return AutoStepTuning(
            step_size=np.exp(carried_over(np.log(step), outcome)),
            scale=scale,
            factor=factor,
            n_refresh=self._refreshes(tuning, outcome),
        )

    def _refreshes(self, tuning: AutoStepTuning, outcome: RoundOutcome) -> np.ndarray | None:
        """Return steps per scan of the next round: n of them leave the autocorrelation rho_1^n."""
        old = tuning.n_refresh
        if old is None or outcome.round < FIRST_MEASURED_ROUND:
            return old
        slope = np.log(clipped_autocorrelation(outcome)) / old
        per_step = np.nan_to_num(outcome.statistics["n_gradients"]) / old
        options = np.repeat(np.arange(1.0, MOST_REFRESHES + 1)[:, None], len(old), axis=1)
        best = best_effort(options, options * per_step, lambda n: np.exp(slope * n), outcome)
        best = np.clip(best, old // 2, 2 * old)
        moved = carried_over(np.where(outcome.betas > 0, best, old), outcome)
        return np.clip(np.rint(moved), 1, MOST_REFRESHES).astype(np.int32)


def _taken_in(search: Search, result: Point, difference: Array, more: Array, less: Array) -> Search:
    """Return the search after the trial at `search.exponent`: it names the next one, or has ended.
    `more` and `less`: whether the selector would double the step, or halve it."""
    e = search.exponent
    direction = jnp.where(
        search.direction != 0, search.direction, jnp.where(more, 1, jnp.where(less, -1, 0))
    )
    inside = jnp.abs(e) < LARGEST_EXPONENT
    growing, shrinking = direction > 0, direction < 0
    goes_on = inside & ((growing & more) | (shrinking & less))
    # Doubling ends one step before the trial that was not easy any more.
    stepped_back = growing & ~more
    found = jnp.where(stepped_back, e - 1, e)
    forward = search.phase == FORWARD
    keep = forward & ~stepped_back
    proposal = _choose(keep, result, search.proposal)
    kept_difference = jnp.where(keep, difference, search.difference)

    ends_forward = forward & ~goes_on
    ends_backward = ~forward & ~goes_on
    flipped = Point(proposal.state, -proposal.p, proposal.joint)
    possible = jnp.isfinite(kept_difference)
    # A backward search that has passed the forward exponent cannot come back to it.
    lost = ~forward & goes_on & jnp.where(growing, e > search.forward, e <= search.forward)
    return Search(
        phase=jnp.where(
            ends_backward | lost | (ends_forward & ~possible),
            DONE,
            jnp.where(ends_forward, BACKWARD, search.phase),
        ),
        origin=_choose(ends_forward, flipped, search.origin),
        proposal=proposal,
        difference=kept_difference,
        forward=jnp.where(ends_forward, found, search.forward),
        exponent=jnp.where(ends_forward, 0, e + direction),
        direction=jnp.where(ends_forward, 0, direction),
        passed=ends_backward & (found == search.forward),
        n_gradients=search.n_gradients,
    )


def _choose(condition: Array, a: T, b: T) -> T:
    result: T = jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
    return result
