"""What starts, ends and tells of several ranks, with any launcher; ranks of few words stand in."""

import json
import os
import signal
import subprocess
import sys

import pytest

from numpygeons import ChildProcess, RunError
from numpygeons.distributed.ranks_log import notes
from numpygeons.distributed.supervisor import descendants
from support.processes_of_tests import alive, until

RANK = """
import json, os, signal, socket, sys, time
from pathlib import Path

names = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
rank = next(int(os.environ[name]) for name in names if name in os.environ)

def interrupted(*_):
    print(f"interrupted {rank}\\n", end="", flush=True)
    sys.exit(0)

signal.signal(signal.SIGINT, interrupted)
folder = Path(sys.argv[2]) / "ranks"
folder.mkdir(exist_ok=True)
note = {"rank": rank, "pid": os.getpid(), "host": socket.gethostname()}
(folder / "part").with_suffix(f".{rank}").write_text(json.dumps(note))
(folder / "part").with_suffix(f".{rank}").replace(folder / f"{rank}.json")
print(f"ready {rank}\\n", end="", flush=True)
time.sleep(60)
"""
CALLER = """
import os, sys
from pathlib import Path
from numpygeons import ChildProcess
mpiexec, folder = sys.argv[1:]
ChildProcess(mpiexec=mpiexec, environment={"PYTHONPATH": folder}).start(Path(folder))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "numpygeons.py").write_text(RANK)
    return tmp_path


def start(folder, mpiexec, n_processes=2):
    place = ChildProcess(
        n_processes=n_processes,
        wait=False,
        mpiexec=mpiexec,
        environment={"PYTHONPATH": str(folder)},
    )
    result = place.start(folder)
    assert until(lambda: len(notes(folder)) == n_processes), (folder / "log.txt").read_text()
    return result


def test_every_rank_is_interrupted_and_may_say_farewell(folder, mpiexec):
    result = start(folder, mpiexec, n_processes=3)  # more than this machine may have cores
    result.kill()
    assert until(lambda: result.status() != "running", seconds=10)
    said = (folder / "log.txt").read_text()
    for rank in range(3):
        assert f"ready {rank}\n" in said
        assert f"interrupted {rank}\n" in said


def test_a_killed_rank_ends_all_and_is_named(folder, mpiexec):
    result = start(folder, mpiexec)
    victim = notes(folder)[1]
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(RunError) as caught:
        result.wait(timeout=10)
    message = str(caught.value)
    assert f"rank 1 (process {victim.pid} on {victim.host}) ended without a word" in message
    assert "rank 0 (" not in message
    assert "signal 9" in message  # the launcher's own words
    assert not any(alive(note.pid) for note in notes(folder))


def test_ranks_end_with_a_killed_caller(folder, mpiexec):
    caller = subprocess.Popen([sys.executable, "-c", CALLER, mpiexec, str(folder)])
    assert until(lambda: len(notes(folder)) == 2)
    below = descendants(caller.pid)
    assert {note.pid for note in notes(folder)} < set(below)
    caller.kill()
    caller.wait()
    assert until(lambda: not any(alive(pid) for pid in below), seconds=10)
    assert json.loads((folder / "job.json").read_text())["kind"] == "child"


def test_ranks_end_with_a_killed_supervisor(folder, mpiexec):
    result = start(folder, mpiexec)
    below = descendants(int(result.id))
    os.kill(int(result.id), signal.SIGKILL)
    assert until(lambda: not any(alive(pid) for pid in below), seconds=10)
    assert result.status() == "failed"
