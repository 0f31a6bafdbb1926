"""`python -m numpygeons` runs stored calls and prints reports."""

import os
import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import numpygeons.__main__ as command_line
from numpygeons import NumpygeonsWarning, load, pigeons
from numpygeons.checkpoint import file
from numpygeons.distributed import launcher
from numpygeons.distributed.call import Call, write_call
from numpygeons.distributed.ranks_log import notes
from support.small_models import eight_schools, normal


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "numpygeons", *arguments],
        env={**os.environ, **launcher.search_path(), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def signals():
    """Puts back what a rank does to signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stored(folder, model=normal, **settings):
    """A folder with a run of one round, and a call to go on with it for three."""
    pt = pigeons(model, n_chains=3, n_rounds=1, checkpoint=folder, show_report=False, **settings)
    write_call(folder, Call(n_rounds=3, n_threads=1, show_report=True))
    return pt


def test_report_prints_the_table_of_a_stored_run(tmp_path, capsys):
    pt = stored(tmp_path)
    assert command_line.main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == pt.report() + "\n"


class Trap:
    """Says so, on whatever terminal, where it is unpickled."""

    def __reduce__(self):
        return print, ("run the code of a stranger",)


def test_report_runs_no_code_of_the_run(tmp_path, capsys, monkeypatch):
    pt = stored(tmp_path)
    arrays, header = file.read(tmp_path / "run.checkpoint")
    origin = np.frombuffer(pickle.dumps((Trap(), Trap())), np.uint8)
    file.write(tmp_path / "run.checkpoint", {**arrays, "origin": origin}, header)
    assert command_line.main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == pt.report() + "\n"
    with pytest.raises(TypeError):
        load(tmp_path)
    assert "the code of a stranger" in capsys.readouterr().out


def test_the_draws_by_site_are_there_without_any_code(tmp_path):
    pt = pigeons(eight_schools, n_chains=3, n_rounds=3, checkpoint=tmp_path, show_report=False)
    pt.extend()
    with np.load(tmp_path / "round-04.samples.npz", allow_pickle=False) as samples:
        assert list(samples) == list(pt.samples)
        for name, values in pt.samples.items():
            assert samples[name].tobytes() == values.tobytes()
    pt.save(tmp_path / "again")
    for folder in (tmp_path, tmp_path / "again"):
        assert [path.name for path in folder.glob("*.npz")] == ["round-04.samples.npz"]


@pytest.mark.parametrize("what", ["nowhere", "empty", "damaged"])
def test_report_says_in_one_line_where_there_is_nothing(tmp_path, what, capsys):
    folder = tmp_path / what
    if what != "nowhere":
        folder.mkdir()
    if what == "damaged":
        (folder / "run.checkpoint").write_bytes(b"")
    assert command_line.main(["report", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert str(folder) in said.err


def test_help_names_the_commands_and_version_the_package():
    helped = command("--help")
    assert helped.returncode == 0
    assert "run " in helped.stdout
    assert "report " in helped.stdout
    assert "numpygeons-core" in command("--version").stdout


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["report"]])
def test_bad_command_lines_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m numpygeons" in capsys.readouterr().err


def test_a_rank_does_its_run_and_notes_its_end(tmp_path, capsys, signals, monkeypatch):
    straight = pigeons(normal, n_chains=3, n_rounds=3, show_report=False)
    stored(tmp_path)
    assert command_line.main(["run", str(tmp_path)]) == 0
    (note,) = notes(tmp_path)
    assert (note.rank, note.pid, note.end) == (0, os.getpid(), "finished")
    assert "    3       8" in capsys.readouterr().out
    pt = command_line.load(tmp_path)
    assert pt.samples["x"].tobytes() == straight.samples["x"].tobytes()


def test_a_rank_notes_its_error(tmp_path, signals, monkeypatch):
    stored(tmp_path)

    def fails(*_, **__):
        raise ValueError("no way on")

    monkeypatch.setattr(command_line, "pigeons", fails)
    with pytest.raises(ValueError, match="no way on"):
        command_line.run(tmp_path)
    (note,) = notes(tmp_path)
    assert (note.end, note.error) == ("raised", "ValueError: no way on")


def test_a_terminated_rank_keeps_its_rounds(tmp_path, signals, monkeypatch):
    stored(tmp_path)

    def is_terminated(pt, **_):
        signal.raise_signal(signal.SIGTERM)
        return pt

    monkeypatch.setattr(command_line, "pigeons", is_terminated)
    with pytest.raises(KeyboardInterrupt):
        command_line.run(tmp_path)
    (note,) = notes(tmp_path)
    assert note.end == "interrupted"


def test_a_terminated_rank_writes_the_round_under_way(tmp_path, signals, monkeypatch):
    pigeons(normal, n_chains=2, n_rounds=1, checkpoint=tmp_path, show_report=False)
    write_call(tmp_path, Call(n_rounds=11, n_threads=1, show_report=False))
    left = [signal.SIGTERM]

    def scans(number, *_):
        if number == 11 and left:
            signal.raise_signal(left.pop())

    monkeypatch.setattr("numpygeons.runs.report.Reporter.scans", staticmethod(scans))
    with pytest.warns(NumpygeonsWarning, match="interrupted in round 11 of 11"):
        assert command_line.run(tmp_path) == 130
    (note,) = notes(tmp_path)
    assert note.end == "interrupted"
    assert load(tmp_path)._rounds.state.midway.scans.n_done > 0


def test_other_ranks_leave_signals_to_the_first(tmp_path, signals, monkeypatch):
    stored(tmp_path)
    monkeypatch.setenv("PMI_RANK", "1")

    def is_signalled(pt, **_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        pt._run.interrupted = False
        return pt

    monkeypatch.setattr(command_line, "pigeons", is_signalled)
    with warnings.catch_warnings():
        assert command_line.run(tmp_path) == 0
    (note,) = notes(tmp_path)
    assert note.end == "finished"


def test_a_folder_that_is_not_there_is_not_made(tmp_path, capsys):
    assert command_line.main(["run", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_folder_without_a_run_says_so(tmp_path):
    done = command("run", str(tmp_path))
    assert done.returncode == 1
    assert "holds no call to run" in done.stderr
