"""Measures a finished round: swaps, barrier, evidence, and how well the explorers mixed."""

from __future__ import annotations

import numpy as np

from numpygeons._core.engine import RoundData
from numpygeons._core.evidence import (
    RoundEvidence,
    energy_autocorrelation,
    round_evidence,
    swap_statistics,
)
from numpygeons.arrays import Floats
from numpygeons.records import RoundRecord, ZeroLikelihood, as_flag


def measure(
    data: RoundData,
    betas: Floats,
    statistics: tuple[str, ...],
    step_sizes: Floats,
) -> tuple[RoundRecord, RoundEvidence]:
    """Return the record of a finished round, to which the caller adds the times, and its
    evidence."""
    explored = betas > 0
    sums = dict(zip(statistics, data.statistic_sums.T, strict=True))
    means = {name: np.where(explored, a / data.n_scans, np.nan) for name, a in sums.items()}
    evidence = round_evidence(data.v, data.replicas, betas, betas[0] == 0)
    swaps = swap_statistics(data.v, betas)
    energy_ac1 = energy_autocorrelation(data.v, data.replicas)
    first = data.first_zero_likelihood
    record = RoundRecord(
        round=data.round,
        n_scans=data.n_scans,
        seconds=0.0,
        compile_seconds=0.0,
        schedule=betas,
        swap_acceptance=np.asarray(swaps.acceptance),
        global_barrier=swaps.sum_of_rejections,
        global_barrier_error=float(np.sqrt(swaps.sum_of_rejections_variance)),
        log_z=evidence.log_z,
        log_z_variance=evidence.variance,
        log_z_dof=evidence.dof,
        flags=tuple(as_flag(flag) for flag in evidence.flags),
        energy_ac1=np.where(explored, energy_ac1, np.nan),
        explorer_acceptance=means.get("acceptance", np.full(len(betas), np.nan)),
        step_sizes=np.where(explored, step_sizes, np.nan),
        n_gradients=round(float(sums["n_gradients"].sum())) if "n_gradients" in sums else 0,
        n_restarts=data.n_restarts,
        n_round_trips=data.n_round_trips,
        n_zero_likelihood=data.n_zero_likelihood,
        first_zero_likelihood=None if first is None else ZeroLikelihood(*first),
        explorer=means,
    )
    return record, evidence
