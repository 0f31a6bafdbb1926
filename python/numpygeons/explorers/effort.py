"""Chooses how much exploring a scan is worth, per chain, from the autocorrelation of V.

With exploration so long that V is drawn afresh, the restarts per scan are
tau = 1 / (2 + 2 sum_i r_i / (1 - r_i)), r_i the rejection of pair i (Syed et al. 2022, theorem 1).
Less exploration leaves V correlated with its value before, and swaps then go back and forth. The
loss is modelled as tau / restarts = 1 + k mean_c rho_c / (1 - rho_c), where rho_c is the
correlation of V before and after exploring chain c, and k is measured in the round. Among the
efforts on offer the one is taken that has the smallest product of cost and loss. The cost is the
number of gradients, plus a fixed number for all else that a scan does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numpygeons.arrays import Floats
from numpygeons.explorers.base import RoundOutcome

FIRST_MEASURED_ROUND = 6  # 64 scans; earlier autocorrelations are noise
ENOUGH_RESTARTS = 20  # to measure k
UNKNOWN_LOSS = 0.5  # k before that
LEAST_LOSS, MOST_LOSS = 0.05, 1.0  # of k
FIXED_COST = 8.0  # of exploring a replica once, in gradients of a small model
LOWEST, HIGHEST = 0.02, 0.98  # of an autocorrelation


def loss_of_correlation(outcome: RoundOutcome) -> float:
    """Return k of the module's docstring, as the round measured it."""
    ideal, restarts = outcome.ideal_restarts, outcome.restarts
    if not (np.isfinite(ideal) and restarts * outcome.n_scans >= ENOUGH_RESTARTS):
        return UNKNOWN_LOSS
    rho = clipped_autocorrelation(outcome)[outcome.betas > 0]
    k = (ideal / restarts - 1) / np.mean(rho / (1 - rho))
    return float(np.clip(k, LEAST_LOSS, MOST_LOSS))


def clipped_autocorrelation(outcome: RoundOutcome) -> Floats:
    """Return the correlation of V before and after exploring, shape (n_chains,), away from 0 and
    1."""
    rho = np.nan_to_num(np.asarray(outcome.energy_ac1, np.float64), nan=HIGHEST)
    return np.clip(rho, LOWEST, HIGHEST)


def best_effort(
    options: Floats,
    gradients: Floats,
    autocorrelation: Callable[[Floats], Floats],
    outcome: RoundOutcome,
) -> Floats:
    """Return the best option for each chain, shape (n_chains,).

    Parameters
    ----------
    options : array, shape (n_options, n_chains)
        Efforts on offer, in the order of preference where two are as good.
    gradients : array, shape (n_options, n_chains)
        What they cost.
    autocorrelation : callable
        The correlation of V that an effort would leave.
    outcome : RoundOutcome
        What the round measured.
    """
    rho = np.clip(autocorrelation(options), LOWEST, HIGHEST)
    loss = 1 + loss_of_correlation(outcome) * rho / (1 - rho)
    best = np.argmin((FIXED_COST + gradients) * loss, axis=0)
    chosen: Floats = np.take_along_axis(options, best[None], axis=0)[0]
    return chosen
