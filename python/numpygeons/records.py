"""Names what is known of a finished round."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple

import numpy as np

from numpygeons._core import evidence, tempering
from numpygeons.arrays import Floats, read_only

Severity = Literal["note", "warning", "wrong"]


class Flag(NamedTuple):
    """Something to know about a result: the report prints it after "flag:"."""

    name: str
    severity: Severity  # worth knowing | may be worse than its error says | wrong by more than that
    reason: str  # with the numbers behind it
    advice: str  # what to do next

    def __str__(self) -> str:
        return f"{self.name} ({self.severity}): {self.reason}; {self.advice}"


def as_flag(flag: evidence.Flag) -> Flag:
    """Return a flag of the core."""
    return Flag(flag.name, flag.severity, flag.reason, flag.advice)


class ZeroLikelihood(NamedTuple):
    """Where the first state of likelihood zero (V = -inf, or not a number) was met."""

    replica: int
    chain: int
    beta: float
    scan: int  # 1-based


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundRecord:
    """What one round measured; all logarithms are natural, chains run from reference to target."""

    round: int  # 1-based
    n_scans: int
    seconds: float  # wall time of the scans and the adaptation, without compilation
    compile_seconds: (
        float  # what was compiled for it: in a run's first round, or its first once loaded
    )
    schedule: Floats  # shape (n_chains,)
    swap_acceptance: Floats  # shape (n_chains - 1,), mean over all scans, one per neighbouring pair
    global_barrier: float  # sum of the mean rejections, in [0, n_chains - 1]
    global_barrier_error: float  # standard error of that sum
    log_z: float  # of this round alone; NaN with one chain
    log_z_variance: float
    log_z_dof: float
    flags: tuple[Flag, ...]
    energy_ac1: Floats  # shape (n_chains,): correlation of V before and after exploring; NaN at 0
    explorer_acceptance: Floats  # shape (n_chains,), NaN where exact draws are made
    step_sizes: Floats  # shape (n_chains,)
    n_gradients: int  # of all chains, in this round
    n_restarts: int
    n_round_trips: int
    n_zero_likelihood: int = 0  # states at the reference whose V was -inf or not a number
    n_not_a_number: int = 0  # draws from the reference whose V was not a number: part of those
    first_zero_likelihood: ZeroLikelihood | None = None
    # Draws from the reference without a finite density, made again; for those that have no
    # likelihood either, log_z has been corrected by the logarithm of the share of the others.
    n_redrawn: int = 0
    n_redrawn_likely: int = 0  # of these, the ones with a likelihood, whose share is not known
    # Of a run's last round in single precision: what rounding of V does, in nats; None: not known.
    coarseness: float | None = None  # the larger of |coarse_shift| and the spread of V's errors
    coarse_shift: float | None = None  # by how much log Z is too high
    explorer: dict[str, Floats] = field(default_factory=dict)  # its means, by chain
    chosen: dict[str, Floats] = field(default_factory=dict)  # what it chose by itself, by chain

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, part.name, read_only(value))
            elif isinstance(value, dict):
                object.__setattr__(self, part.name, {k: read_only(v) for k, v in value.items()})

    @property
    def extrapolated_barrier(self) -> float:
        """The barrier in the limit of many chains, from the acceptances of these: unlike
        `global_barrier` it does not end at n_chains - 1. 2 * extrapolated_barrier + 1 chains are a
        good number."""
        return tempering.extrapolated_barrier(self.swap_acceptance)

    @property
    def log_z_error(self) -> float:
        """Standard error of `log_z`, in nats."""
        return float(np.sqrt(self.log_z_variance))
