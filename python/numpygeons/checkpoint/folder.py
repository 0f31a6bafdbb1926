"""Keeps a run in a folder: what it was made of, and how it stood after its last rounds.

    run.checkpoint        target and explorer (pickled), settings, shapes, versions
    round-07.checkpoint   everything after round 7, records of the earlier rounds included
    round-08.unfinished   the scans of round 8 so far, while it runs
    round-07.samples.npz  the draws of round 7 by site, once the run has ended
    draws/                what the recorder "disk" writes (`draws_on_disk`)

The last `KEPT` rounds stay; each is enough to go on from.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpygeons.checkpoint import file
from numpygeons.checkpoint.description import RUN, Description, describe
from numpygeons.checkpoint.plain import Arrays
from numpygeons.checkpoint.state import midway_to_arrays, to_arrays
from numpygeons.errors import CheckpointError, NumpygeonsWarning
from numpygeons.private_files import TEMPORARY, make_folders, temporary_name
from numpygeons.rounds.rounds import Rounds
from numpygeons.rounds.run_state import Between, Midway
from numpygeons.settings import Settings

DRAWS = "draws"  # folder of the recorder "disk"
ROUND = re.compile(r"round-(\d+)\.checkpoint")
SAMPLES = re.compile(r"round-(\d+)\.samples\.npz")
UNFINISHED = re.compile(r"round-(\d+)\.unfinished")
SECONDS = "NUMPYGEONS_CHECKPOINT_SECONDS"  # between two looks at a long round; 60 unless set
LARGEST_SHARE = 0.05  # of the time, that writing unfinished rounds may take
KEPT = 3  # rounds; a file that is damaged later leaves two to go on from


def check_argument(checkpoint: Any) -> None:
    """Raise TypeError or ValueError for a `checkpoint` that is neither a bool nor a folder."""
    if isinstance(checkpoint, bool | str | os.PathLike) and not isinstance(checkpoint, bytes):
        if checkpoint == "":
            raise ValueError("checkpoint must name a folder: got ''; True makes one in results/all")
        return
    raise TypeError(
        f"checkpoint must be True, False or a folder: got {checkpoint!r} of type "
        f"{type(checkpoint).__name__}"
    )


def round_file(number: int) -> str:
    """Name of the file of a finished round."""
    return f"round-{number:02d}.checkpoint"


def unfinished_file(number: int) -> str:
    """Name of the file of a round that runs."""
    return f"round-{number:02d}.unfinished"


def finished_rounds(folder: Path) -> list[int]:
    """Return the numbers of the rounds that have a file, in order."""
    return sorted(int(m[1]) for name in os.listdir(folder) if (m := ROUND.fullmatch(name)))


class Folder:
    """A folder that belongs to one run, and is written to."""

    def __init__(self, path: Path, description: Description) -> None:
        self.path, self.description = path, description
        self._made: list[Path] = []  # folders that were not there before
        self._latest: tuple[Path, str | None] | None = None  # the link, and where it led before

    @staticmethod
    def make(checkpoint: Any, description: Description) -> Folder:
        """Make a folder for a run, or take one that is empty or the run's own, and write the run
        file: a folder that cannot be written to shows at once.

        Raises
        ------
        ValueError
            When the folder holds something else, or a file is in the place of results/latest.
        CheckpointError
            When nothing can be written there.
        """
        if checkpoint is True:
            name = f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-{description.id}"
            path = Path.cwd() / "results" / "all" / name
        else:
            path = Path(checkpoint).absolute()
        _refuse_other(path, description)
        latest = path.parents[1] / "latest"
        is_ours = latest.is_symlink() or latest.is_dir() or not latest.exists()
        if checkpoint is True and not is_ours:
            raise ValueError(
                f"{latest} is a file, where a link is to lead to the last run: move the file away, "
                'or name a folder, as in checkpoint="folder"'
            )
        folder = Folder(path, description)
        try:
            folder._made += make_folders(path)
        except OSError as error:
            raise file.cannot_write(path, error) from error
        file.remove_temporary(path)
        description.write(path)
        if checkpoint is True:
            folder._point_at_it(latest)
        return folder

    def _point_at_it(self, link: Path) -> None:
        """Let `results/latest` lead to this run; links are replaced in one step."""
        temporary = temporary_name(link)
        try:
            before = os.readlink(link) if link.is_symlink() else None
            os.symlink(self.path.relative_to(link.parent), temporary, target_is_directory=True)
            os.replace(temporary, link)
            self._latest = link, before
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            warnings.warn(
                f"{link} could not be made to lead to this run ({error.strerror or error}): load "
                f"it from {self.path}",
                NumpygeonsWarning,
                stacklevel=2,
            )

    def ask_for(self, settings: Settings) -> None:
        """Write down how many rounds the run is asked for.

        Raises
        ------
        CheckpointError
            When nothing can be written.
        """
        file.probe(self.path)
        file.remove_temporary(self.path)
        if settings != self.description.settings or not self.description.grows:
            self.description = replace(self.description, settings=settings, grows=True)
            self.description.write(self.path)

    def write(self, state: Between) -> None:
        """Write the last finished round, and drop what three later rounds have made old."""
        if state.round == 0:
            return
        arrays, header = to_arrays(state)
        own = {"kind": file.ROUND, "number": state.round, "run": self.description.id}
        file.write(self.path / round_file(state.round), arrays, {**own, **header})
        old = [round_file(number) for number in finished_rounds(self.path)[:-KEPT]]
        begun = ((UNFINISHED.fullmatch(name), name) for name in os.listdir(self.path))
        old += [name for m, name in begun if m and int(m[1]) <= state.round]
        for name in old:
            with suppress(OSError):
                (self.path / name).unlink()

    def write_samples(self, number: int, samples: Arrays) -> None:
        """Write the draws of a round by site, for who must not unpickle the model.

        Raises
        ------
        CheckpointError
            When they cannot be written.
        """
        own = f"round-{number:02d}.samples.npz"
        file.write_npz(self.path / own, samples)
        for name in os.listdir(self.path):
            if SAMPLES.fullmatch(name) and name != own:
                with suppress(OSError):
                    (self.path / name).unlink()

    def keeper(self, number: int) -> TimedKeeper:
        """Return who writes the round of this number while it runs."""
        return TimedKeeper(self, number)

    def discard(self) -> None:
        """Undo `make`, for a run that could not start; rounds are kept."""
        with suppress(OSError):
            if finished_rounds(self.path):
                return
            (self.path / RUN).unlink()
            if self._latest is not None:
                link, before = self._latest
                link.unlink()
                if before is not None:
                    os.symlink(before, link, target_is_directory=True)
            for folder in reversed(self._made):
                folder.rmdir()


class TimedKeeper:
    """Writes a long round now and then, so that its draws outlive the machine (`rounds.Keeper`)."""

    def __init__(self, folder: Folder, number: int) -> None:
        self._folder, self._number = folder, number
        self._seconds = float(os.environ.get(SECONDS) or 60)
        self._next = time.monotonic() + self._seconds

    def is_due(self) -> bool:
        """Return whether it is time: seldom enough that writing takes little of it."""
        return time.monotonic() >= self._next

    def keep(self, midway: Midway) -> None:
        """Write the round so far.

        Raises
        ------
        CheckpointError
            When it cannot be written.
        """
        start = time.monotonic()
        arrays, header = midway_to_arrays(midway)
        own = {"kind": file.UNFINISHED, "number": self._number, "run": self._folder.description.id}
        file.write(self._folder.path / unfinished_file(self._number), arrays, {**own, **header})
        now = time.monotonic()
        self._next = now + max(self._seconds, (now - start) / LARGEST_SHARE)


def _refuse_other(path: Path, description: Description) -> None:
    """Raise unless the folder is new, empty or of the same run."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise file.cannot_write(path, error) from error
    if RUN in names:
        other = Description.read(path)
        if other.id != description.id:
            raise ValueError(
                f"{path} holds another run: go on with it by pigeons(load({str(path)!r})), or name "
                "a new folder"
            )
    elif any(not name.endswith(TEMPORARY) for name in names):
        raise ValueError(f"{path} is not empty: name a new folder, or an empty one")


def keep(rounds: Rounds, description: Description | None, checkpoint: Any) -> Folder:
    """Return the folder that a run is written to from now on, with what there is of the run."""
    description = description or describe(
        rounds.target, rounds.explorer, rounds.settings, rounds.path
    )
    folder = Folder.make(checkpoint, replace(description, settings=rounds.settings, grows=True))
    folder.write(rounds.state)
    _copy_draws(rounds, folder.path)
    return folder


def save(
    rounds: Rounds, description: Description | None, path: Any, samples: Arrays | None
) -> Description:
    """Write a run, and its draws by site, to a folder that is new, empty or its own; the run's
    description."""
    description = description or describe(
        rounds.target, rounds.explorer, rounds.settings, rounds.path
    )
    description = replace(description, settings=rounds.settings)
    grows = False
    with suppress(CheckpointError):
        grows = Description.read(Path(path)).grows  # its own checkpoints stay that
    folder = Folder.make(Path(path), replace(description, grows=grows))
    folder.write(rounds.state)
    if samples is not None:
        folder.write_samples(rounds.state.round, samples)
    _copy_draws(rounds, folder.path)
    return description


def _copy_draws(rounds: Rounds, folder: Path) -> None:
    """Take the draws of the last round along, if they are in files."""
    traces = rounds.state.traces
    if traces is None or traces.disk is None or traces.disk.folder == folder / DRAWS:
        return
    try:
        shutil.copytree(traces.disk.folder, folder / DRAWS, dirs_exist_ok=True)
    except OSError as error:
        raise file.cannot_write(folder / DRAWS, error) from error
