"""Reads the evidence of a run from its rounds' records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numpygeons._core.evidence import PooledEvidence, pool
from numpygeons.records import RoundRecord

POOLED_ROUNDS = 3


def pooled_evidence(records: Sequence[RoundRecord]) -> PooledEvidence | None:
    """Return log Z and its variance from the last rounds; None with one chain, which cannot
    tell."""
    if len(records[-1].schedule) == 1:
        return None
    return pool(
        [
            (r.n_scans, r.log_z, r.log_z_variance, r.log_z_dof, bool(r.flags))
            for r in records[: -POOLED_ROUNDS - 1 : -1]
        ]
    )


def student_interval(evidence: PooledEvidence, level: float = 0.95) -> tuple[float, float]:
    """Return the Student interval for log Z, nats.

    Raises
    ------
    ValueError
        When level is not in (0, 1).
    """
    from scipy.special import stdtrit

    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1): got {level}")
    half = float(stdtrit(evidence.dof, 0.5 + 0.5 * level)) * float(np.sqrt(evidence.variance))
    return evidence.log_z - half, evidence.log_z + half
