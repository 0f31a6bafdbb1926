"""Runs in child processes: the same bits, what they say, and how they end."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpyro
import numpyro.distributions as dist
import pytest

import numpygeons
from numpygeons import ChildProcess, Result, RunError, pigeons
from numpygeons.checkpoint.folder import finished_rounds
from numpygeons.distributed import launcher
from numpygeons.distributed.ranks_log import RankNote, what_went_wrong
from numpygeons.distributed.supervisor import descendants
from support.processes_of_tests import alive, until
from support.small_models import impossible, normal

LONG = 24  # rounds, which take minutes
SCRIPT = """
import sys
import helper
import numpyro, numpyro.distributions as dist
import numpygeons

WIDTH = 1.0

def model(y):
    x = numpyro.sample("x", helper.prior())
    numpyro.sample("y", dist.Normal(x, WIDTH), obs=y)

if __name__ == "__main__":
    result = numpygeons.pigeons(
        model, model_args=(0.5,), n_chains=3, n_rounds=int(sys.argv[1]), checkpoint="run",
        on=numpygeons.ChildProcess(n_processes=1),
    )
    print("went on after it:", numpygeons.load(result))
"""


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(target=normal, n_processes=1, wait=True, **settings):
    settings = {"n_chains": 3, "n_rounds": 5, **settings}
    return pigeons(target, on=ChildProcess(n_processes=n_processes, wait=wait), **settings)


def has_rounds(folder, number):
    """Whether this round or a later one, which may have dropped its file, ends in time."""
    return until(lambda: max(finished_rounds(Path(folder)), default=0) >= number)


@pytest.fixture
def script(tmp_path):
    """Starts the script in a folder of its own, below one with a module that shadows Python's."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "script.py").write_text(SCRIPT)
    (code / "helper.py").write_text(
        "import numpyro.distributions as dist\ndef prior():\n    return dist.Normal(0, 1)\n"
    )
    (tmp_path / "random.py").write_text("raise ImportError('shadowed by the working folder')\n")
    started = []

    def start(n_rounds):
        process = subprocess.Popen(
            [sys.executable, "-u", str(code / "script.py"), str(n_rounds)],
            env={**os.environ, **launcher.search_path(), "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until_round(process, number):
    for line in process.stdout:
        if line.split()[:1] == [str(number)]:
            return
    raise AssertionError(process.stderr.read())


def rows(said):
    """Round, scans, restarts and barrier, which times do not change."""
    lines = [line.split() for line in said.splitlines()]
    return [line[:4] for line in lines if line and line[0].isdigit()]


@pytest.mark.slow
def test_a_run_elsewhere_has_the_bits_of_one_here(precision, capsys):
    here = pigeons(normal, n_chains=3, n_rounds=5)
    said = capsys.readouterr().out
    result = run()
    assert rows(capsys.readouterr().out) == rows(said)
    elsewhere = result.load()
    assert elsewhere.samples["x"].dtype == precision
    assert elsewhere.samples["x"].tobytes() == here.samples["x"].tobytes()
    assert elsewhere.schedule.tobytes() == here.schedule.tobytes()
    assert elsewhere.log_z == here.log_z
    other = pigeons(normal, n_chains=3, n_rounds=5, seed=2, show_report=False)
    assert elsewhere.samples["x"].tobytes() != other.samples["x"].tobytes()
    assert result.status() == "finished"
    assert result.folder == Path("results/latest").resolve()
    assert f"numpygeons.load({str(result.folder)!r})" in repr(result)


def test_a_run_of_another_process_goes_on_here_and_there():
    straight = pigeons(normal, n_chains=3, n_rounds=6, show_report=False)
    result = run(n_rounds=4, show_report=False)
    there = run(numpygeons.load(result), n_rounds=6, show_report=False)
    assert there.folder == result.folder
    assert there.load().samples["x"].tobytes() == straight.samples["x"].tobytes()
    assert (result.folder / "log.txt").read_text() == ""


def test_models_of_a_script_and_of_modules_beside_it_need_no_import(script):
    process = script(3)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "went on after it: <PT: 3 chains, 3 rounds" in out


def test_ctrl_c_ends_the_children_and_keeps_the_finished_rounds(script):
    process = script(LONG)
    read_until_round(process, 8)  # which comes while the run goes on
    below = descendants(process.pid)
    assert len(below) == 2
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert not any(alive(pid) for pid in below)
    assert "opens the finished rounds" in error
    assert "went on after it: <PT: 3 chains" in out
    assert "stopped before its end" in repr(Result("run"))


@pytest.mark.usual("supervisor")
@pytest.mark.parametrize("victim", ["caller", "supervisor"])
def test_nothing_outlives_a_killed_caller_or_supervisor(script, victim):
    process = script(LONG)
    read_until_round(process, 8)
    below = descendants(process.pid)
    os.kill(process.pid if victim == "caller" else below[0], signal.SIGKILL)
    assert until(lambda: not any(alive(pid) for pid in below), seconds=10)
    _, error = process.communicate(timeout=20)
    assert process.returncode != 0
    assert Result("run").status() == "failed"
    assert victim == "caller" or "RunError: the run failed: ended without an exit code" in error
    assert len(numpygeons.load("run").rounds) >= 8


def test_an_error_in_a_rank_is_raised_here_with_its_words():
    with pytest.raises(RunError) as caught:
        run(impossible)
    message = str(caught.value)
    assert "the run failed: exit code 1; rank 0 raised NumericalError: no finite state" in message
    assert str(Path("results/latest").resolve()) in message
    assert "\n    Traceback (most recent call last)" in message or "\n    numpygeons.err" in message
    assert Result("results/latest").status() == "failed"


@pytest.mark.slow
def test_a_killed_rank_is_named():
    result = run(n_rounds=LONG, wait=False)
    assert has_rounds(result.folder, 1)
    note = json.loads((result.folder / "ranks" / "0.json").read_text())
    os.kill(note["pid"], signal.SIGKILL)
    with pytest.raises(RunError, match=rf"exit code 137; rank 0 \(process {note['pid']} on .*kill"):
        result.wait(timeout=10)


def test_a_run_in_the_background_is_followed_and_killed(monkeypatch):
    begun = time.monotonic()
    result = run(n_rounds=LONG, wait=False)
    assert result.status() == "running"
    assert has_rounds(result.folder, 6)
    assert time.monotonic() - begun < 30
    with pytest.raises(TimeoutError, match="still goes on"):
        result.wait(timeout=0.1)
    with pytest.raises(FileExistsError, match="a run is going on in"):
        run(numpygeons.load(result))
    numpygeons.kill(result.folder)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    numpygeons.watch(result.folder)
    said = sys.stdout.getvalue()
    assert said == (result.folder / "log.txt").read_text()
    assert [line.split()[0] for line in said.splitlines()[3:9]] == list("123456")
    assert result.status() == "failed"
    assert "stopped before its end" in repr(result)
    with pytest.raises(RunError, match="the run was stopped before its end: exit code 130"):
        result.wait()
    result.kill()  # nothing to do any more
    assert len(result.load().rounds) >= 6


@pytest.mark.slow
def test_output_goes_where_characters_are_few(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    run(n_rounds=1)
    assert b"\\u039b" in stream.buffer.getvalue()  # the barrier's Greek letter


def improper():
    x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("y", dist.Normal(x, 1), obs=0.3)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_chains": 0}, ValueError, "n_chains must lie between"),
        ({"record": ["trace"]}, ValueError, "unknown recorder"),
        ({"explorer": "HMC"}, TypeError, "explorer must be an Explorer"),
        ({"model_args": (1, 2, 3)}, TypeError, "cannot be called with 3 model_args"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be True, False or a folder"),
        ({"target": improper}, numpygeons.ModelError, "'x'"),
        ({"target": 3}, TypeError, "target must be"),
        ({"on": object()}, TypeError, r"on must be None, ChildProcess\(\), SlurmJob"),
        ({"on": ChildProcess}, TypeError, r"not a class; write ChildProcess\(\)"),
        ({"n_threads": 3}, ValueError, "n_threads = 3, but ChildProcess has n_threads = 1"),
        (
            {"on": ChildProcess(mpiexec="no-such-program")},
            FileNotFoundError,
            "mpiexec='no-such-program': no such program",
        ),
        ({"on": numpygeons.SlurmJob()}, FileNotFoundError, "no sbatch on PATH"),
    ],
)
def test_bad_arguments_raise_before_anything_starts(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        pigeons(**{"target": normal, "on": ChildProcess(n_processes=1), **settings})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_processes": 0}, ValueError, "n_processes must be at least 1"),
        ({"n_processes": True}, TypeError, "n_processes must be an integer"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
        ({"wait": 1}, TypeError, "wait must be True or False"),
        ({"mpiexec": ""}, ValueError, "mpiexec must be one line of text"),
        ({"environment": [("A", "B")]}, TypeError, "environment must map"),
    ],
)
def test_bad_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        ChildProcess(**settings)


def test_ranks_start_no_ranks(tmp_path, monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "4")
    with pytest.raises(ValueError, match=r"on = ChildProcess\(...\) starts ranks itself, but .* 4"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_job_is_no_result(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run in other processes"):
        Result(tmp_path)


def test_mpiexec_is_looked_for_beside_python_first(tmp_path, monkeypatch):
    for name in ("beside", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mpiexec").write_text("#!/bin/sh\n")
        (tmp_path / name / "mpiexec").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(launcher.sysconfig, "get_path", lambda name: str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    assert launcher.find_mpiexec(None) == [str(tmp_path / "beside" / "mpiexec")]
    (tmp_path / "beside" / "mpiexec").unlink()
    assert launcher.find_mpiexec(None) == [str(tmp_path / "elsewhere" / "mpiexec")]
    assert launcher.find_mpiexec("mpiexec -bind-to 'a b'")[1:] == ["-bind-to", "a b"]
    (tmp_path / "elsewhere" / "mpiexec").unlink()
    with pytest.raises(FileNotFoundError, match=r"pip install 'numpygeons-core\[mpi\]' mpich"):
        launcher.find_mpiexec(None)


def test_ranks_see_the_environment_but_not_another_launchers(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setenv("MINE", "kept")
    monkeypatch.setenv("PRTE_MCA_hwloc_default_binding_policy", "core")
    seen = launcher.environment({"MINE_TOO": "set"})
    assert "PMI_RANK" not in seen
    assert "OMPI_COMM_WORLD_SIZE" not in seen
    assert seen["MINE"] == "kept"
    assert seen["MINE_TOO"] == "set"
    assert seen["PRTE_MCA_hwloc_default_binding_policy"] == "core"
    assert seen["PRTE_MCA_rmaps_default_mapping_policy"] == ":oversubscribe"


SILENT = tuple(RankNote(rank=i, pid=11 + i, host="machine") for i in range(3))


@pytest.mark.parametrize(
    "words",
    [
        "prterun noticed that process rank 1 with PID 12 on node machine exited on signal 9",
        "srun: error: machine: task 1: Killed",
    ],
)
def test_the_launchers_words_tell_which_of_the_killed_ranks_was_first(words):
    wrong = what_went_wrong(SILENT, (), words)
    assert wrong.startswith("rank 1 (process 12 on machine) ended without a word")
    assert "rank 0 (" not in wrong


def test_the_first_rank_to_end_counts_for_more_than_words():
    wrong = what_went_wrong(SILENT, (13, 11, 12), "=   PID 11 RUNNING AT machine")
    assert wrong.startswith("rank 2 (process 13 on machine) ended")
    assert "rank 0 (" not in wrong


def test_without_a_hint_all_silent_ranks_are_named():
    assert what_went_wrong(SILENT, (), "").count("rank ") == 3
    assert what_went_wrong((), (), "") == ""


def test_an_error_counts_for_more_than_the_ranks_that_it_took_along():
    raised = RankNote(rank=1, pid=12, host="machine", end="raised", error="ValueError: no")
    assert what_went_wrong((SILENT[0], raised), (11, 12), "") == "rank 1 raised ValueError: no"
