"""A loaded run can be read as the run it was, in any process."""

import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import arviz
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import (
    CheckpointError,
    Explorer,
    load,
    pigeons,
    stepping_stone_pair,
)
from run_digest import digest
from small_models import eight_schools, normal


def run(target=normal, **settings):
    return pigeons(target, **{"n_chains": 2, "n_rounds": 7, "show_report": False, **settings})


# ------------------------------------------------------------------------- what can be read


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    settings = {"n_chains": 4, "n_rounds": 8, "show_report": False}
    return pigeons(eight_schools, checkpoint=folder, **settings)


def test_everything_can_be_read_and_nothing_is_compiled(finished, monkeypatch):
    def compiled(*_):
        raise AssertionError("the rounds were compiled")

    monkeypatch.setattr("numpygeons.rounds.Programs", compiled)
    pt = load(finished.folder)
    assert repr(pt) == repr(finished)
    assert pt.report() == finished.report()
    for name, values in finished.samples.items():
        np.testing.assert_array_equal(pt.samples[name], values)
    for name, values in finished.log_density.items():
        np.testing.assert_array_equal(pt.log_density[name], values)
    betas = np.linspace(0, 1, 7)
    for mine, other in zip(pt.log_z_curve(betas), finished.log_z_curve(betas), strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(pt.local_barrier(betas), finished.local_barrier(betas))
    assert pt.log_z_interval() == finished.log_z_interval()
    assert pt.flags == finished.flags
    assert stepping_stone_pair(pt) == stepping_stone_pair(finished)
    mine, other = (arviz.summary(one.to_arviz()) for one in (pt, finished))
    assert mine.equals(other)
    assert pt.to_arviz(log_likelihood=True)["log_likelihood"] is not None
    assert [record.seconds for record in pt.rounds] == [r.seconds for r in finished.rounds]
    assert [r.compile_seconds for r in pt.rounds] == [r.compile_seconds for r in finished.rounds]


def test_a_result_with_a_folder_is_loaded(finished):
    assert digest(load(finished)) == digest(finished)
    assert digest(load(SimpleNamespace(folder=str(finished.folder)))) == digest(finished)


def test_what_holds_no_run_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("all/gone", "latest")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for place, error, message in (
        ("missing", CheckpointError, f"there is no missing in {tmp_path}"),
        ("latest", CheckpointError, "there is no latest, which leads to all/gone"),
        ("empty", CheckpointError, r"empty holds no run \(run.checkpoint is missing\)"),
        ("file", CheckpointError, "file is a file: name the folder it is in"),
        (7, TypeError, "load takes a folder, or a result that has one: got 7 of type int"),
        (run(n_rounds=1), ValueError, r"this run has no folder: ask for checkpoint=True"),
    ):
        with pytest.raises(error, match=message):
            load(place)


def test_a_run_without_a_finished_round_starts_from_scratch(tmp_path):
    run(checkpoint=tmp_path / "run", n_rounds=0)
    pt = load(tmp_path / "run")
    assert repr(pt) == "<PT: 2 chains, no finished round>"
    with pytest.raises(RuntimeError, match="no round is finished"):
        pt.samples  # noqa: B018
    pigeons(pt, n_rounds=4, show_report=False)
    assert digest(pt) == digest(run(n_rounds=4))
    assert digest(load(tmp_path / "run")) == digest(pt)


# ------------------------------------------------------------------------------------- save


def test_a_saved_run_is_loaded_and_stays_as_it_was_saved(tmp_path, finished):
    place = tmp_path / "saved"
    finished.save(place)
    finished.save(place)  # its own folder
    pt = load(place)
    assert pt.folder is None
    assert digest(pt) == digest(finished)
    pt.extend()
    assert digest(load(place)) == digest(finished)
    pt.save(place)
    assert digest(load(place)) == digest(pt) != digest(finished)


def test_a_run_can_be_kept_from_some_round_on(tmp_path):
    pt = run(n_rounds=3)
    pigeons(pt, n_rounds=4, checkpoint=tmp_path / "kept", show_report=False)
    assert pt.folder == tmp_path / "kept"
    pt.extend()
    assert digest(load(pt)) == digest(pt) == digest(run(n_rounds=5))


def test_saving_before_any_round_keeps_the_run(tmp_path):
    run(n_rounds=0).save(tmp_path / "saved")
    pt = pigeons(load(tmp_path / "saved"), n_rounds=3, show_report=False)
    assert digest(pt) == digest(run(n_rounds=3))


# ---------------------------------------------------------------------- a model that changes


def test_a_model_of_another_shape_is_refused(tmp_path):
    data = tmp_path / "data.npy"

    def model():
        y = jnp.asarray(np.load(data))
        with numpyro.plate("point", len(y)):
            x = numpyro.sample("x", dist.Normal(0, 1))
            numpyro.sample("y", dist.Normal(x, 1), obs=y)

    np.save(data, np.zeros(2))
    run(model, checkpoint=tmp_path / "run", n_rounds=2)
    np.save(data, np.zeros(3))
    with pytest.raises(
        CheckpointError,
        match=r"other coordinates than the run had: got 3, wanted 2, and 'x\[2\]' is not in both",
    ):
        load(tmp_path / "run")


class Wide(Explorer):
    """Its tuning depends on the outside."""

    width = 1

    def start(self, start):
        return np.ones((len(start.betas), int(os.environ["WIDTH"])))

    def explore(self, evaluate, state, beta, tuning, noise):
        return state, jnp.ones(1, state.x.dtype)

    def adapt(self, tuning, outcome):
        return tuning


def test_an_explorer_of_another_shape_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WIDTH", "1")
    run(explorer=Wide(), checkpoint=tmp_path, n_rounds=2)
    monkeypatch.setenv("WIDTH", "2")
    message = r"Wide.start has other shapes than the run had: got \[\(2, 2\)\], wanted \[\(2, 1\)\]"
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


def test_settings_cannot_change_when_a_loaded_run_goes_on(finished):
    with pytest.raises(ValueError, match="n_chains cannot change when a run goes on: got 3, had 4"):
        pigeons(load(finished), n_chains=3)


# -------------------------------------------------------------------------- another process

SCRIPT = """
    import numpyro
    import numpygeons
    import mine
    from shapes import Half


    class Still(Half):
        def explore(self, evaluate, state, beta, tuning, noise):
            return super().explore(evaluate, state, beta, tuning, noise)


    def model():
        mine.prior()
        numpyro.factor("likelihood", mine.BETTER)


    numpygeons.pigeons(
        model, n_chains=2, n_rounds=3, explorer=Still(), checkpoint="run", show_report=False
    )
"""
MINE = """
    import numpyro, numpyro.distributions as dist
    BETTER = 0.0
    def prior():
        numpyro.sample("x", dist.Normal(0, 1))
"""
SHAPES = """
    import jax.numpy as jnp
    from numpygeons import Explorer
    class Half(Explorer):
        def explore(self, evaluate, state, beta, tuning, noise):
            return evaluate(state.x / 2), jnp.full(1, 0.5, state.x.dtype)
"""


def test_a_model_of_a_script_and_its_modules_loads_in_another_process(tmp_path, monkeypatch):
    for name, text in (("script", SCRIPT), ("mine", MINE), ("shapes", SHAPES)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",
    }
    subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True, timeout=120
    )
    for name in ("script", "mine", "shapes"):
        (tmp_path / f"{name}.py").unlink()
    pt = load(tmp_path / "run").extend()
    assert pt.samples["x"].shape == (16,)
    assert type(pt._rounds.explorer).__name__ == "Still"
    assert pt.rounds[-1].explorer_acceptance[-1] == 0.5
