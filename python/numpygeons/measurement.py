"""Measures a finished round: swaps, barrier, evidence, and how well the explorers mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons import _core
from numpygeons.arrays import Floats
from numpygeons.records import Flag, RoundRecord, ZeroLikelihood


def energy_autocorrelation(v: Floats, replicas: npt.NDArray[Any]) -> Floats:
    """Correlation, over scans, of V before and after exploring; shape (n_chains,).

    Near 1 the explorer hardly moves V, and swaps meet the same values again. Scans where either
    value is -inf are left out; NaN where fewer than three are left or V is constant.

    Parameters
    ----------
    v : array, shape (n_scans, n_chains)
        V after exploring, by chain.
    replicas : array of integers, shape (n_scans, n_chains)
        Who sat at each chain.
    """
    n_scans, n_chains = v.shape
    places = np.arange(n_scans)[:, None] * n_chains + replicas
    by_replica = np.empty(v.size)
    by_replica[places] = v
    before, after = by_replica[places[1:] - n_chains], v[1:]
    finite = np.isfinite(before) & np.isfinite(after)
    n = np.maximum(finite.sum(axis=0), 1)

    def centred(a: Floats) -> Floats:
        if finite.all():
            centred: Floats = a - a.mean(axis=0)
            return centred
        a = np.where(finite, a, 0.0)
        return np.where(finite, a - a.sum(axis=0) / n, 0.0)

    def products(a: Floats, b: Floats) -> Floats:
        sums: Floats = np.einsum("sc,sc->c", a, b)
        return sums

    x, y = centred(before), centred(after)
    norms = np.sqrt(products(x, x)) * np.sqrt(products(y, y))
    usable = (finite.sum(axis=0) >= 3) & (norms > 0)
    correlations = np.full(n_chains, np.nan)
    correlations[usable] = products(x, y)[usable] / norms[usable]
    return correlations


def ideal_restarts(swap_acceptance: Floats) -> float:
    """Restarts per scan if exploring drew V afresh, from the pairs' mean acceptances.

    Source: Syed et al. (2022), theorem 1: 1 / (2 + 2 sum r / (1 - r)), r the rejections. NaN
    without pairs, 0 where a pair never swaps.
    """
    if len(swap_acceptance) == 0:
        return float("nan")
    with np.errstate(divide="ignore"):
        return float(1 / (2 + 2 * np.sum((1 - swap_acceptance) / swap_acceptance)))


def measure(
    data: _core.engine.RoundData,
    betas: Floats,
    statistics: tuple[str, ...],
    step_sizes: Floats,
) -> tuple[RoundRecord, _core.evidence.RoundEvidence]:
    """The record of a finished round, to which the caller adds the times, and its evidence."""
    explored = betas > 0
    sums = dict(zip(statistics, data.statistic_sums.T, strict=True))
    means = {name: np.where(explored, a / data.n_scans, np.nan) for name, a in sums.items()}
    evidence = _core.evidence.round_evidence(data.v, data.replicas, betas, betas[0] == 0)
    swaps = _core.evidence.swap_statistics(data.v, betas)
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
        flags=tuple(Flag(flag.name, flag.reason) for flag in evidence.flags),
        energy_ac1=np.where(explored, energy_autocorrelation(data.v, data.replicas), np.nan),
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
