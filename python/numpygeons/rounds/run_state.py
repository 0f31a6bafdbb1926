"""States how a run stands: between two rounds, or in the middle of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from numpygeons._core.engine import RoundData, UnfinishedRound
from numpygeons._core.evidence import RoundEvidence
from numpygeons.arrays import Floats, Integers
from numpygeons.records import RoundRecord
from numpygeons.rounds.same_model import Pilot
from numpygeons.rounds.traces import Traces
from numpygeons.target.potential import Replicas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Midway:
    """A round in its middle, with which it can go on, on any number of ranks and threads."""

    replicas: Replicas  # leading axis n_chains: by replica
    scans: UnfinishedRound
    traces: Traces  # of the scans so far
    drawn: Integers  # sums of the counts of `reference_draws.Batch`, shape (3,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Between:
    """A run between two rounds. Whole and immutable: an interrupted round leaves no trace."""

    replicas: Replicas  # leading axis n_chains: by replica
    chains: np.ndarray[Any, np.dtype[np.uint32]]  # chain of each replica, shape (n_chains,)
    betas: Floats  # of the next round, shape (n_chains,)
    tuning: Any  # of the next round
    centres: Floats  # units of the moments of the next round, shape (n_chains, dimension)
    scales: Floats
    records: tuple[RoundRecord, ...] = ()  # of the finished rounds
    traces: Traces | None = None  # of the last round, as the next two
    data: RoundData | None = None
    evidence: RoundEvidence | None = None  # None once loaded, until asked for
    midway: Midway | None = None  # in the next round
    pilot: Pilot | None = None  # what the model said first; None where that was not written down

    @property
    def round(self) -> int:
        """Number of finished rounds."""
        return len(self.records)


def nowhere(n_chains: int, dimension: int) -> Between:
    """Return a run that has not begun."""
    nothing: Any = np.empty((n_chains, 0))
    return Between(
        replicas=Replicas(nothing, nothing, nothing, nothing, nothing),
        chains=np.arange(n_chains, dtype=np.uint32),
        betas=np.full(n_chains, np.nan),
        tuning=(),
        centres=np.zeros((n_chains, dimension)),
        scales=np.ones((n_chains, dimension)),
    )
