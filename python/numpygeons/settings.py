"""Checks what the user asks for, before anything is compiled."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

RECORDERS = ("traces", "index_process", "online", "disk")
# Recorders of scripts for Pigeons that every run has, by fields of `RoundRecord`: their names are
# accepted, and switch nothing.
ALWAYS_ON = {
    "log_sum_ratio": ("log_z", "log_z_error"),
    "timing": ("seconds", "compile_seconds"),
    "round_trip": ("n_restarts", "n_round_trips"),
    "energy_ac1": ("energy_ac1",),
}
DRIVERS = ("fused", "stepwise", "device")
Lanes = int | Literal["auto"]
MOST_ROUNDS = 30  # 2**30 scans
MOST_CHAINS = 2**16


class Default:
    """Marks the value that an argument has unless it is given."""


class DefaultInteger(int, Default):
    """An integer that nobody gave."""


class DefaultName(str, Default):
    """A name that nobody gave."""


def record_default() -> tuple[str, ...]:
    """Name the recorders that a run has by itself: the draws, and what is always on."""
    return ("traces", *ALWAYS_ON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's settings, checked."""

    n_chains: int = 10
    n_rounds: int = 10
    seed: int = 1
    record: tuple[str, ...] = record_default()
    driver: str = "fused"
    lanes: Lanes = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.n_chains <= MOST_CHAINS:
            raise ValueError(
                f"n_chains must lie between 1 and {MOST_CHAINS}: got {self.n_chains}; "
                "1 is plain MCMC on the target, 10 a good start"
            )
        if not 0 <= self.n_rounds <= MOST_ROUNDS:
            raise ValueError(
                f"n_rounds must lie between 0 and {MOST_ROUNDS}: got {self.n_rounds}; "
                "round r has 2**r scans"
            )
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must lie in [0, 2**64): got {self.seed}")
        if not isinstance(self.driver, str):
            raise TypeError(f"driver must be one of {DRIVERS}: got {self.driver!r}")
        if self.driver not in DRIVERS:
            raise ValueError(f"driver must be one of {DRIVERS}: got {self.driver!r}")


def check_workers(driver: str, n_processes: int, n_threads: int) -> None:
    """Raise where the driver cannot work with so many.

    Raises
    ------
    ValueError
        For the device's driver with more than one process or thread.
    """
    if driver == "device" and (n_processes > 1 or n_threads > 1):
        raise ValueError(
            'driver="device" runs all replicas as one batch, for one process with one thread: got '
            f"{n_processes} process{'es' * (n_processes > 1)} and n_threads = {n_threads}; use "
            'driver="stepwise", or "fused" on CPUs, to split the replicas'
        )


def as_integer(name: str, value: Any) -> int:
    """Return `value` as an int, or a TypeError that names it; True and 2.0 are not integers."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer: got {value!r}")
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        if str(value.dtype).startswith("key<"):
            raise TypeError(
                f"{name} must be an integer: got a key of jax.random; write a number such as 1, "
                "from which all keys of the run are made"
            )
        if value.shape != () or np.dtype(value.dtype).kind not in "iu":
            raise TypeError(
                f"{name} must be an integer: got an array of shape {value.shape} and dtype "
                f"{value.dtype}; write a number such as 1"
            )
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer: got {value!r} of type {type(value).__name__}"
        ) from None


def as_real(name: str, value: Any) -> float:
    """Return `value` as a float, or a TypeError that names it; True and text are no numbers."""
    is_number = isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
    if isinstance(value, bool | np.bool_) or not is_number:
        raise TypeError(f"{name} must be a number: got {value!r} of type {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number: got {value!r} of type {type(value).__name__}"
        ) from None


def as_switch(name: str, value: Any) -> bool:
    """Return `value` as True or False, which 1 and 0 stand for too, or a TypeError that names
    it."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} must be True or False: got {value!r} of type {type(value).__name__}")


def as_lanes(value: Any) -> Lanes:
    """Return `value` as "auto" or an int of at least 1."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f'lanes must be an integer or "auto": got {value!r}')
        return "auto"
    return as_count("lanes", value)


def as_recorders(record: Iterable[Any] | None) -> tuple[str, ...]:
    """Return the names of the recorders asked for, each once, in the order given."""
    if record is None:
        return record_default()
    if isinstance(record, str):
        raise TypeError(f"record must be a list of recorders: got {record!r}; write [{record!r}]")
    if isinstance(record, Mapping) or not isinstance(record, Iterable) or hasattr(record, "dtype"):
        raise TypeError(
            f"record must be a list of recorders: got {record!r} of type {type(record).__name__}; "
            f"choose names from {RECORDERS}"
        )
    # The order in a set is another one in each process.
    names = sorted(record, key=str) if isinstance(record, Set) else list(record)
    for name in names:
        if not isinstance(name, str):
            raise NotImplementedError(
                f"recorder objects are not supported yet: got {name!r}; name one of {RECORDERS}"
            )
        if name not in RECORDERS and name not in ALWAYS_ON:
            raise ValueError(f"unknown recorder {name!r}: choose from {RECORDERS}")
    return tuple(dict.fromkeys(names))


def as_count(name: str, value: Any) -> int:
    """Return `value` as an int of at least 1."""
    count = as_integer(name, value)
    if count < 1:
        raise ValueError(f"{name} must be at least 1: got {count}")
    return count
