"""Tells whether a run that goes on still has the model and the data that it was made with.

A model may read a file, a clock or what another module holds: code that has not changed can be
another model. The first draws from the reference, which every start makes anyhow, are kept with
their densities. They are made by the same program from the same keys, so on the same machine they
come back to the bit, and elsewhere to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from numpygeons.arrays import Floats, Reals
from numpygeons.errors import CheckpointError
from numpygeons.target.potential import State
from numpygeons.xla.compilation_cache import name_for_this_machine

MOST_DRAWS, FEWEST_DRAWS, MOST_NUMBERS = 64, 4, 2**16
# Relative to the larger of 1 and the number, by the model's type: on the machine and with the
# versions of the run, where XLA may still add in another order, and elsewhere.
NEAR = {4: (1e-5, 1e-3), 8: (1e-10, 1e-6)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pilot:
    """Draws from the reference, with what the model says of them."""

    x: Reals  # shape (n, dimension), unconstrained
    log_reference: Floats  # log gamma_0, nats
    v: Floats
    machine: str  # where they were made, and with which versions


def pilot_of(states: State) -> Pilot:
    """Return the first of a batch of draws: as many as are worth keeping."""
    x: Any = np.asarray(states.x)
    n = int(np.clip(MOST_NUMBERS // x.shape[1], FEWEST_DRAWS, MOST_DRAWS))
    return Pilot(
        x=x[:n],
        log_reference=np.asarray(states.log_reference[:n], np.float64),
        v=np.asarray(states.v[:n], np.float64),
        machine=_here(),
    )


@cache
def _here() -> str:
    """Return this machine's processor, and the versions of the packages that decide the bits."""
    return f"{name_for_this_machine()} numpyro {version('numpyro')}"


def check_same_model(was: Pilot, now: Pilot) -> None:
    """Compare the draws of a run with those that its model gives now.

    Raises
    ------
    CheckpointError
        Where they differ by more than rounding. With other versions of the packages the draws may
        be others; nothing is compared then.
    """
    same_place = was.machine == now.machine
    near = NEAR[was.x.dtype.itemsize][not same_place]
    far = _differences(was.x, now.x, exactly=same_place).max(axis=1) > near
    if np.any(far) and not same_place:
        return
    if np.any(far):
        _refuse(f"draw {int(np.argmax(far)) + 1} of {len(far)} from the reference is another")
    for name, before, after in (
        ("log reference", was.log_reference, now.log_reference),
        ("V = log target - log reference", was.v, now.v),
    ):
        difference = _differences(before, after, exactly=same_place)
        draw = int(np.argmax(difference))
        if difference[draw] > near:
            _refuse(
                f"at draw {draw + 1} of {len(before)} from the reference, where the difference is "
                f"largest, {name} was {before[draw]:.8g} and is {after[draw]:.8g}"
            )


def _differences(was: Any, now: Any, *, exactly: bool) -> Any:
    """Return differences relative to the larger of 1 and the number; where one of two is not
    finite, 0 or inf."""
    was, now = np.asarray(was, np.float64), np.asarray(now, np.float64)
    finite = np.isfinite(was) & np.isfinite(now)
    with np.errstate(invalid="ignore"):
        found = np.abs(was - now) / np.maximum(1, np.abs(was))
    same = (was == now) | (np.isnan(was) & np.isnan(now)) | (not exactly)
    return np.where(finite, found, np.where(same, 0.0, np.inf))


def _refuse(what: str) -> None:
    raise CheckpointError(
        f"the model is not the one that this run was made with: {what}; bring back the code, the "
        "files and the data that it had, or start a new run"
    )
