"""Opens a run from its folder: the last round whose file can be believed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpygeons.checkpoint import file
from numpygeons.checkpoint.description import RUN, Description
from numpygeons.checkpoint.folder import (
    DRAWS,
    Folder,
    finished_rounds,
    round_file,
    unfinished_file,
)
from numpygeons.checkpoint.origin import unpickled
from numpygeons.checkpoint.state import (
    OtherShape,
    from_arrays,
    midway_from_arrays,
    results_from_arrays,
)
from numpygeons.errors import CheckpointError, NumpygeonsWarning
from numpygeons.records import RoundRecord
from numpygeons.rounds.draws_on_disk import DiskDraws
from numpygeons.rounds.rounds import Rounds
from numpygeons.rounds.run_state import Between, Midway
from numpygeons.target.path import TemperedPath, as_path
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.precision import run_precision


class Loaded(NamedTuple):
    """A run as its folder has it."""

    rounds: Rounds
    description: Description
    folder: Folder | None  # to write to as it goes on; None for what `PT.save` wrote


@one_thread()
def load_run(path_or_result: Any) -> Loaded:
    """Open a folder, or the folder of a result; compile nothing.

    Raises
    ------
    TypeError, ValueError
        For something that is not a folder and has none.
    CheckpointError
        When nothing can be loaded from it, or the model has changed its shape.
    """
    path = _folder_of(path_or_result)
    description = Description.read(path)
    try:
        target, explorer = unpickled(description.origin, description.dtype)
    except Exception as error:
        raise CheckpointError(
            f"the target or the explorer in {path / RUN} cannot be loaded here "
            f"({type(error).__name__}: {error}); it was written with {description.versions}"
        ) from error
    with run_precision(description.dtype):
        tempered = as_path(target)
        _check_model(path, description, tempered)

        def state_of(arrays: Any, header: dict[str, Any]) -> Between:
            return from_arrays(arrays, header, tempered, explorer, description.settings)

        state = _last_round(path, description, state_of)
        if state is not None:
            state = replace(
                state, midway=_midway(path, description, tempered, explorer, state.round + 1)
            )
            if state.traces is not None and "disk" in description.settings.record:
                state.traces.disk = DiskDraws(
                    path / DRAWS, state.round, tempered.dimension, tempered.dtype
                )
    rounds = Rounds.loaded(tempered, explorer, description.settings, target, state)
    return Loaded(rounds, description, Folder(path, description) if description.grows else None)


def _folder_of(path_or_result: Any) -> Path:
    place = path_or_result
    if not isinstance(place, str | os.PathLike):
        if not hasattr(place, "folder"):
            raise TypeError(
                "load takes a folder, or a result that has one: got "
                f"{place!r} of type {type(place).__name__}"
            )
        place = place.folder
        if place is None:
            raise ValueError(
                "this run has no folder: ask for checkpoint=True, or write it with its save(path)"
            )
    path = Path(place)
    if not path.exists():
        where = f", which leads to {os.readlink(path)}" if path.is_symlink() else ""
        raise CheckpointError(f"there is no {path}{where} in {Path.cwd()}: name a run's folder")
    if not path.is_dir():
        raise CheckpointError(f"{path} is a file: name the folder it is in")
    if not (path / RUN).exists():
        raise CheckpointError(
            f"{path} holds no run ({RUN} is missing): name a folder that checkpoint= or PT.save "
            "has written"
        )
    return path.resolve()


def _check_model(folder: Path, description: Description, path: TemperedPath) -> None:
    got, wanted = tuple(path.coordinate_names), description.coordinates
    if got == wanted:
        return
    changed = sorted(set(got) ^ set(wanted)) or list(got)
    raise CheckpointError(
        f"the model in {folder} now has other coordinates than the run had: got {len(got)}, "
        f"wanted {len(wanted)}, and {changed[0]!r} is not in both or elsewhere; bring back the "
        "code or the data that it was made with, or start a new run"
    )


def read_records(path_or_result: Any) -> tuple[RoundRecord, ...]:
    """Return what was measured of each finished round, without the model: unpickle nothing.

    Raises
    ------
    TypeError, ValueError, CheckpointError
        As `load_run`.
    """
    path = _folder_of(path_or_result)
    state = _last_round(path, Description.read(path), results_from_arrays)
    return () if state is None else state.records


def _last_round(
    folder: Path, description: Description, put_together: Callable[[Any, dict[str, Any]], Between]
) -> Between | None:
    """Load what was after the last round that can be believed; None when none was finished."""
    numbers = finished_rounds(folder)
    problems: list[str] = []
    for number in reversed(numbers):
        place = folder / round_file(number)
        try:
            arrays, header = _read(place, description, file.ROUND, number)
            with file.sense(place):
                state = put_together(arrays, header)
            if state.round != number:
                raise file.damaged(place, f"it holds {state.round} rounds")
        except file.WrittenLater:
            raise
        except CheckpointError as error:
            if isinstance(error.__cause__, OtherShape):
                raise CheckpointError(f"{folder} cannot go on: {error.__cause__}") from error
            problems.append(str(error))
            continue
        for problem in problems:
            warnings.warn(
                f"{problem}. Round {number} is taken instead", NumpygeonsWarning, stacklevel=5
            )
        return state
    if numbers:
        raise CheckpointError(f"no round of {folder} can be loaded: {'; '.join(problems)}")
    return None


def _read(
    place: Path, description: Description, kind: str, number: int
) -> tuple[Any, dict[str, Any]]:
    """Read arrays and header of a file of this run. Raises CheckpointError where it is not that."""
    arrays, header = file.read(place)
    file.check_kind(place, header, kind, number)
    if header.get("run") != description.id:
        raise file.damaged(place, "it belongs to another run")
    return arrays, header


def _midway(
    folder: Path, description: Description, path: TemperedPath, explorer: Any, number: int
) -> Midway | None:
    """Return what there is of the round that was under way; None where nothing of it can be
    believed."""
    place = folder / unfinished_file(number)
    if not place.exists():
        return None
    try:
        arrays, header = _read(place, description, file.UNFINISHED, number)
        with file.sense(place):
            return midway_from_arrays(arrays, header, path, explorer, description.settings)
    except file.WrittenLater:
        raise
    except CheckpointError as error:
        warnings.warn(f"{error}. Round {number} starts anew", NumpygeonsWarning, stacklevel=4)
        return None
