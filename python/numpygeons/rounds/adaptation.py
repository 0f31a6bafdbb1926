"""Prepares the next round: its schedule, the explorer's tuning, and the units of its moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from numpygeons._core.engine import RoundData
from numpygeons._core.evidence import RoundEvidence
from numpygeons._core.tempering import ideal_restart_rate, tuned_schedule
from numpygeons.arrays import Floats
from numpygeons.explorers.base import Explorer, RoundOutcome, Snapshots
from numpygeons.explorers.checks import check_adapted
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.records import RoundRecord
from numpygeons.rounds.run_state import Between

ENOUGH_VISITS = 8  # scans from which on the moments of a round are worth using


def adapted(
    before: Between,
    data: RoundData,
    record: RoundRecord,
    evidence: RoundEvidence,
    explorer: Explorer,
    reference_v: Floats,
    dtype: np.dtype[Any],
) -> Between:
    """Return the state before a round, with all that it leaves for the next one but its results.

    `reference_v`: V of draws from the reference, descending; `dtype`: the model's number type.
    """
    betas = before.betas
    new_betas = held_by(
        tuned_schedule(betas, 1 - record.swap_acceptance, record.n_scans, reference_v), dtype
    )
    outcome = RoundOutcome(
        round=record.round,
        n_scans=record.n_scans,
        betas=betas,
        new_betas=new_betas,
        statistics=record.explorer,
        counts=data.counts,
        means=data.means,
        squared_deviations=data.squared_deviations,
        snapshots=_snapshots(data, evidence),
        energy_ac1=record.energy_ac1,
        restarts=record.n_restarts / record.n_scans,
        ideal_restarts=ideal_restart_rate(record.swap_acceptance),
    )
    centres, scales = _units(before, outcome)
    tuning = explorer.adapt(before.tuning, outcome)
    return replace(
        before,
        betas=new_betas,
        tuning=check_adapted(explorer, before.tuning, tuning, outcome),
        centres=centres,
        scales=scales,
    )


def _units(before: Between, outcome: RoundOutcome) -> tuple[Floats, Floats]:
    """Return the centre and scale in which the moments of the next round are taken, by chain."""
    if outcome.n_scans < ENOUGH_VISITS:
        return before.centres, before.scales
    explored = (outcome.betas > 0)[:, None]
    variances = neighbour_variances(before.scales**2, outcome)
    centres = carried_over(np.where(explored, outcome.means, before.centres), outcome)
    return centres, np.sqrt(carried_over(variances, outcome))


def _snapshots(data: RoundData, evidence: RoundEvidence) -> Snapshots | None:
    """Return the states that the explorer asked to see, or None."""
    stride = data.snapshot_stride
    if stride == 0:
        return None
    return Snapshots(
        x=data.snapshots,
        v=data.v[stride - 1 :: stride],
        log_z=np.nan_to_num(evidence.log_z_by_chain),
    )


def held_by(betas: Floats, dtype: np.dtype[Any]) -> Floats:
    """Return betas that the model's number type holds exactly, so that explorers, which compute in
    that type, keep the very densities that the swaps compare."""
    rounded = np.asarray(betas).astype(dtype).astype(np.float64)
    return rounded if np.all(np.diff(rounded) > 0) else np.asarray(betas)
