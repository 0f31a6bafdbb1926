"""Tests that the others end, and say why, when a rank is lost in one way or another."""

import re
import subprocess
import time

import pytest


@pytest.fixture
def ends(start):
    """Launches ranks that end within 10 s; what they wrote on stderr, and the process of each."""

    def launch(n: int, *words: str, **how: bool) -> tuple[str, dict[int, str]]:
        begun = time.monotonic()
        done: subprocess.CompletedProcess[str] = start(n, *words, timeout=50, **how)
        seconds = time.monotonic() - begun
        assert done.returncode != 0
        assert seconds < 10 + 10, done.stderr  # and ten to begin, on a busy machine
        processes = dict(re.findall(r"rank (\d) is process (\d+)", done.stdout))
        assert len(processes) == n
        return done.stderr, {int(rank): process for rank, process in processes.items()}

    return launch


@pytest.mark.usual("2-0")
@pytest.mark.parametrize(("n", "rank"), [(2, 0), (2, 1), (4, 2), (3, 0)])
def test_a_killed_rank_is_named_whatever_the_launcher_does(ends, n, rank):
    stderr, processes = ends(n, "scans", str(rank), "SIGKILL")
    named = re.findall(r"numpygeons: rank (\d) \(process (\d+) on \S+\) was killed", stderr)
    assert named == [(str(rank), processes[rank])]


@pytest.mark.usual("SIGSEGV")
@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGABRT", "SIGTERM"])
def test_a_crash_is_named_too(ends, signal):
    stderr, processes = ends(2, "scans", "1", signal)
    assert f"numpygeons: rank 1 (process {processes[1]} on " in stderr


@pytest.mark.usual("words0")
@pytest.mark.parametrize("words", [("scans", "1", "SIGKILL"), ("broadcast_of_the_dead",)])
def test_the_others_notice_where_the_launcher_does_not(ends, words):
    stderr, processes = ends(3, *words, unseen=True)
    assert "CommunicationError" in stderr  # two ranks may write it into each other's lines
    assert re.search(
        rf"rank 1 \(process {processes[1]} on \S+\) was killed or crashed, and the other ranks "
        "cannot go on",
        stderr,
    )


def test_an_exception_on_one_rank_ends_all(ends):
    stderr, processes = ends(3, "scans", "1", "exception")
    assert "ZeroDivisionError: of the script's own" in stderr
    assert re.search(rf"rank 1 \(process {processes[1]} on .*early", stderr)
    assert "was killed" not in stderr


@pytest.mark.slow
def test_a_rank_that_returns_early_ends_all(ends):
    stderr, processes = ends(3, "scans", "2", "return")
    assert re.search(rf"rank 2 \(process {processes[2]} on .*early", stderr)
    assert "was killed" not in stderr


@pytest.mark.slow
def test_after_a_loss_nothing_more_is_said(start):
    done = start(2, "broken", timeout=20)
    assert done.returncode != 0
    lost, again, own = done.stdout.splitlines()
    assert lost.startswith("CommunicationError: rank 0 (process ")
    assert (
        again == "CommunicationError: the ranks no longer communicate: " + lost.partition(": ")[2]
    )
    assert own == "ValueError: its own"


@pytest.mark.usual("1-1")
@pytest.mark.parametrize(("rank", "ending"), [(1, "1"), (0, "0")])
def test_a_rank_that_leaves_before_mpi_starts_ends_all_and_is_named(start, mpiexec, rank, ending):
    version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True).stdout
    if "HYDRA" not in version:
        pytest.skip("other launchers than MPICH's end the others themselves")
    begun = time.monotonic()
    done = start(3, "leaves_before_mpi", str(rank), ending, timeout=50)
    assert time.monotonic() - begun < 10 + 10  # and ten to begin, on a busy machine
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("numpygeons: ")]
    assert len(said) == 1
    assert re.match(rf"numpygeons: rank {rank} on \S+ ended before MPI had started", said[0])


def test_ranks_that_end_well_leave_no_message(start):
    done = start(4, "who")
    assert done.returncode == 0
    assert "numpygeons" not in done.stderr
    assert sorted(done.stdout.splitlines()) == [f"rank {r} of 4" for r in range(4)]
