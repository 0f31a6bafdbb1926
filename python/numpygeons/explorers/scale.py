"""Estimates the scale of each coordinate per chain, and carries tuning over to a new schedule."""

from __future__ import annotations

import numpy as np

from numpygeons._core import tuning as core
from numpygeons._core.math import fit_normal_mixture
from numpygeons.arrays import Floats
from numpygeons.explorers.base import RoundOutcome

PRIOR_VISITS = 10  # what the old variance weighs, in visits
FIRST_FACTORED_ROUND = 5  # 32 scans; earlier there are too few states for a covariance
N_SNAPSHOTS = 256  # states per chain and round that it is estimated from
N_POINTS = 512  # how many of all chains' states stand for one beta
FEW_STATES = 4  # states per coordinate that say hardly anything about correlations
LEAST_WEIGHT = 1e-3  # of the diagonal matrix
LEAST_SIZE = 100.0  # Kish size of their weights, below which these are flattened


def neighbour_variances(old: Floats, outcome: RoundOutcome) -> Floats:
    """Return the variance of the unconstrained coordinates at each chain, shape (n_chains,
    dimension).

    Pools the visits of all replicas to the chain and its two neighbours, with the term between
    the groups, but never those to the reference, whose draws may have no variance. The old
    variance keeps the weight of ten visits.
    """
    return np.asarray(
        core.neighbour_variances(
            old,
            outcome.counts,
            outcome.means,
            outcome.squared_deviations,
            PRIOR_VISITS,
            outcome.betas[0] == 0,
        )
    )


def diagonal_factors(scales: Floats) -> Floats:
    """Return the deviations as diagonal matrices, shape (n_chains, dimension, dimension)."""
    factors: Floats = scales[:, :, None] * np.eye(scales.shape[1])
    return factors


def covariance_factors(outcome: RoundOutcome, scales: Floats) -> Floats:
    """Lower triangular F with F F' the covariance at each chain of `outcome.new_betas`, shape
    (n_chains, dimension, dimension), from states of all old chains, reweighted.

    The diagonal matrix of `scales`, shape (n_chains, dimension), squared weighs up to 2 dimension
    states, all of it where hardly more different states are known than coordinates, next to nothing
    where there are many: the result is positive definite, and a thin direction stays thin. Before
    `FIRST_FACTORED_ROUND` the diagonal matrix
    is all there is.
    """
    snapshots = outcome.snapshots
    assert snapshots is not None
    if outcome.round < FIRST_FACTORED_ROUND:
        return diagonal_factors(scales)
    dimension = scales.shape[1]
    explored = outcome.betas > 0
    x, v = snapshots.x[:, explored], snapshots.v[:, explored].ravel()
    all_chains = outcome.betas[explored], snapshots.log_z[explored]
    log_mixture = core.log_mixture(v, *all_chains)
    factors = diagonal_factors(scales)
    for chain, beta in enumerate(outcome.new_betas):
        if beta > 0:
            chosen = core.tempered_sample(v, log_mixture, beta, N_POINTS, LEAST_SIZE)
            points = x.reshape(-1, dimension)[chosen.astype(int)]
            n_known = len(np.unique(chosen))
            weight = np.clip((FEW_STATES * dimension / n_known) ** 2, LEAST_WEIGHT, 1)
            corners = np.sqrt(weight * dimension) * np.diag(scales[chain])
            centre = np.sum(points, axis=0) / len(points)
            points = np.concatenate([points, centre + corners, centre - corners])
            factors[chain] = fit_normal_mixture(points, 1, 1)[2][0]
    return factors


def carried_over(values: Floats, outcome: RoundOutcome) -> Floats:
    """Return values per chain, interpolated in log beta from the old schedule to the new one."""
    flat = values.reshape(len(values), -1)
    moved = core.carry_over(outcome.betas, flat, outcome.new_betas)
    return np.asarray(moved).reshape(values.shape)
