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
    JaxTarget,
    State,
    load,
    pigeons,
    stepping_stone_pair,
)
from numpygeons.checkpoint.origin import unpickled
from numpygeons.rounds.same_model import Pilot, check_same_model
from support import environment
from support.run_digest import digest
from support.small_models import eight_schools, normal


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

    monkeypatch.setattr("numpygeons.rounds.rounds.RoundPrograms", compiled)
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


def of_a_file(path):
    def model():
        x = numpyro.sample("x", dist.Normal(0, float(path.with_name("scale").read_text())))
        numpyro.sample("y", dist.Normal(x, 1), obs=float(path.read_text()))

    return model


@pytest.mark.usual("scale*")
@pytest.mark.parametrize(
    ("name", "now", "what"),
    [
        ("y", "0.501", r"V = .* was -\d.* and is -\d"),
        ("scale", "1.001", "draw 1 of 64 from the reference is another"),
    ],
)
def test_a_model_whose_file_has_changed_is_refused(tmp_path, name, now, what):
    (tmp_path / "y").write_text("0.5")
    (tmp_path / "scale").write_text("1")
    run(of_a_file(tmp_path / "y"), n_rounds=2, checkpoint=tmp_path / "run")
    load(tmp_path / "run").extend()
    (tmp_path / name).write_text(now)
    pt = load(tmp_path / "run")
    with pytest.raises(CheckpointError, match=rf"model is not the one .* made with: .*{what}"):
        pt.extend()
    assert len(pt.rounds) == len(load(tmp_path / "run").rounds) == 3


def pilot(machine="here", **parts):
    """Draws of V around -1e5 in single precision."""
    x = np.linspace(-2, 2, 8, dtype=np.float32)[:, None]
    whole = {"x": x, "log_reference": -(x[:, 0] ** 2), "v": -1e5 - x[:, 0]}
    return Pilot(machine=machine, **{name: parts.get(name, a) for name, a in whole.items()})


def test_rounding_of_another_machine_does_not_make_another_model():
    own, v = pilot(), pilot().v
    check_same_model(own, pilot())
    check_same_model(own, pilot(v=v * (1 + 3e-6)))  # another order of a sum
    check_same_model(own, pilot("there", v=v * (1 + 3e-4), x=own.x * (1 + 3e-6)))
    check_same_model(own, pilot("there", x=own.x + 1, v=v + 1e4))  # another version's draws
    for other in (pilot(v=v + 3), pilot("there", v=v + 300), pilot(x=own.x * 1.001)):
        with pytest.raises(CheckpointError, match="the model is not the one"):
            check_same_model(own, other)


def test_a_likelihood_that_is_zero_elsewhere_makes_another_model():
    v = np.where(np.arange(8) == 3, -np.inf, pilot().v)
    check_same_model(pilot(v=v), pilot(v=v))
    with pytest.raises(CheckpointError, match=r"at draw 4 of 8 .* was -99999.* and is -inf"):
        check_same_model(pilot(), pilot(v=v))


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


@pytest.mark.filterwarnings("ignore:the data do not depend on the latents")
def test_a_model_of_a_script_and_its_modules_loads_in_another_process(tmp_path, monkeypatch):
    for name, text in (("script", SCRIPT), ("mine", MINE), ("shapes", SHAPES)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment(PYTHONWARNINGS="ignore"),
        check=True,
        timeout=120,
    )
    for name in ("script", "mine", "shapes"):
        (tmp_path / f"{name}.py").unlink()
    pt = load(tmp_path / "run").extend()
    assert pt.samples["x"].shape == (16,)
    assert type(pt._rounds.explorer).__name__ == "Still"
    assert pt.rounds[-1].explorer_acceptance[-1] == 0.5


def test_classes_are_found_where_they_are_now():
    """As a run of an earlier version names them."""
    written = b"(cnumpygeons.path\nJaxTarget\ncnumpygeons.potential\nState\nt."
    assert unpickled(written, "float32") == (JaxTarget, State)
