"""A loaded run goes on with the bits of one that never stopped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer import NUTS

from numpygeons import (
    HMC,
    AutoMALA,
    JaxTarget,
    Mix,
    NumPyroKernel,
    SliceSampler,
    load,
    pigeons,
)
from support.own_explorers import Walk
from support.run_digest import digest
from support.small_models import eight_schools, half_excluded, normal


def run(target=normal, **settings):
    return pigeons(target, **{"n_chains": 2, "n_rounds": 7, "show_report": False, **settings})


def check_that_it_goes_on(folder, target, **settings):
    """A run stopped after five rounds of seven, and loaded."""
    part = run(target, checkpoint=folder, **{**settings, "n_rounds": 5})
    loaded, whole = load(folder), run(target, **settings)
    assert digest(loaded) == digest(part)
    assert digest(part) != digest(whole)
    assert digest(pigeons(loaded, n_rounds=7, show_report=False)) == digest(whole)
    assert loaded.log_z == whole.log_z
    assert [r.seconds for r in loaded.rounds[:5]] == [r.seconds for r in part.rounds]  # not redone
    assert digest(load(folder)) == digest(whole)
    return loaded, whole


EXPLORERS = {
    "HMC": HMC(),
    "AutoMALA": AutoMALA(),
    "SliceSampler": SliceSampler(),
    "Mix": Mix(HMC(), SliceSampler()),
    "NUTS": NumPyroKernel(NUTS, max_tree_depth=4),
    "own": Walk(),
}


@pytest.mark.usual("own")
@pytest.mark.parametrize("name", list(EXPLORERS))
def test_every_explorer_goes_on_with_the_same_bits(tmp_path, name):
    loaded, whole = check_that_it_goes_on(tmp_path, normal, explorer=EXPLORERS[name])
    np.testing.assert_array_equal(loaded.samples["x"], whole.samples["x"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HMC", "own"])
def test_double_precision_goes_on_with_the_same_bits(tmp_path, x64, name):
    loaded, _ = check_that_it_goes_on(tmp_path, eight_schools, explorer=EXPLORERS[name])
    assert loaded.samples["theta"].dtype == np.float64


@pytest.mark.usual("index process-5")
@pytest.mark.parametrize("n_chains", [1, 5])
@pytest.mark.parametrize(
    "record",
    [["online"], ["index_process", "traces"], []],
    ids=["online", "index process", "nothing"],
)
def test_chains_and_recorders_go_on_with_the_same_bits(tmp_path, n_chains, record):
    settings = {"n_chains": n_chains, "record": record}
    loaded, whole = check_that_it_goes_on(tmp_path, half_excluded, **settings)
    if "online" in record:
        assert loaded.mean() == whole.mean()
        assert loaded.var() == whole.var()
        assert type(load(tmp_path).mean()["x"]) is type(whole.mean()["x"])
    if "index_process" in record:
        np.testing.assert_array_equal(loaded.index_process, whole.index_process)
    else:
        with pytest.raises(RuntimeError, match="no draws were kept"):
            load(tmp_path).samples  # noqa: B018


def test_the_stepwise_driver_goes_on_too(tmp_path):
    loaded, _ = check_that_it_goes_on(tmp_path, normal, driver="stepwise")
    assert digest(loaded) == digest(run())


@pytest.mark.slow
def test_the_devices_driver_goes_on_too(tmp_path):
    check_that_it_goes_on(tmp_path, normal, driver="device")


@pytest.mark.slow
def test_a_target_of_jax_functions_goes_on(tmp_path):
    target = JaxTarget(
        log_reference=lambda x: -0.5 * jnp.sum(x**2),
        log_target=lambda x: -2.0 * jnp.sum(x**2),
        sample_reference=lambda key: jax.random.normal(key, (2,)),
        initial=lambda key: jnp.ones(2),
    )
    check_that_it_goes_on(tmp_path, target)


def test_a_run_goes_on_to_the_rounds_it_was_asked_for(tmp_path):
    pt = run(checkpoint=tmp_path, n_rounds=5)
    (tmp_path / "round-05.checkpoint").unlink()  # as if killed in round 5
    loaded = load(tmp_path)
    assert loaded.interrupted
    pigeons(loaded, n_rounds=3, show_report=False)
    assert digest(loaded) == digest(pt)
    assert not loaded.interrupted


def test_what_a_loaded_run_was_asked_for_is_written_down_before_it_goes_on(tmp_path, monkeypatch):
    run(checkpoint=tmp_path, n_rounds=2)

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("numpygeons.rounds.rounds.Rounds.advance", killed)
        with pytest.raises(SystemExit):
            load(tmp_path).extend(2)
    assert len(pigeons(load(tmp_path), n_rounds=1, show_report=False).rounds) == 4


def test_what_was_compiled_to_go_on_is_in_the_next_record(tmp_path):
    run(checkpoint=tmp_path, n_rounds=2)
    pt = load(tmp_path).extend(2)
    assert [record.compile_seconds > 0 for record in pt.rounds] == [True, False, True, False]
