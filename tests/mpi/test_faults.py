"""What goes wrong on one rank or thread of a run raises on all; what is killed goes on."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from numpygeons import load, pigeons
from numpygeons.checkpoint.folder import finished_rounds
from numpygeons.distributed.supervisor import descendants
from support import program
from support.run_digest import digest
from support.small_models import eight_schools

PROGRAM = program("faulty_runs")
LINE = re.compile(r"^rank (\d): (.*?) *$", re.MULTILINE)


@pytest.fixture(scope="module")
def said(mpiexec, environment):
    """Launches a run that all ranks survive; what each of them says, none waiting for ever."""
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")

    def launch(n, *words):
        done = subprocess.run(
            [mpiexec, "-n", str(n), sys.executable, PROGRAM, *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = LINE.findall(done.stdout)
        assert {int(rank) for rank, _ in lines} == set(range(n)), done.stdout
        return [[text for r, text in lines if int(r) == rank] for rank in range(n)]

    return launch


@pytest.fixture(scope="module", params=[("stepwise", 2, 2), ("fused", 3, 1)], ids=str)
def misfortunes(request, said):
    """How each rank says that several runs ended, by the name of what befell one rank."""
    driver, n, n_threads = request.param
    lines = said(n, "misfortunes", driver, n_threads)
    everyone = [dict(line.split(": ", 1) for line in own) for own in lines]
    return {name: [own[name] for own in everyone] for name in everyone[0]}


@pytest.mark.usual("*stepwise*")
def test_an_explorer_that_raises_on_the_last_rank_raises_on_all(misfortunes):
    *others, own = misfortunes["raising"]
    assert own == "ZeroDivisionError: of the explorer's own"
    for told in others:
        assert told == f"ZeroDivisionError: rank {len(others)}: of the explorer's own"


@pytest.mark.usual("*stepwise*")
@pytest.mark.parametrize("name", ["infinite", "not a number"])
def test_numbers_that_leave_no_way_on_are_named_on_all_ranks(misfortunes, name):
    first, *others = misfortunes[name]
    where = r"replica \d, chain \d, beta \S+, round \d+, scan \d+"
    assert re.fullmatch(rf"NumericalError: .*: {where}", first)
    assert all(told == first for told in others)


@pytest.mark.usual("*stepwise*")
def test_ranks_with_other_data_are_refused_on_all(misfortunes):
    first, *others = misfortunes["other data"]
    assert first.startswith("ValueError: ranks 0 and 1 have different models or data")
    assert all(told == first for told in others)


@pytest.mark.usual("*stepwise*")
def test_a_model_that_changes_is_found_out_on_all_ranks(misfortunes):
    own, *others = misfortunes["changing"]
    assert own.startswith("ReproducibilityError: round 3 has other bits when it is run again")
    assert f"in the run, with {len(others) + 1} ranks of " in own
    assert all(told == own.replace("Error: ", "Error: rank 0: ") for told in others)
    assert set(misfortunes["constant"]) == {"no error"}


@pytest.mark.slow
def test_a_full_disk_raises_on_all_ranks(said, tmp_path):
    (own,), (told,) = said(2, "full_disk", tmp_path / "run")
    assert re.match(r"full disk: CheckpointError: cannot write \S+: File too large", own)
    assert told == own.replace("CheckpointError: ", "CheckpointError: rank 0: ")
    assert len(load(tmp_path / "run").rounds) >= 4


def test_ranks_that_ask_for_different_runs_are_refused_before_anything_is_made(said, tmp_path):
    first, *others = said(3, "asked_differently", tmp_path)
    assert all(own == first for own in others)
    *refused, left, at_last = first
    names = ["checkpoint"] * 3 + ["checked_round", "show_report", "settings", "explorer"]
    for line, name in zip(refused, names, strict=True):
        wanted = rf".*: ValueError: all ranks must ask for the same run: rank 0 has {name} = .*"
        assert re.fullmatch(rf"{wanted}, rank 2 has .*", line)
    assert left == "left []"
    assert at_last == "n_rounds: no error"


def test_a_mismatch_of_collectives_is_named(said):
    for (own,) in said(3, "out_of_step"):
        assert own.startswith(
            "out of step: CommunicationError: the ranks are out of step: rank 0 is at gather_all, "
            "rank 2 at broadcast from rank 0"
        )


@pytest.mark.slow
def test_a_rank_makes_one_run_at_a_time(said):
    for second, first in said(2, "two_threads"):
        assert second.startswith("second: CommunicationError: rank ")
        assert "has a run going on in another thread" in second
        assert first == "first: no error"


@pytest.fixture(scope="module")
def never_killed():
    return digest(pigeons(eight_schools, n_chains=6, n_rounds=17, show_report=False))


def check_went_on(lines, interrupted_rounds):
    """All ranks ended the run alike, and went on to the bits of a run that never stopped."""
    assert all(own == lines[0] for own in lines)
    left, went_on = lines[0]
    _, _, n, interrupted = left.split()
    assert interrupted == "True"
    assert int(n) in interrupted_rounds
    whole = pigeons(eight_schools, n_chains=6, n_rounds=int(n) + 1, show_report=False)
    assert went_on == f"went on {int(n) + 1} False {digest(whole)}"


@pytest.mark.usual("3-1")
@pytest.mark.parametrize(("n", "which"), [(3, "1"), (2, "all")])
def test_ctrl_c_on_some_ranks_ends_the_run_of_all_alike(said, tmp_path, n, which):
    check_went_on(said(n, "interrupted", tmp_path / "run", which), range(6, 22))


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_ctrl_c_between_two_rounds_ends_the_run_of_all_alike(said, which):
    check_went_on(said(2, "interrupted_between", which), [4])


def start(partition, mpiexec, environment, *words, **variables):
    n_processes, *_ = partition
    launcher = [mpiexec, "-n", str(n_processes)] if n_processes > 1 else []
    return subprocess.Popen(
        [*launcher, sys.executable, "-u", PROGRAM, *map(str, words)],
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _rounds(folder):
    """The finished rounds that have a file; a file is dropped three rounds later."""
    return finished_rounds(folder) if folder.is_dir() else []


def test_ctrl_c_in_a_terminal_leaves_the_finished_rounds(
    tmp_path, mpiexec, environment, never_killed
):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    folder = tmp_path / "run"
    process = start((2,), mpiexec, environment, "start_or_resume", folder, 1)
    deadline = time.monotonic() + 60
    while max(_rounds(folder), default=0) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    pt = load(folder)
    assert len(pt.rounds) >= 6
    pigeons(pt, show_report=False)
    assert digest(pt) == never_killed


@pytest.mark.usual("2-1-killed")
@pytest.mark.parametrize(
    ("n", "rank", "how"), [(2, 1, "killed"), (3, 0, "killed"), (3, 1, "exits"), (2, 0, "exits")]
)
def test_a_lost_rank_ends_the_run_of_all_and_is_named(tmp_path, mpiexec, environment, n, rank, how):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    folder = tmp_path / "run"
    process = start((n,), mpiexec, environment, "killed", folder, rank, how)
    deadline = time.monotonic() + 60
    while max(_rounds(folder), default=0) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    out, err = process.communicate(timeout=10)
    assert process.returncode != 0
    pids = dict(re.findall(r"rank (\d): is process (\d+)", out))
    assert re.search(rf"numpygeons: rank {rank} \(process {pids[str(rank)]} on \S+\) was kill", err)
    assert len(load(folder).rounds) >= 6


PARTITIONS = [(2, 1), (1, 2), (3, 1), (1, 1), (2, 2)]  # processes, threads


def is_there(folder, number, midway):
    """Whether so many rounds are written, or the last one in its middle."""
    if midway:
        return (folder / "round-17.unfinished").exists()
    return folder.is_dir() and max(finished_rounds(folder), default=0) >= number


def check_killed(folder, rng, partitions, mpiexec, environment, never_killed):
    """Killed whole once for each partition, then finished here; how often it went on in the middle
    of a round."""
    middles = []
    for k, partition in enumerate(partitions):
        process = start(
            partition,
            mpiexec,
            environment,
            "start_or_resume",
            folder,
            partition[1],
            NUMPYGEONS_CHECKPOINT_SECONDS="0.05",
        )
        middles += map(int, re.findall(r"scan (\d+)", process.stdout.readline()))
        # At a moment that depends on how far it is, not on how fast the machine is today.
        wanted, deadline = 1 + 3 * k + rng.integers(3), time.monotonic() + 60
        while not is_there(folder, wanted, midway=k == len(partitions) - 1):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.3))
        assert process.poll() is None, "it ended before it could be killed"
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=20)
    pt = load(folder)
    assert len(pt.rounds) < 17
    middles.append(0 if pt._rounds.state.midway is None else pt._rounds.state.midway.scans.n_done)
    pigeons(pt, show_report=False)
    assert digest(pt) == never_killed
    return sum(n > 0 for n in middles)


def check_kills(n_times, tmp_path, *given):
    rng = np.random.default_rng(4)
    return sum(check_killed(tmp_path / str(attempt), rng, *given) for attempt in range(n_times))


@pytest.mark.slow
def test_a_run_killed_whole_goes_on_with_others(tmp_path, mpiexec, environment, never_killed):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    assert check_kills(1, tmp_path, PARTITIONS[:2], mpiexec, environment, never_killed) >= 1


@pytest.mark.slow
def test_a_run_killed_whole_twenty_times_goes_on(tmp_path, mpiexec, environment, never_killed):
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install 'numpygeons-core[mpi]'")
    assert check_kills(4, tmp_path, PARTITIONS, mpiexec, environment, never_killed) >= 4
