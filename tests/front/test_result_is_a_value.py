"""A result can be pickled, copied and sent, and cannot be changed by who reads it."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

import numpygeons
from numpygeons import HMC, pigeons
from support.run_digest import digest
from support.small_models import eight_schools, normal


@pytest.fixture(scope="module")
def pt():
    return pigeons(normal, model_args=(0.5,), n_chains=3, n_rounds=4, show_report=False)


def test_a_pickled_run_reads_and_goes_on_with_the_same_bits(pt):
    again = pickle.loads(pickle.dumps(pt))
    assert digest(again) == digest(pt)
    assert again.report() == pt.report()
    assert again.folder is None
    whole = pigeons(normal, model_args=(0.5,), n_chains=3, n_rounds=5, show_report=False)
    numpygeons.pigeons(again, n_rounds=5, show_report=False)
    assert digest(again) == digest(whole)
    assert len(pt.rounds) == 4


def test_a_run_of_a_model_that_no_module_has_is_pickled():
    shift = 0.25

    def local(y):
        normal(y + shift)

    pt = pigeons(local, model_args=(0.5,), n_chains=2, n_rounds=2, show_report=False)
    assert digest(pickle.loads(pickle.dumps(pt))) == digest(pt)


def test_a_run_before_its_first_round_is_pickled():
    pt = pickle.loads(pickle.dumps(pigeons(normal, n_chains=2, n_rounds=0, show_report=False)))
    assert pt.rounds == ()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(pt, copied):
    before = digest(pt)
    other = copied(pt)
    assert digest(other) == before
    numpygeons.pigeons(other, n_rounds=5, show_report=False)
    assert len(other.rounds) == 5
    assert digest(pt) == before


def test_another_process_returns_a_run():
    ask = partial(pigeons, normal, n_chains=2, n_rounds=2, seed=7, show_report=False)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pt = pool.submit(ask).result()
    assert digest(pt) == digest(ask())


def test_arrays_of_a_result_are_read_only(pt):
    record = pt.rounds[-1]
    arrays = {
        "draws": pt.samples["x"],
        "log_reference": pt.log_density["log_reference"],
        "v": pt.log_density["v"],
        "schedule": pt.schedule,
        "acceptance": pt.swap_acceptance,
        "rho": record.energy_ac1,
        "explorer": record.explorer["acceptance"],
        "chosen": record.chosen["leapfrog steps"],
    }
    for name, array in arrays.items():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5
        assert array.size, name
    pt.samples["x"] = None
    assert pt.samples["x"] is not None


@pytest.mark.parametrize("n_rounds", [0.5, True, -1, 0, "2", None])
def test_a_run_is_extended_by_whole_numbers_from_one(pt, n_rounds):
    with pytest.raises((TypeError, ValueError), match="n_rounds must be"):
        pt.extend(n_rounds)
    assert len(pt.rounds) == 4


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"model_args": (7.0,)}, "model_args"),
        ({"model_kwargs": {"y": 7.0}}, "model_kwargs"),
        ({"n_chains": 10}, "n_chains"),  # the default, and not this run's
        ({"seed": 2}, "seed"),
        ({"record": ["traces"]}, "record"),
        ({"driver": "stepwise"}, "driver"),
        ({"lanes": 2}, "lanes"),
        ({"explorer": HMC(max_length=3)}, "explorer"),
    ],
)
def test_a_run_that_goes_on_refuses_what_it_would_ignore(pt, given, name):
    with pytest.raises(ValueError, match=rf"{name} can(not|'t) .*when a run goes on"):
        pigeons(pt, n_rounds=5, show_report=False, **given)
    assert len(pt.rounds) == 4


def test_a_run_that_goes_on_takes_what_it_has(pt):
    pigeons(pt, n_rounds=4, n_chains=3, seed=1, driver="fused", lanes="auto", show_report=False)


def test_other_data_need_another_run():
    pt = pigeons(eight_schools, n_chains=3, n_rounds=2, show_report=False)
    with pytest.raises(ValueError, match="for other data start a new run"):
        pigeons(pt, model_args=((1.0,) * 8,), n_rounds=3)
