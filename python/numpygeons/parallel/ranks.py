"""Finds the processes that a launcher of MPI started, and passes objects among them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import numpy as np

from numpygeons._core import comm
from numpygeons.errors import CommunicationError

T = TypeVar("T")

# The number of ranks, by launcher: Open MPI; MPICH, Intel MPI, srun --mpi=pmi2; MVAPICH; MPICH.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
# The rank alone: srun --mpi=pmix and prun; Cray. SLURM_NTASKS by itself says nothing: plain python
# in a job of four tasks is one process.
NUMBERS = ("PMIX_RANK", "PALS_RANKID")
INSTALL = "pip install 'numpygeons-core[mpi]'"
LONGEST = 120  # bytes of what is said of a collective
PASSED_THROUGH = ("ranks.py", "team.py", "contextlib.py")  # on the way to a collective
# An abort kills the others in the middle of their sentence, and the launcher may then drop what it
# has not passed on yet.
SECONDS_TO_TALK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """What the environment says about who started this process."""

    variable: str  # that tells it
    n_ranks: int | None  # None: several, perhaps

    def __str__(self) -> str:
        if self.n_ranks is None:
            return f"started by a launcher of MPI ({self.variable} is set)"
        return f"started by mpirun with {self.n_ranks} ranks ({self.variable} = {self.n_ranks})"


class Ranks:
    """The processes of one run. Every rank makes the same calls in the same order.

    A rank that waits for another that is gone raises CommunicationError.
    """

    def __init__(self, communicator: comm.Communicator) -> None:
        self.communicator = communicator
        self.rank = communicator.rank
        self.size = communicator.size

    def broadcast(self, thing: T, root: int = 0) -> T:
        """Return `thing` of the rank `root`, on all ranks; anything that can be pickled."""
        if not 0 <= root < self.size:
            raise ValueError(f"root must lie between 0 and {self.size - 1}: got {root}")
        return self._share(thing, (root,), f"broadcast from rank {root}")[0]

    def gather_all(self, thing: T) -> list[T]:
        """Return the things of all ranks, in order of rank, on all of them."""
        return self._share(thing, range(self.size), "gather_all")

    def agree(self, error: BaseException | None) -> None:
        """Raise on all ranks where any brings an error; its own on a rank that has one.

        The others raise an error of the same type, where one can be made of a text, that names the
        rank it comes from.
        """
        broken = isinstance(self.communicator, comm.MpiCommunicator) and self.communicator.broken
        if error is not None and (broken or isinstance(error, CommunicationError)):
            raise error  # the others notice by themselves
        told = None if error is None else (_pickled_type(error), type(error).__name__, str(error))
        all_told = self._share(told, range(self.size), "agree")
        if error is not None:
            raise error
        for rank, theirs in enumerate(all_told):
            if theirs is not None:
                raise _rebuilt(rank, *theirs)

    def abort(self, code: int) -> NoReturn:
        """End all ranks, without a word of this or any other."""
        if isinstance(self.communicator, comm.MpiCommunicator):
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(code)  # the launcher may take its time to end this one too
            os._exit(code)
        raise SystemExit(code)

    def _share(self, thing: T, roots: range | tuple[int, ...], what: str) -> list[T]:
        if not isinstance(self.communicator, comm.MpiCommunicator):
            return [thing]
        own, error = b"", None
        if self.rank in roots:
            try:
                own = pickle.dumps(thing, protocol=5)
            except Exception as caught:  # the others wait: tell them first
                error = caught
        size = -1.0 if error is not None else float(len(own))
        what += _place()
        tag = float(zlib.crc32(what.encode()))
        sizes, tags = self.communicator.allgather(np.array([size, tag])).T
        if np.any(tags != tag):
            self._refuse_disorder(what)
        if error is not None:
            raise error
        things: list[T] = []
        for root in roots:
            if sizes[root] < 0:
                raise CommunicationError(f"rank {root} could not pickle what it was to send")
            data = np.empty(int(sizes[root]), dtype=np.uint8)
            if root == self.rank:
                data[:] = np.frombuffer(own, dtype=np.uint8)
            self.communicator.broadcast(data, root)
            things.append(thing if root == self.rank else pickle.loads(data.data))
        return things

    def _refuse_disorder(self, what: str) -> NoReturn:
        """Name what the ranks were about to do together, where it is not the same."""
        text = np.frombuffer(what.encode()[:LONGEST].ljust(LONGEST), np.uint8)
        texts = self.communicator.allgather(text.astype(np.float64)).astype(np.uint8)
        names = [row.tobytes().decode(errors="replace").strip() for row in texts]
        other = next(rank for rank, name in enumerate(names) if name != names[0])
        raise CommunicationError(
            f"the ranks are out of step: rank 0 is at {names[0]}, rank {other} at {names[other]}; "
            "all ranks must make the same calls in the same order, with the same arguments"
        )


def _place() -> str:
    """Return where in this package the ranks come together; nothing where the caller is elsewhere,
    who may do it at several places."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and os.path.basename(frame.f_code.co_filename) in PASSED_THROUGH:
        frame = frame.f_back
    if frame is None or not frame.f_globals.get("__name__", "").startswith("numpygeons."):
        return ""
    return f" in {frame.f_code.co_name}"


@functools.cache
def alone() -> Ranks:
    """Return one process by itself."""
    return Ranks(comm.LocalCommunicator())


def launcher(environment: Mapping[str, str]) -> Launcher | None:
    """Return who started several ranks, by the environment variables it sets; None where nobody
    did."""
    for variable in SIZES:
        value = environment.get(variable, "")
        if value.isdigit() and (n_ranks := int(value)) >= 1:
            return Launcher(variable=variable, n_ranks=n_ranks) if n_ranks > 1 else None
    for variable in NUMBERS:
        if environment.get(variable, "").isdigit():
            return Launcher(variable=variable, n_ranks=None)
    return None


def find_ranks() -> Ranks:
    """Find the ranks that a launcher of MPI started with this one; this process alone without one.

    mpi4py is imported only under a launcher that started several.

    Raises
    ------
    CommunicationError
        Several ranks were started and mpi4py is missing, or belongs to another MPI.
    """
    started_by = launcher(os.environ)
    return alone() if started_by is None else _join(started_by)


@functools.cache
def _join(started_by: Launcher) -> Ranks:
    try:
        with _waiting_room():
            from mpi4py import MPI
    except ModuleNotFoundError as error:
        if error.name != "mpi4py":
            raise
        raise CommunicationError(
            f"{started_by}, but mpi4py is not installed: {INSTALL}; without it each rank would "
            "repeat the same run"
        ) from None
    except (ImportError, RuntimeError) as error:
        raise CommunicationError(
            f"{started_by}, but mpi4py cannot load an MPI: {error}; install the MPI of this "
            "mpirun where mpi4py finds it, or an mpi4py built for it"
        ) from error
    n_ranks = MPI.COMM_WORLD.Get_size()
    if n_ranks == 1:
        if started_by.n_ranks is None:
            return alone()
        raise CommunicationError(
            f"{started_by}, but mpi4py sees one: it has loaded another MPI, "
            f"{_library_version(MPI)} (through {MPI.__file__}). Use that MPI's mpirun, or install "
            "mpi4py for this one: pip install --no-binary mpi4py --force-reinstall mpi4py"
        )
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        raise CommunicationError(
            f"MPI must allow calls from several threads: got the thread level "
            f"{MPI.Query_thread()} of {_library_version(MPI)}, wanted at least "
            f"{MPI.THREAD_SERIALIZED}; leave mpi4py.rc.thread_level at 'multiple', or use an MPI "
            "built with threads"
        )
    own = MPI.COMM_WORLD.Dup()  # nobody else's messages; lives until MPI ends
    own.Set_errhandler(MPI.ERRORS_RETURN)
    communicator = comm.mpi_communicator(
        MPI._handleof(own), MPI._handleof(MPI.BYTE), MPI._sizeof(own), MPI.__file__
    )
    ranks = Ranks(communicator)
    _say_farewell_at_exit(ranks, communicator, _witness(communicator))
    return ranks


@contextlib.contextmanager
def _waiting_room() -> Iterator[None]:
    """Watch, while MPI starts, for ranks of this machine that have left already (MPICH)."""
    names = ("PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
    numbers = [os.environ.get(name, "") for name in names]
    if not all(number.isdigit() for number in numbers) or sys.platform != "linux":
        yield
        return
    rank, own, n_here = map(int, numbers)
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("waiting_room.py"))]
    command += map(str, (os.getpid(), rank, rank - own, n_here))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/"
    ) as watcher:
        assert watcher.stdin is not None
        with watcher.stdin:
            yield


@contextlib.contextmanager
def no_silent_exit() -> Iterator[None]:
    """Let `os._exit(0)` within end this process with 1: it leaves a run unfinished, and MPICH's
    launcher would return 0. Copies of the process are left alone."""
    before, own = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        before(1 if status == 0 and os.getpid() == own else status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = before


def _library_version(mpi: Any) -> str:
    """Return the first line of what may be many."""
    return str(mpi.Get_library_version()).strip("\0\n ").splitlines()[0]


def _witness(communicator: comm.MpiCommunicator) -> str:
    """Start the witness of this machine on its first rank; return the name of its socket."""
    processes = communicator.processes()
    machine = processes[communicator.rank][0]
    here = [rank for rank, process in enumerate(processes) if process[0] == machine]
    name = f"\0numpygeons-{machine:x}-{processes[here[0]][1]}"
    if communicator.rank == here[0] and sys.platform == "linux":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as farewells:
            farewells.bind(name)
            command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("witness.py"))]
            command.append(str(farewells.fileno()))
            command += [f"{rank}:{processes[rank][1]}:{processes[rank][2]}" for rank in here]
            _WITNESSES.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(farewells.fileno(),),
                    start_new_session=True,
                    cwd="/",
                )
            )
    communicator.allgather(np.zeros(1))  # the socket is there before anybody leaves
    return name


_WITNESSES: list[subprocess.Popen[bytes]] = []  # kept, for they outlive whoever asked for them


def _say_farewell_at_exit(ranks: Ranks, communicator: comm.MpiCommunicator, witness: str) -> None:
    """Let the others know at the end of this process, so that none waits for it in vain.

    Where one is gone already, MPI's own end would wait for it for ever: there all are ended.
    """

    def at_exit() -> None:
        broken = communicator.broken
        farewell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with farewell, contextlib.suppress(OSError):
            farewell.sendto(str(ranks.rank).encode(), witness)
        if broken:
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(SECONDS_TO_TALK)
            ranks.abort(1)
        communicator.leave()

    atexit.register(at_exit)


def _pickled_type(error: BaseException) -> bytes:
    """Return nothing where the type cannot travel, or must not: an exit is not an error."""
    if not isinstance(error, (Exception, KeyboardInterrupt)):
        return b""
    try:
        return pickle.dumps(type(error))
    except Exception:
        return b""


def _rebuilt(rank: int, pickled_type: bytes, name: str, text: str) -> BaseException:
    try:
        error = pickle.loads(pickled_type)(f"rank {rank}: {text}")
        if isinstance(error, BaseException):
            return error
    except Exception:
        pass
    return RuntimeError(f"rank {rank}: {name}: {text}")
