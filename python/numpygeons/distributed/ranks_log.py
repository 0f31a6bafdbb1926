"""Notes in the run's folder what each rank is and how it ended."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from numpygeons.distributed.files import write_text
from numpygeons.private_files import make_folders

# Set for each rank by what starts it: Open MPI, MPICH and its kin, MVAPICH, Cray, PMIx, srun.
NUMBERS = (
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "MV2_COMM_WORLD_RANK",
    "PALS_RANKID",
    "PMIX_RANK",
    "SLURM_PROCID",
)
# What Open MPI and srun say of a rank that was killed. MPICH names whatever process it finds.
KILLED = re.compile(r"process rank (\d+) with PID|\btasks? (\d+): Killed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankNote:
    """One rank of the run."""

    rank: int
    pid: int
    host: str
    end: str = ""  # "finished", "interrupted" or "raised"; empty while it runs, or if it was killed
    error: str = ""  # "ValueError: ..." if it raised; empty if it was interrupted and gave a result


def own_rank() -> int:
    """Return this process' rank, as its launcher told it; 0 without a launcher."""
    for name in NUMBERS:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


class RankLog:
    """The note of this process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ranks" / f"{own_rank()}.json"
        make_folders(self._path.parent)
        self._note = RankNote(rank=own_rank(), pid=os.getpid(), host=socket.gethostname())
        self._write()

    def _write(self) -> None:
        write_text(self._path, json.dumps(asdict(self._note)))

    def end(self, how: str, error: str = "") -> None:
        self._note = replace(self._note, end=how, error=error)
        self._write()


@contextmanager
def rank_log(folder: Path) -> Iterator[RankLog]:
    """Note this rank's start, and its end if it raises; the caller notes any other."""
    log = RankLog(folder)
    try:
        yield log
    except KeyboardInterrupt:
        log.end("interrupted", "KeyboardInterrupt")
        raise
    except BaseException as error:
        log.end("raised", f"{type(error).__name__}: {error}")
        raise


def notes(folder: Path) -> tuple[RankNote, ...]:
    """Return those of the folder, by rank."""
    found = [json.loads(path.read_text()) for path in (folder / "ranks").glob("*.json")]
    return tuple(sorted((RankNote(**note) for note in found), key=lambda note: note.rank))


def gone(folder: Path) -> tuple[int, ...]:
    """Process ids of the ranks that ended, in order, if somebody watched."""
    path = folder / "gone"
    return tuple(int(pid) for pid in path.read_text().split()) if path.is_file() else ()


def what_went_wrong(ranks: tuple[RankNote, ...], ended: tuple[int, ...], said: str) -> str:
    """Return which rank failed and how, as far as the notes, the order in which they ended and the
    launcher's words tell."""
    raised = [f"rank {note.rank} raised {note.error}" for note in ranks if note.end == "raised"]
    if raised:
        return "; ".join(raised)
    silent = [note for note in ranks if not note.end]
    first = [note for pid in ended for note in silent if note.pid == pid][:1]
    named = {int(a or b) for a, b in KILLED.findall(said)}
    killed = first or [note for note in silent if note.rank in named] or silent
    if not killed:
        return ""
    names = ", ".join(f"rank {n.rank} (process {n.pid} on {n.host})" for n in killed)
    return f"{names} ended without a word, as if killed"
