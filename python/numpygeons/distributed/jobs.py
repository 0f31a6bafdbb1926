"""Writes and submits the scripts of jobs for Slurm, PBS and LSF."""

from __future__ import annotations

import os
import shlex
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from numpygeons.distributed.launcher import DEFAULTS, own_python, python_command, search_path
from numpygeons.distributed.quantities import as_mebibytes, as_seconds, clock
from numpygeons.distributed.queues import LSF, PBS, SLURM, Queue
from numpygeons.distributed.result import Result, open_result
from numpygeons.distributed.settings import (
    check_environment,
    check_lines,
    check_name,
    check_positive,
    check_text,
)
from numpygeons.private_files import write_whole

NAME = "numpygeons"
SAID = "queue.txt"  # what the queue itself says, relative to the run's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(ABC):
    """What the three kinds of jobs have in common.

    Parameters
    ----------
    n_processes : int
        Number of ranks, at least 1; one needs no MPI.
    n_threads : int
        Threads, and cores, of each rank.
    walltime : str or timedelta
        H:MM:SS or D-HH:MM:SS.
    memory : str
        Of each rank, such as "500M" or "8G".
    modules : tuple of str
        Environment modules to load.
    extra_lines : tuple of str
        Lines of the script after the queue's directives: more directives, then commands.
    account : str, optional
        Who pays for it.
    mpiexec : str
        Program that starts the ranks on the cluster, with its options.
    environment : mapping of str to str, optional
        Variables to set.
    """

    n_processes: int = 2
    n_threads: int = 1
    walltime: str | timedelta = "0:30:00"
    memory: str = "8G"
    modules: tuple[str, ...] = ()
    extra_lines: tuple[str, ...] = ()
    account: str | None = None
    mpiexec: str = "mpiexec"
    environment: Mapping[str, str] | None = None

    system: ClassVar[Queue]
    waits_in: ClassVar[str] = "queue"

    def __post_init__(self) -> None:
        check_positive("n_processes", self.n_processes)
        check_positive("n_threads", self.n_threads)
        as_seconds(self.walltime)
        as_mebibytes(self.memory)
        check_lines("modules", self.modules)
        check_lines("extra_lines", self.extra_lines)
        check_name("account", self.account)
        check_name(self.waits_in, self.place)
        if self.mpiexec is None:
            raise TypeError("mpiexec must be text: got None")
        check_text("mpiexec", self.mpiexec)
        check_environment(self.environment)

    @property
    def place(self) -> str | None:
        """The queue or partition that it waits in; None for the default."""
        name: str | None = getattr(self, self.waits_in)
        return name

    @property
    def _seconds(self) -> int:
        return as_seconds(self.walltime)

    @property
    def _mebibytes_per_core(self) -> int:
        return -(-as_mebibytes(self.memory) // self.n_threads)

    @abstractmethod
    def directives(self) -> list[str]:
        """Return the lines that the queue reads."""

    def check_programs(self) -> None:
        """Raise FileNotFoundError if there is no program to submit with."""
        self.system.check_programs()

    def start(self, folder: Path) -> Result:
        """Write `submit.sh` to the folder, submit it and return at once.

        Raises
        ------
        RunError
            When the queue refuses it.
        """
        path = folder / "submit.sh"
        write_whole(path, self.script(folder).encode(), mode=0o700)
        number = self.system.submit_script(path)
        job = {"kind": self.system.kind, "id": number, "host": socket.gethostname()}
        return open_result(folder, job)

    def script(self, folder: Path) -> str:
        """Return the script that runs the call in the folder."""
        ranks = [shlex.quote(word) for word in python_command(folder)]
        if self.n_processes > 1:
            launcher = [shlex.quote(word) for word in shlex.split(self.mpiexec)]
            ranks = [*launcher, "-n", str(self.n_processes), *ranks]
        variables = {**DEFAULTS, **search_path(), **(self.environment or {})}
        place = shlex.quote(str(folder))
        lines = [
            "#!/bin/bash",
            *self.directives(),
            *self.extra_lines,
            f"exec > {place}/log.txt 2>&1",
            f'export PATH="$PATH":{shlex.quote(str(Path(own_python()).parent))}',
            f"cd -- {shlex.quote(os.getcwd())} || exit",
        ]
        if self.modules:
            lines.append("type module > /dev/null 2>&1 || . /etc/profile")
            lines += [f"module load {shlex.quote(module)} || exit" for module in self.modules]
        lines += [f"export {name}={shlex.quote(text)}" for name, text in variables.items()]
        lines += [
            " ".join(ranks),
            "code=$?",
            f"part=$(mktemp {place}/.exit.XXXXXXXX) &&"
            f' echo "$code" > "$part" && mv -f "$part" {place}/exit',
            'exit "$code"',
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob(Job):
    """Runs as a job of Slurm: `pigeons(..., on=SlurmJob(walltime="2:00:00"))`.

    `partition` is where it waits; the rest as for `Job`.
    """

    mpiexec: str = "srun"
    partition: str | None = None

    system: ClassVar[Queue] = SLURM
    waits_in: ClassVar[str] = "partition"

    def directives(self) -> list[str]:
        """Return those of sbatch: memory by core, the one way that spreads over machines."""
        wanted = {
            "job-name": NAME,
            "ntasks": self.n_processes,
            "cpus-per-task": self.n_threads,
            "time": clock(self._seconds),
            "mem-per-cpu": f"{self._mebibytes_per_core}M",
            "output": SAID,
            "account": self.account,
            "partition": self.place,
        }
        return [f"#SBATCH --{key}={value}" for key, value in wanted.items() if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PBSJob(Job):
    """Runs as a job of PBS: `pigeons(..., on=PBSJob(walltime="2:00:00"))`.

    `queue` is where it waits; the rest as for `Job`.
    """

    queue: str | None = None

    system: ClassVar[Queue] = PBS

    def directives(self) -> list[str]:
        """Return those of qsub (PBS Professional, OpenPBS): a chunk of machine for each rank."""
        chunk = (
            f"select={self.n_processes}:ncpus={self.n_threads}:mpiprocs=1"
            f":mem={as_mebibytes(self.memory)}mb"
        )
        wanted = [
            f"-N {NAME}",
            f"-l {chunk}",
            f"-l walltime={clock(self._seconds)}",
            "-j oe",
            f"-o {SAID}",
        ]
        wanted += [f"-A {self.account}"] if self.account is not None else []
        wanted += [f"-q {self.place}"] if self.place is not None else []
        return [f"#PBS {line}" for line in wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class LSFJob(Job):
    """Runs as a job of LSF: `pigeons(..., on=LSFJob(walltime="2:00:00"))`.

    `queue` is where it waits; the rest as for `Job`.
    """

    queue: str | None = None

    system: ClassVar[Queue] = LSF

    def directives(self) -> list[str]:
        """Return those of bsub: a slot for each core, a rank's on one machine, memory by slot."""
        minutes = -(-self._seconds // 60)
        wanted = [
            f"-J {NAME}",
            f"-n {self.n_processes * self.n_threads}",
            f"-W {minutes // 60}:{minutes % 60:02}",
            f'-R "rusage[mem={self._mebibytes_per_core}MB]"',
            f"-oo {SAID}",
        ]
        wanted += [f'-R "span[block={self.n_threads}]"'] if self.n_threads > 1 else []
        wanted += [f"-P {self.account}"] if self.account is not None else []
        wanted += [f"-q {self.place}"] if self.place is not None else []
        return [f"#BSUB {line}" for line in wanted]
