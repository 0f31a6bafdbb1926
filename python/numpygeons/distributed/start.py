"""Hands a call of `pigeons` to other processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from numpygeons.distributed.call import Call, write_call
from numpygeons.distributed.child_process import ChildProcess
from numpygeons.distributed.jobs import Job
from numpygeons.distributed.result import Result
from numpygeons.parallel.ranks import launcher

Place = ChildProcess | Job
OF_A_RUN = ("exit", "gone", "log.txt", "job.json")  # and the folder ranks


def check_place(on: Any, n_threads: int) -> None:
    """Raise unless a run can be started there.

    Raises
    ------
    TypeError, ValueError
        For what is no place, or two numbers of threads.
    FileNotFoundError
        When a program that starts it is missing.
    """
    if isinstance(on, type) and issubclass(on, Place):
        raise TypeError(f"on must be a place to run, not a class; write {on.__name__}()")
    if not isinstance(on, Place):
        raise TypeError(
            "on must be None, ChildProcess(), SlurmJob(), PBSJob() or LSFJob(): got "
            f"{on!r} of type {type(on).__name__}"
        )
    if n_threads not in (1, on.n_threads):
        raise ValueError(
            f"n_threads = {n_threads}, but {type(on).__name__} has n_threads = {on.n_threads}: "
            "name it there alone"
        )
    started_by = launcher(os.environ)
    if started_by is not None:
        raise ValueError(
            f"on = {type(on).__name__}(...) starts ranks itself, but this process was "
            f"{started_by}: use on=None, or start one process without mpirun"
        )
    on.check_programs()


def start(
    on: Place, folder: Path, n_rounds: int, show_report: bool, checked_round: int = 0
) -> Result:
    """Let the run in the folder go on there, until it has `n_rounds` rounds."""
    if (folder / "job.json").is_file() and Result(folder).status() in ("queued", "running"):
        raise FileExistsError(f"a run is going on in {folder}: wait for it, or kill it")
    for name in OF_A_RUN:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "ranks", ignore_errors=True)
    call = Call(
        n_rounds=n_rounds,
        n_threads=on.n_threads,
        show_report=bool(show_report),
        checked_round=checked_round,
    )
    write_call(folder, call)
    return on.start(folder)
