"""Tunes Hamiltonian Monte Carlo between rounds: steps, scales, integration times, mixtures.

Everything is per chain, from the statistics of the finished round, and moves with beta to the next
schedule. The step follows the acceptance; the scale the visits to neighbouring chains; the
integration time, if it is asked to, the autocorrelation of V (`numpygeons.explorers.effort`).

A chain takes independence steps in few dimensions always, and in more where its mixture and the
target's have modes apart, the target's twice in a row, which trajectories do not cross. Their
number follows their acceptance: as many as make one of them succeed more often than not. Where they
help, in few dimensions, the trajectory is short: it has only to move within its region, and a long
one would leave it and be refused. Elsewhere, and before the replicas have spread, trajectories are
longer: what no component covers, such as the tail of a funnel, they alone can reach.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import numpy as np

from numpygeons._core.tuning import tuned_steps
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import RoundOutcome, Start
from numpygeons.explorers.effort import (
    FIRST_MEASURED_ROUND,
    best_effort,
    clipped_autocorrelation,
)
from numpygeons.explorers.mixture import (
    N_POINTS,
    Mixtures,
    fitted_mixtures,
    has_modes_apart,
    of_target,
    single_normals,
)
from numpygeons.explorers.preconditioners import DiagonalPreconditioner, Preconditioner
from numpygeons.explorers.scale import (
    N_SNAPSHOTS,
    carried_over,
    covariance_factors,
    diagonal_factors,
    neighbour_variances,
)

FIRST_STEP = 0.1
FIRST_SCALED_ROUND = 3  # earlier rounds have too few visits
FIRST_LONG_ROUND = 4  # rounds before it take a single leapfrog step

ALWAYS_MIXED_DIMENSIONS = 8  # up to here proposals from a mixture always pay
MOST_MIXED_DIMENSIONS = 32  # beyond, too few states are kept to fit one
FIRST_FITTED_ROUND = 5  # 32 scans; the replicas have begun to spread
TRUSTED_FITS = 2  # in a row that have modes apart: one often has where there are none
MISSED = 0.4  # probability that no independence step of a scan is accepted, if there are enough
UNKNOWN_RATE = 0.05  # acceptance of independence steps of a chain that has taken none
HOPELESS = 0.01  # acceptance of independence steps below which one is enough, to see it rise
HELPFUL = 0.1  # acceptance from which the trajectory may be short
DOUBTFUL = 2  # independence steps at most in many dimensions, where they do not help
SHORT_TRAJECTORY = 1  # leapfrog steps at most, where independence steps help
MIXED_TRAJECTORY = 16  # and where they do not: 8 was too short for a funnel, 32 gained nothing

FIRST_TIME = np.pi / 4  # integration time of a trajectory, in units of the scale
TIMES = np.pi / 2 * 2.0 ** -np.arange(0, 1.25, 0.25)  # on offer: pi/2 is a quarter of a period


class HMCTuning(NamedTuple):
    """One row per chain."""

    step_size: Floats  # shape (n_chains,), in units of `scale`
    time: Floats  # shape (n_chains,), integration time of trajectories in units of `scale`
    length: np.ndarray  # shape (n_chains,), leapfrog steps, int32
    scale: Floats  # shape (n_chains, dimension), unconstrained units
    factor: Floats | None  # shape (n_chains, dimension, dimension), for a dense preconditioner
    regions: Regions | None  # None in many dimensions


class Regions(NamedTuple):
    """What chains with a fitted mixture use; one row per chain."""

    n_independent: np.ndarray  # shape (n_chains,), independence steps, int32; 0: no mixture
    rate: Floats  # shape (n_chains,), their acceptance
    step_size: Floats  # shape (n_chains,), in units of the factors of the mixture
    n_apart: np.ndarray  # shape (n_chains,), fits in a row with modes apart in the target, int32
    mixture: Mixtures


class Plain(NamedTuple):
    """What trajectories of chains without a mixture read; one row per chain."""

    step_size: Floats  # shape (n_chains,), in units of `scale`
    length: np.ndarray | Array  # shape (n_chains,), leapfrog steps, int32
    scale: Floats  # of `HMCTuning`, or its factor where it has one


class Mixed(NamedTuple):
    """What explorations of chains with a mixture read; one row per chain."""

    step_size: Floats  # shape (n_chains,), in units of the factors of the mixture
    length: np.ndarray | Array  # shape (n_chains,), leapfrog steps, int32
    n_independent: np.ndarray  # shape (n_chains,), independence steps, int32; 0: no mixture
    mixture: Mixtures


class Ways(NamedTuple):
    """What a round's explorations read, of the ways that its chains take."""

    plain: Plain | None
    mixed: Mixed | None


class HMCSettings(Protocol):
    """The parameters of `numpygeons.HMC` that tuning looks at."""

    @property
    def preconditioner(self) -> Preconditioner: ...

    @property
    def acceptance(self) -> float: ...
    @property
    def integration_time(self) -> float | Literal["auto"]: ...
    @property
    def max_length(self) -> int: ...
    @property
    def n_components(self) -> int: ...
    @property
    def max_independent(self) -> int: ...


def is_mixed(settings: HMCSettings, dimension: int) -> bool:
    """Return whether chains may have mixtures."""
    return settings.n_components > 1 and dimension <= MOST_MIXED_DIMENSIONS


def n_snapshots(settings: HMCSettings, dimension: int) -> int:
    """Say how many states per chain and round tuning looks at."""
    dense = settings.preconditioner.needs_covariance
    return N_SNAPSHOTS if dense or is_mixed(settings, dimension) else 0


def first_region_step(dimension: int) -> float:
    """Return the step at which the variance of the energy error, eps^4 d / 16, is 1/16: in units of
    the factors every density is about a standard normal."""
    return float(dimension**-0.25)


def unused(mixture: Mixtures, scale: Floats, n_apart: int = 0) -> Regions:
    """Return the regions of which no chain makes use; `scale` has shape (n_chains, dimension)."""
    n, dimension = scale.shape
    return Regions(
        n_independent=np.zeros(n, np.int32),
        rate=np.full(n, UNKNOWN_RATE),
        step_size=np.full(n, first_region_step(dimension)),
        n_apart=np.full(n, n_apart, np.int32),
        mixture=mixture,
    )


def first_tuning(settings: HMCSettings, start: Start) -> HMCTuning:
    """Return the tuning of the first round."""
    n, dimension = len(start.betas), len(start.scale)
    scale = np.tile(start.scale, (n, 1))
    time = FIRST_TIME if settings.integration_time == "auto" else settings.integration_time
    regions = None
    if is_mixed(settings, dimension):
        centres = np.tile(start.centre, (n, 1))
        regions = unused(single_normals(centres, scale, settings.n_components), scale)
    return HMCTuning(
        step_size=np.full(n, FIRST_STEP),
        time=np.full(n, time),
        length=np.ones(n, np.int32),
        scale=scale,
        factor=diagonal_factors(scale) if settings.preconditioner.needs_covariance else None,
        regions=regions,
    )


def plain_way(tuning: HMCTuning) -> Plain:
    return Plain(
        step_size=tuning.step_size,
        length=tuning.length,
        scale=tuning.scale if tuning.factor is None else tuning.factor,
    )


def mixed_way(tuning: HMCTuning) -> Mixed:
    regions = tuning.regions
    assert regions is not None
    return Mixed(
        step_size=np.where(regions.n_independent > 0, regions.step_size, tuning.step_size),
        length=tuning.length,
        n_independent=regions.n_independent,
        mixture=regions.mixture,
    )


def ways(settings: HMCSettings, tuning: HMCTuning) -> Ways:
    """Return those that the chains of a round take.

    In few dimensions all take the mixed one: until their mixtures are fitted these are single
    normals of the chain's scale, so that a trajectory in the region of one is what it is without.
    In more dimensions chains come and go, and the program of both ways serves also where all take
    the mixed one.
    """
    if tuning.regions is None:
        return Ways(plain_way(tuning), None)
    takes_mixed = bool(np.any(tuning.regions.n_independent > 0))
    if tuning.scale.shape[1] > ALWAYS_MIXED_DIMENSIONS:
        return Ways(plain_way(tuning), mixed_way(tuning) if takes_mixed else None)
    if takes_mixed or isinstance(settings.preconditioner, DiagonalPreconditioner):
        return Ways(None, mixed_way(tuning))
    return Ways(plain_way(tuning), None)


def adapted(settings: HMCSettings, tuning: HMCTuning, outcome: RoundOutcome) -> HMCTuning:
    """Return the tuning of the next round."""
    acceptance = outcome.statistics["acceptance"]
    plain = np.ones(len(outcome.betas), bool)
    if tuning.regions is not None:
        plain = tuning.regions.n_independent == 0

    def tuned(steps: Floats, used: np.ndarray) -> Floats:
        seen = np.where(used, acceptance, np.nan)
        return tuned_steps(steps, seen, settings.acceptance, outcome.n_scans)

    step, scale = tuned(tuning.step_size, plain), tuning.scale
    if outcome.round >= FIRST_SCALED_ROUND:
        scale = np.sqrt(neighbour_variances(scale**2, outcome))
    change = np.exp(np.mean(np.log(tuning.scale) - np.log(scale), axis=1))
    step = step * np.clip(change, 0.1, 10.0)
    time = _times(settings, tuning, outcome, step, plain)
    step = np.exp(carried_over(np.log(step), outcome))
    scale = np.exp(carried_over(np.log(scale), outcome))
    time = np.exp(carried_over(np.log(time), outcome))
    length = _lengths(settings, outcome, step, time)
    regions = tuning.regions
    if regions is not None:
        regions = _regions(settings, regions, outcome, tuned(regions.step_size, ~plain), scale)
        mixed = regions.n_independent > 0
        short = (regions.rate >= HELPFUL) & (scale.shape[1] <= ALWAYS_MIXED_DIMENSIONS)
        most = np.where(short, SHORT_TRAJECTORY, MIXED_TRAJECTORY)
        own = np.minimum(_lengths(settings, outcome, regions.step_size, time), most)
        length = np.where(mixed, own, length).astype(np.int32)
    return HMCTuning(
        step_size=step,
        time=time,
        length=length,
        scale=scale,
        factor=None if tuning.factor is None else covariance_factors(outcome, scale),
        regions=regions,
    )


def _times(
    settings: HMCSettings, tuning: HMCTuning, outcome: RoundOutcome, step: Floats, plain: np.ndarray
) -> Floats:
    """Return the integration times for the next round, in the chains of the finished one.

    For a normal V decorrelates as cos^2 of the time, about exp(-time^2): log rho is taken to
    be proportional to -time^2.
    """
    if settings.integration_time != "auto" or outcome.round < FIRST_MEASURED_ROUND:
        return tuning.time
    slope = -np.log(clipped_autocorrelation(outcome)) / tuning.time**2
    options = np.repeat(TIMES[:, None], len(step), axis=1)
    gradients = np.clip(np.ceil(options / step), 1, settings.max_length)
    best = best_effort(options, gradients, lambda time: np.exp(-slope * time**2), outcome)
    return np.where(plain & (outcome.betas > 0), best, tuning.time)


def _regions(
    settings: HMCSettings, old: Regions, outcome: RoundOutcome, step: Floats, scale: Floats
) -> Regions:
    """Fit the mixtures, and spend on each chain what its acceptance asks for."""
    dimension = scale.shape[1]
    if outcome.round < FIRST_FITTED_ROUND:
        return old._replace(mixture=single_normals(outcome.means, scale, settings.n_components))
    n_apart = 0
    if dimension > ALWAYS_MIXED_DIMENSIONS:
        at_target = fitted_mixtures(outcome, scale, settings.n_components, target_alone=True)
        if _has_enough_states(outcome) and has_modes_apart(of_target(at_target))[0]:
            n_apart = int(old.n_apart[-1]) + 1
        if n_apart < TRUSTED_FITS:
            # Chains hotter than a target of one mode have one too: fits are not free.
            return unused(at_target, scale, n_apart)
    mixture = fitted_mixtures(outcome, scale, settings.n_components)
    took = old.n_independent > 0
    rate = np.nan_to_num(outcome.statistics["independent_acceptance"])
    rate = np.where(took, np.clip(rate, 1e-3, 0.99), UNKNOWN_RATE)
    rate = np.exp(carried_over(np.log(rate), outcome))
    wanted = np.ceil(np.log(MISSED) / np.log1p(-rate))
    wanted = np.where(rate < HOPELESS, 1, wanted)
    helps = outcome.new_betas > 0
    if dimension > ALWAYS_MIXED_DIMENSIONS:
        helps &= has_modes_apart(mixture)
        wanted = np.where(rate < HELPFUL, np.minimum(wanted, DOUBTFUL), wanted)
    wanted = np.where(helps, np.clip(wanted, 1, settings.max_independent), 0)
    return Regions(
        n_independent=wanted.astype(np.int32),
        rate=rate,
        step_size=np.exp(carried_over(np.log(step), outcome)),
        n_apart=np.full(len(rate), n_apart, np.int32),
        mixture=mixture,
    )


def _has_enough_states(outcome: RoundOutcome) -> bool:
    """Return whether points to fit to need not repeat, which would put them in modes of their own;
    or there will never be more states than now."""
    snapshots = outcome.snapshots
    assert snapshots is not None
    explored = snapshots.v[:, outcome.betas > 0]
    return explored.size >= N_POINTS or len(explored) >= N_SNAPSHOTS


def _lengths(
    settings: HMCSettings, outcome: RoundOutcome, step: Floats, time: Floats
) -> np.ndarray:
    """Return the leapfrog steps of the next round, shape (n_chains,)."""
    if outcome.round + 1 < FIRST_LONG_ROUND:
        return np.ones(len(step), np.int32)
    return np.clip(np.ceil(time / step), 1, settings.max_length).astype(np.int32)
