"""Starts ranks on this machine, and shows what they say."""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from numpygeons.distributed import processes
from numpygeons.distributed.launcher import (
    environment,
    find_mpiexec,
    own_python,
    python_command,
)
from numpygeons.distributed.ranks_log import notes
from numpygeons.distributed.result import Result, open_result, write_out
from numpygeons.distributed.settings import check_environment, check_positive, check_text
from numpygeons.errors import NumpygeonsWarning

TICK = 0.2  # seconds
SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProcess:
    """Runs in processes of their own on this machine: `pigeons(..., on=ChildProcess())`.

    They end with the process that starts them. What they say streams to its sys.stdout and
    sys.stderr, and to `log.txt` in the run's folder.

    Parameters
    ----------
    n_processes : int
        Number of ranks, at least 1; one needs no MPI.
    n_threads : int
        Threads of each rank.
    wait : bool
        Wait for the end, or return at once.
    mpiexec : str, optional
        Program that starts the ranks, with its options; default that beside this Python, or on
        PATH.
    environment : mapping of str to str, optional
        Variables for the ranks, on top of this process'.
    """

    n_processes: int = 2
    n_threads: int = 1
    wait: bool = True
    mpiexec: str | None = None
    environment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_positive("n_processes", self.n_processes)
        check_positive("n_threads", self.n_threads)
        if not isinstance(self.wait, bool):
            raise TypeError(f"wait must be True or False: got {self.wait!r}")
        check_text("mpiexec", self.mpiexec)
        check_environment(self.environment)

    def check_programs(self) -> None:
        """Raise FileNotFoundError if what starts the ranks is missing."""
        if self.n_processes > 1:
            find_mpiexec(self.mpiexec)

    def start(self, folder: Path) -> Result:
        """Start the call that the folder holds; wait for its end if so asked.

        Raises
        ------
        RunError
            When it fails.
        """
        command = python_command(folder)
        if self.n_processes > 1:
            command = [*find_mpiexec(self.mpiexec), "-n", str(self.n_processes), *command]
        stream = subprocess.PIPE if self.wait else subprocess.DEVNULL
        numbers = [str(os.getpid()), str(self.n_processes)]
        process = subprocess.Popen(
            [own_python(), "-I", str(SUPERVISOR), str(folder), *numbers, *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment(self.environment),
            start_new_session=True,
        )
        result = open_result(folder, processes.job_of(process))
        if self.wait:
            _show(process, result)
        return result


def _show(process: subprocess.Popen[bytes], result: Result) -> None:
    """Copy the run's streams until it ends. Ctrl-C ends the run, and what it has done is kept."""
    interrupted = False
    pump = _Pump(process)
    try:
        while True:
            try:
                while pump.turn():
                    pass
                process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
                process.send_signal(signal.SIGINT)
    except BaseException:  # sys.stdout is gone, say
        process.send_signal(signal.SIGINT)
        raise
    finally:
        pump.close()
    if not interrupted:
        result.check()
    elif any(note.end == "interrupted" and note.error == "" for note in notes(result.folder)):
        warnings.warn(
            f"interrupted: numpygeons.load({str(result.folder)!r}) opens the finished rounds",
            NumpygeonsWarning,
            stacklevel=6,
        )
    elif result.status() != "finished":
        raise KeyboardInterrupt


class _Pump:
    """Hands on what comes through the pipes. In this thread, which notebooks expect to write."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._selector = selectors.DefaultSelector()
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = {"stdout": process.stdout, "stderr": process.stderr}
        for name, pipe in self._pipes.items():
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            self._selector.register(pipe, selectors.EVENT_READ, (name, decoder))

    def turn(self) -> bool:
        """Hand on what is there; False when both pipes are closed."""
        for key, _ in self._selector.select(TICK):
            name, decoder = key.data
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fileobj)
            write_out(decoder.decode(data, final=not data), getattr(sys, name))
        return bool(self._selector.get_map())

    def close(self) -> None:
        self._selector.close()
        for pipe in self._pipes.values():
            pipe.close()
