"""The supervisor hands on what a command says, and leaves nothing running behind."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import numpygeons.distributed.supervisor as supervisor
from support.processes_of_tests import alive
from support.processes_of_tests import until as until_within

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
signal.signal(signal.SIGTERM, lambda *_: print("terminated", flush=True))
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""

until = partial(until_within, seconds=10)


def start(folder, *command, **settings):
    return subprocess.Popen(
        [
            *(sys.executable, "-I", supervisor.__file__, str(folder)),
            *(str(os.getpid()), "1", *command),
        ],
        start_new_session=True,
        **settings,
    )


def said(folder):
    log = folder / "log.txt"
    return log.read_text() if log.is_file() else ""


def test_streams_are_kept_apart_and_logged_together(tmp_path):
    process = start(
        *(tmp_path, "bash", "-c", "echo out; echo err >&2; exit 3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.communicate(timeout=20) == (b"out\n", b"err\n")
    assert process.returncode == 3
    assert (tmp_path / "exit").read_text() == "3\n"
    assert sorted(said(tmp_path).split()) == ["err", "out"]


def test_a_signal_gives_the_exit_code_of_a_shell(tmp_path):
    assert start(tmp_path, "bash", "-c", "kill -9 $$").wait(20) == 137
    assert (tmp_path / "exit").read_text() == "137\n"


def test_who_does_not_listen_does_not_hold_it_up(tmp_path):
    process = start(tmp_path, "bash", "-c", "seq 100000; echo end", stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(20) == 0
    assert said(tmp_path).endswith("100000\nend\n")


@pytest.mark.slow
def test_signals_get_harder_until_all_is_gone(tmp_path):
    process = start(tmp_path, sys.executable, "-c", STUBBORN)
    assert until(lambda: "ready" in said(tmp_path))
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 137
    assert time.monotonic() - begun < 10
    assert said(tmp_path).split() == ["ready", "interrupted", "terminated"]


def test_only_ranks_are_interrupted_not_what_started_them(tmp_path):
    (tmp_path / "numpygeons.py").write_text(STUBBORN.replace("while True", "for _ in range(20)"))
    launcher = f"trap 'echo launcher interrupted' INT; {sys.executable} -u -m numpygeons run x"
    process = start(
        tmp_path, "bash", "-c", launcher, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert until(lambda: "ready" in said(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert said(tmp_path).split() == ["ready", "interrupted"]


def test_what_the_command_leaves_behind_is_ended(tmp_path):
    process = start(tmp_path, "bash", "-c", "setsid sleep 300 & echo $!")
    assert process.wait(20) == 0
    assert not alive(int(said(tmp_path)))


def test_it_ends_with_its_starter(tmp_path):
    script = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-I', {supervisor.__file__!r}, {str(tmp_path)!r}, "
        "str(__import__('os').getpid()), '1', 'sleep', '300'], start_new_session=True)\n"
        "time.sleep(300)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script])
    assert until(lambda: any_child_of_a_child(starter.pid))
    below = supervisor.descendants(starter.pid)
    starter.kill()
    starter.wait()
    assert until(lambda: not any(alive(pid) for pid in below))
    assert (tmp_path / "exit").read_text() == "130\n"


def any_child_of_a_child(pid):
    return len(supervisor.descendants(pid)) >= 2


def test_the_command_ends_with_a_killed_supervisor(tmp_path):
    process = start(tmp_path, "sleep", "300")
    assert until(lambda: supervisor.descendants(process.pid))
    (child,) = supervisor.descendants(process.pid)
    process.kill()
    process.wait()
    assert until(lambda: not alive(child))


@pytest.mark.parametrize(
    ("command", "rank"),
    [
        (["-P", "-m", "numpygeons", "run", "folder"], True),
        (["mpiexec", "-n", "2", "python", "-m", "numpygeons", "run", "folder"], False),
        (["-m", "numpygeons", "report", "folder"], False),
    ],
)
def test_ranks_are_known_by_their_command(monkeypatch, command, rank):
    words = b"\0".join(word.encode() for word in ["/usr/bin/python3", *command, ""])
    monkeypatch.setattr(Path, "read_bytes", lambda self: words)
    assert supervisor.is_rank(1) is rank
