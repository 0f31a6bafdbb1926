"""What the ranks of the tests do: `mpiexec -n 4 python programs.py <name> ...`."""

import os
import signal
import sys
import time

import numpy as np

from numpygeons.errors import NumericalError
from numpygeons.parallel.ranks import find_ranks


def allgather():
    """Odd sizes, many times over; sizes larger than one message."""
    ranks = find_ranks()
    everyone = np.arange(ranks.size)[:, None]
    for n, n_times in [(1, 500), (3, 500), (7, 500), (1001, 20), (3_000_001, 1)]:
        own = np.arange(n)
        for i in range(n_times):
            all_ = ranks.communicator.allgather(own * 1000.0 + ranks.rank + i)
            assert np.array_equal(all_, own * 1000.0 + everyone + i), (n, i)
    assert ranks.communicator.allgather(np.empty(0)).shape == (ranks.size, 0)


def objects():
    """50 MB and small things, of different sizes by rank."""
    ranks = find_ranks()
    rng = np.random.default_rng(1)
    large = rng.normal(size=6_250_000)
    got = ranks.broadcast({"draws": large + ranks.rank, "from": ranks.rank}, root=ranks.size - 1)
    assert got["from"] == ranks.size - 1
    assert np.array_equal(got["draws"], large + (ranks.size - 1))
    things = ranks.gather_all(large[: 6_250_000 - 1000 * ranks.rank] * ranks.rank)
    assert len(things) == ranks.size
    for rank, thing in enumerate(things):
        assert np.array_equal(thing, large[: 6_250_000 - 1000 * rank] * rank)
    assert ranks.gather_all(ranks.rank) == list(range(ranks.size))
    assert ranks.broadcast(None) is None


def cannot_be_pickled():
    """Rank 1 brings what cannot travel."""
    ranks = find_ranks()
    try:
        ranks.gather_all((lambda: 0) if ranks.rank == 1 else 0)
    except Exception as error:
        print(f"{ranks.rank}: {type(error).__name__}: {error}\n", end="", flush=True)


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def agree():
    """Each rank prints what it raises, where rank `size - 1` fails in one way after another."""
    ranks = find_ranks()
    last = ranks.size - 1
    ranks.agree(None)
    failures = [
        NumericalError("no way on: chain 3"),
        ValueError("n_chains"),
        KeyboardInterrupt("stop"),
        Odd("one", "two"),
        SystemExit(0),
    ]
    for failure in failures:
        try:
            ranks.agree(failure if ranks.rank == last else None)
        except BaseException as error:
            own = error is failure
            line = f"{ranks.rank}: {type(error).__name__}: {error}: {'own' if own else 'told'}\n"
            print(line, end="", flush=True)
    try:
        ranks.agree(ValueError(f"mine {ranks.rank}") if ranks.rank else None)
    except ValueError as error:
        print(f"{ranks.rank}: both: {error}\n", end="", flush=True)
    ranks.agree(None)


def scans(rank, ending):
    """Scans without end, in a test's eyes; one rank ends after half a second."""
    ranks = find_ranks()
    print(f"rank {ranks.rank} is process {os.getpid()}\n", end="", flush=True)
    start = time.monotonic()
    while time.monotonic() < start + 60:
        if ranks.rank == int(rank) and time.monotonic() > start + 0.5:
            if ending == "exception":
                raise ZeroDivisionError("of the script's own")
            if ending == "return":
                return
            os.kill(os.getpid(), getattr(signal, ending))
        ranks.communicator.allgather(np.arange(10.0))


def broadcast_of_the_dead():
    ranks = find_ranks()
    print(f"rank {ranks.rank} is process {os.getpid()}\n", end="", flush=True)
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.broadcast("never sent", root=1)


def leaves_before_mpi(rank, ending):
    """One rank ends before MPI starts, as where an import fails; the others wait for it."""
    if os.environ.get("PMI_RANK") == rank:
        sys.exit(int(ending)) if ending.isdigit() else os.kill(os.getpid(), signal.SIGKILL)
    find_ranks()


def broken():
    """What a rank gets that goes on although another has left."""
    ranks = find_ranks()
    if ranks.rank == 0:
        return
    error = ValueError("its own")
    for attempt in (
        lambda: ranks.communicator.allgather(np.zeros(3)),
        lambda: ranks.gather_all("more"),
        lambda: ranks.agree(error),
    ):
        try:
            attempt()
        except Exception as caught:
            print(f"{type(caught).__name__}: {caught}", flush=True)
    time.sleep(0.5)  # a launcher may drop what it has not yet handed on when all are ended


def who():
    """Ends well, having said what the ranks are."""
    ranks = find_ranks()
    print(f"rank {ranks.rank} of {ranks.size}\n", end="", flush=True)


def abort():
    ranks = find_ranks()
    if ranks.rank == 0:
        ranks.abort(7)
    ranks.gather_all("never heard")


def without_mpi4py():
    sys.modules["mpi4py"] = None  # as if not installed
    find_ranks()


def single_thread():
    import mpi4py

    mpi4py.rc.thread_level = "single"
    find_ranks()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
