"""Makes one picklable value of a run, as it is after its last round, and a run of that value."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpygeons.checkpoint.description import Description, describe
from numpygeons.checkpoint.origin import unpickled
from numpygeons.checkpoint.plain import Arrays
from numpygeons.checkpoint.state import from_arrays, to_arrays
from numpygeons.rounds.draws_on_disk import DiskDraws
from numpygeons.rounds.rounds import Rounds
from numpygeons.settings import Settings
from numpygeons.target.path import as_path
from numpygeons.xla.precision import run_precision


class Packed(NamedTuple):
    """A run between two rounds, of plain data alone."""

    origin: bytes  # target and explorer
    dtype: str
    settings: Settings
    state: tuple[Arrays, dict[str, Any]] | None  # None where no round was finished
    draws: DiskDraws | None  # where the draws are that are not in memory


def pack(rounds: Rounds, description: Description | None) -> Packed:
    """Raise TypeError when target or explorer cannot be pickled."""
    description = description or describe(
        rounds.target, rounds.explorer, rounds.settings, rounds.path
    )
    state, traces = rounds.state, rounds.state.traces
    return Packed(
        origin=description.origin,
        dtype=description.dtype,
        settings=rounds.settings,
        state=to_arrays(state) if rounds.is_started else None,
        draws=None if traces is None else traces.disk,
    )


def unpack(packed: Packed) -> Rounds:
    """Return the run, in this process; compile nothing before it goes on."""
    target, explorer = unpickled(packed.origin, packed.dtype)
    with run_precision(packed.dtype):
        path = as_path(target)
        state = None
        if packed.state is not None:
            state = from_arrays(*packed.state, path, explorer, packed.settings)
            if state.traces is not None:
                state.traces.disk = packed.draws
    return Rounds.loaded(path, explorer, packed.settings, target, state)
