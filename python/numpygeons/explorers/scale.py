"""Estimates the scale of each coordinate per chain, and carries tuning over to a new schedule."""

from __future__ import annotations

import numpy as np

from numpygeons import _core
from numpygeons.arrays import Floats
from numpygeons.explorers.base import RoundOutcome

PRIOR_VISITS = 10  # what the old variance weighs, in visits


def neighbour_variances(old: Floats, outcome: RoundOutcome) -> Floats:
    """Variance of the unconstrained coordinates at each chain, shape (n_chains, dimension).

    Pools the visits of all replicas to the chain and its two neighbours, with the term between
    the groups, but never those to the reference, whose draws may have no variance. The old
    variance keeps the weight of ten visits.
    """
    return np.asarray(
        _core.engine.neighbour_variances(
            old,
            outcome.counts,
            outcome.means,
            outcome.squared_deviations,
            PRIOR_VISITS,
            outcome.betas[0] == 0,
        )
    )


def carried_over(values: Floats, outcome: RoundOutcome) -> Floats:
    """Values per chain, interpolated in log beta from the old schedule to the new one."""
    flat = values.reshape(len(values), -1)
    moved = _core.engine.carry_over(outcome.betas, flat, outcome.new_betas)
    return np.asarray(moved).reshape(values.shape)
