"""Where checkpoints go, what is refused before anything is compiled, and what a full disk does."""

import errno
import os
import re
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import CheckpointError, Explorer, NumericalError, NumpygeonsWarning, load, pigeons
from numpygeons.checkpoint import file, folder
from numpygeons.distributed.call import Call, write_call
from numpygeons.distributed.ranks_log import RankLog
from numpygeons.private_files import open_new
from numpygeons.target.path import as_path
from support.run_digest import digest
from support.small_models import impossible, normal


def run(target=normal, **settings):
    return pigeons(target, **{"n_chains": 2, "n_rounds": 5, "show_report": False, **settings})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compiles_nothing(monkeypatch):
    def compiled(*_):
        raise AssertionError("something was compiled")

    monkeypatch.setattr("numpygeons.rounds.rounds.RoundPrograms", compiled)


def test_true_makes_a_folder_and_a_link_to_it(here):
    first, second = run(checkpoint=True), run(checkpoint=True, n_rounds=2)
    for pt in (first, second):
        assert pt.folder.parent == here / "results" / "all"
        assert re.fullmatch(r"\d{4}(-\d\d){5}-[0-9a-f]{8}", pt.folder.name)
    assert sorted(os.listdir("results")) == ["all", "latest"]
    assert os.readlink("results/latest") == f"all/{second.folder.name}"
    assert digest(load("results/latest")) == digest(second)
    assert digest(load(first.folder)) == digest(first)


def test_the_last_three_rounds_stay_and_hold_all_records(here):
    run(checkpoint="mine")
    assert sorted(os.listdir("mine")) == [
        *(f"round-0{number}.checkpoint" for number in (3, 4, 5)),
        "round-05.samples.npz",
        "run.checkpoint",
    ]
    assert [record.round for record in load("mine").rounds] == [1, 2, 3, 4, 5]


def test_every_round_is_written_when_it_ends(here, monkeypatch):
    there = []
    monkeypatch.setattr(
        "numpygeons.runs.report.Reporter.finished",
        lambda _, record: there.append(max(folder.finished_rounds(Path("mine")))),
    )
    run(checkpoint="mine")
    assert there == [1, 2, 3, 4, 5]


def test_where_checkpoints_go_is_shown(here, capsys):
    run(checkpoint="mine", show_report=True)
    assert f"checkpoints in {here / 'mine'}\n" in capsys.readouterr().out


def test_a_run_goes_on_in_its_folder_wherever_the_process_has_gone(here):
    pt = run(checkpoint="mine")
    (here / "elsewhere").mkdir()
    os.chdir("elsewhere")
    pt.extend()
    assert digest(load(here / "mine")) == digest(pt)


def test_checkpoints_change_no_bits(here):
    assert digest(run(checkpoint=True)) == digest(run())


# ------------------------------------------------------- refused before anything is compiled


@pytest.mark.parametrize("argument", [1, None, b"mine", 0.5])
def test_a_checkpoint_is_true_or_false_or_a_folder(compiles_nothing, argument):
    with pytest.raises(TypeError, match="checkpoint must be True, False or a folder: got"):
        run(checkpoint=argument)


def test_a_folder_has_a_name(compiles_nothing):
    with pytest.raises(ValueError, match="checkpoint must name a folder: got ''"):
        run(checkpoint="")


def test_a_folder_with_something_else_is_refused(here, compiles_nothing):
    (here / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="is not empty: name a new folder, or an empty one"):
        run(checkpoint=here)


def test_the_folder_of_another_run_is_refused(here, monkeypatch):
    pt = run(checkpoint="mine")
    before = digest(pt)
    with pytest.raises(ValueError, match=r"mine holds another run: go on with it by pigeons\(load"):
        run(checkpoint="mine")
    with pytest.raises(ValueError, match="mine holds another run"):
        run().save("mine")
    assert digest(load("mine")) == before


def test_a_folder_below_a_file_is_refused(here, compiles_nothing):
    (here / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write .*file/mine: Not a directory"):
        run(checkpoint="file/mine")


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="no folder that nobody can write to")
def test_a_folder_where_nothing_can_be_made_is_refused(compiles_nothing):
    with pytest.raises(CheckpointError, match="cannot write /proc/mine: "):
        run(checkpoint="/proc/mine")


def read_only(*_):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_read_only_folder_is_refused(here, compiles_nothing, monkeypatch):
    (here / "mine").mkdir()
    monkeypatch.setattr(file, "open_new", read_only)
    with pytest.raises(CheckpointError, match=r"cannot write .*mine.*: Read-only file system"):
        run(checkpoint="mine")


def test_a_loaded_run_whose_folder_has_become_read_only_is_refused(here, monkeypatch, request):
    run(checkpoint="mine")
    pt = load("mine")
    request.getfixturevalue("compiles_nothing")
    monkeypatch.setattr(file, "open_new", read_only)
    with pytest.raises(CheckpointError, match=r"cannot write .*mine: Read-only file system"):
        pt.extend()
    assert len(pt.rounds) == 5


LOCK = threading.Lock()


def locked():
    with LOCK:
        normal()


class Locked(Explorer):
    def __init__(self):
        self.lock = LOCK

    def explore(self, evaluate, state, beta, tuning, noise):
        return state, jnp.ones(1, state.x.dtype)


def test_a_target_that_cannot_be_pickled_is_named(here, compiles_nothing):
    message = r"the target locked cannot be written to a checkpoint.*cannot pickle '_thread.lock'"
    with pytest.raises(TypeError, match=message):
        run(locked, checkpoint=True)
    assert os.listdir(here) == []


def test_an_explorer_that_cannot_be_pickled_is_named(here, compiles_nothing):
    with pytest.raises(TypeError, match="the explorer Locked cannot be written to a checkpoint"):
        run(explorer=Locked(), checkpoint=True)


def test_a_path_is_no_target_that_can_be_written(here, compiles_nothing):
    with pytest.raises(TypeError, match="a TemperedPath cannot be written to a checkpoint: give"):
        run(as_path(normal), checkpoint=True)


# ----------------------------------------------------------------------- what can go wrong


def test_a_run_that_cannot_start_leaves_nothing_and_the_link_as_it_was(here):
    earlier = run(checkpoint=True)
    with pytest.raises(NumericalError, match="no finite state"):
        run(impossible, checkpoint=True)
    assert os.listdir("results/all") == [earlier.folder.name]
    assert load("results/latest").folder == earlier.folder
    with pytest.raises(NumericalError):
        run(impossible, checkpoint="a/b/c")
    assert os.listdir(here) == ["results"]


def test_where_there_can_be_no_link_the_folder_is_named(here):
    (here / "results" / "latest").mkdir(parents=True)
    with pytest.warns(NumpygeonsWarning, match=r"latest could not be made .*: load it from .*all/"):
        pt = run(checkpoint=True)
    assert digest(load(pt.folder)) == digest(pt)
    assert sorted(os.listdir("results")) == ["all", "latest"]


def test_a_file_in_the_place_of_the_link_is_refused_and_stays(here, compiles_nothing):
    (here / "results").mkdir()
    (here / "results" / "latest").write_text("mine")
    with pytest.raises(ValueError, match=r"latest is a file, .*: move the file away, or name a"):
        run(checkpoint=True)
    assert (here / "results" / "latest").read_text() == "mine"
    (here / "results" / "latest").unlink()
    os.mkfifo("results/latest")
    with pytest.raises(ValueError, match=r"latest is a file, .*: move the file away, or name a"):
        run(checkpoint=True)
    assert os.listdir("results") == ["latest"]


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_is_written_is_for_its_owner_alone_whatever_the_umask(here, open_umask, monkeypatch):
    monkeypatch.setattr(folder.TimedKeeper, "is_due", lambda _: True)
    seen = {}
    real = folder.Folder.write

    def write(self, state):
        note()
        real(self, state)

    def note():
        for path in (here / "a").rglob("*"):
            seen[str(path.relative_to(here / "a"))] = path.stat().st_mode & 0o777

    monkeypatch.setattr(folder.Folder, "write", write)
    pt = run(checkpoint="a/b/run", record=["disk"], n_rounds=11, n_chains=1)
    write_call(pt.folder, Call(n_rounds=12, n_threads=1, show_report=False))
    monkeypatch.setenv("PMI_RANK", "0")
    RankLog(pt.folder)
    note()
    folders = {"b", "b/run", "b/run/draws", "b/run/ranks"}
    assert {name for name, mode in seen.items() if mode == 0o700} == folders
    assert {mode for name, mode in seen.items() if name not in folders} == {0o600}
    kinds = {name.rpartition(".")[2] for name in seen if name not in folders}
    assert kinds == {"checkpoint", "unfinished", "draws", "pickle", "json"}


def test_a_link_where_a_file_is_about_to_be_written_is_not_followed(here):
    target = here / "elsewhere"
    run_folder = here / "mine"
    pt = run(checkpoint=run_folder)
    for name in ("call.pickle.part", "call.pickle", "0.json.part"):
        (run_folder / name).symlink_to(target)
    write_call(pt.folder, Call(n_rounds=12, n_threads=1, show_report=False))
    assert not target.exists()
    assert not (run_folder / "call.pickle").is_symlink()
    with pytest.raises(FileExistsError):
        open_new(run_folder / "call.pickle.part")


def test_a_disk_that_is_full_keeps_the_rounds_before(here, monkeypatch):
    real = os.fsync
    n = 0

    def fsync(descriptor):
        nonlocal n
        n += 1
        if n > 2 * 4:  # the run and three rounds, each with its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    message = r"cannot write .*round-04.checkpoint: No space left on device; .*make room"
    with pytest.raises(CheckpointError, match=message):
        run(checkpoint="mine")
    monkeypatch.undo()
    os.chdir(here)
    pt = load("mine")
    assert len(pt.rounds) == 3
    assert pt.interrupted
    assert digest(pigeons(pt, show_report=False, n_rounds=5)) == digest(run())


def test_a_round_is_written_though_the_writing_was_interrupted(here, monkeypatch):
    real, presses = folder.Folder.write, []

    def write(self, state):
        if state.round == 3 and not presses:
            presses.append("Ctrl-C")
            raise KeyboardInterrupt
        real(self, state)

    monkeypatch.setattr(folder.Folder, "write", write)
    with pytest.warns(NumpygeonsWarning, match="interrupted in round 4 of 5"):
        pt = run(checkpoint="mine")
    assert presses == ["Ctrl-C"]
    assert len(load("mine").rounds) == len(pt.rounds) == 3


def test_what_a_killed_writer_left_is_removed(here):
    run(checkpoint="mine")
    litter = here / "mine" / ".round-06.checkpoint.0123abcd.tmp"
    litter.write_bytes(b"half")
    load("mine").extend()
    assert not litter.exists()


# ------------------------------------------------------------------------------- the model


def test_arguments_and_closures_keep_their_bits(here):
    data = np.array([0.1, 0.2])

    def model(y, *, scale):
        x = numpyro.sample("x", dist.Normal(0, scale))
        numpyro.sample("y", dist.Normal(x, jnp.asarray(data)), obs=y)

    arguments = {"model_args": (jnp.array([0.5, 0.7]),), "model_kwargs": {"scale": 2}}
    pt = run(model, **arguments, checkpoint="mine", n_rounds=3)
    whole = run(model, **arguments, n_rounds=5)
    assert digest(pigeons(load("mine"), n_rounds=5, show_report=False)) == digest(whole)
    assert digest(pt) != digest(whole)


def test_double_precision_is_kept_where_jax_has_left_it(here, x64):
    model, arguments = normal, {"model_args": (jnp.array(0.1),)}
    run(model, **arguments, checkpoint="mine", n_rounds=3)
    whole = run(model, **arguments)

    with jax.enable_x64(False):
        pt = load("mine")
        pigeons(pt, n_rounds=5, show_report=False)
        assert pt.samples["x"].dtype == np.float64
    assert digest(pt) == digest(whole)
