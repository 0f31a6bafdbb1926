"""A round that is run again alone has the same bits, or the first difference is named."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import HMC, ReproducibilityError, SliceSampler, pigeons
from numpygeons.rounds.rounds import Rounds
from numpygeons.runs.checked_round import differences
from support.run_digest import digest
from support.small_models import eight_schools, normal


def run(target=normal, **settings):
    return pigeons(target, **{"n_chains": 3, "n_rounds": 4, "show_report": False, **settings})


@pytest.mark.usual("4-fused", "1-stepwise")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
@pytest.mark.parametrize("checked", [1, 4])
def test_a_round_of_two_threads_is_the_same_alone(driver, checked, capsys):
    settings = {"n_chains": 4, "explorer": HMC(), "driver": driver, "n_threads": 2}
    pt = run(eight_schools, checked_round=checked, show_report=True, **settings)
    line = f"round {checked} has the same bits in one process of one thread"
    assert line in capsys.readouterr().out.splitlines()
    assert digest(pt) == digest(run(eight_schools, **settings))


class Stateful:
    """A likelihood that changes a little with its thirtieth call after it was armed."""

    def __init__(self):
        self.n_calls, self.armed = 0, False

    def __call__(self, x):
        self.n_calls += self.armed
        change = 1e-3 if self.n_calls > 30 else 0.0
        return np.asarray(-0.5 * (x - 1) ** 2 + change, np.float32)

    def model(self):
        x = numpyro.sample("x", dist.Normal(0, 1))
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        value = jax.pure_callback(self, shape, x, vmap_method="expand_dims")
        numpyro.factor("disturbed", value)


@pytest.fixture
def stateful(monkeypatch):
    """Armed when the round is run again."""
    likelihood = Stateful()
    loaded = Rounds.loaded.__func__

    def arm(cls, *arguments):
        likelihood.armed = True
        return loaded(cls, *arguments)

    monkeypatch.setattr(Rounds, "loaded", classmethod(arm))
    return likelihood


def test_a_likelihood_that_keeps_state_is_found_out(stateful):
    settings = {"explorer": SliceSampler(), "driver": "stepwise"}
    with pytest.raises(ReproducibilityError) as caught:
        run(stateful.model, checked_round=3, **settings)
    message = str(caught.value)
    found = re.match(
        r"round 3 has other bits when it is run again alone, in one process with one thread; the "
        r"first is at scan (\d), chain (\d) \(beta (\S+)\), replica (\d): V: (\S+) in the run, "
        r"with 1 rank of 1 thread, (\S+) alone; a model or an explorer does that which draws "
        r"random numbers itself, reads a clock or a file, or keeps state in a callback$",
        message,
    )
    assert found, message
    scan, chain, beta, replica, got, alone = found.groups()
    assert 1 <= int(scan) <= 8
    assert 1 <= int(chain) <= 2
    assert 0 < float(beta) <= 1
    assert 0 <= int(replica) < 3
    assert float(got) != float(alone)


def test_the_same_likelihood_left_alone_passes():
    settings = {"explorer": SliceSampler(), "driver": "stepwise"}
    assert len(run(Stateful().model, checked_round=3, **settings).rounds) == 4


@pytest.fixture(scope="module")
def twins():
    return run(eight_schools)._rounds, run(eight_schools)._rounds


def first(one, other, **changes):
    """The first difference once the state of `other` is changed."""
    before = other.state
    other.state = replace(before, **changes)
    try:
        return next(differences(one, other), None)
    finally:
        other.state = before


def changed(array, *place):
    array = np.array(array)
    array[place] = np.nextafter(array[place], np.inf)
    return array


def data_with(rounds, **arrays):
    data = rounds.state.data
    names = ["round", "n_restarts", "n_round_trips", "n_zero_likelihood", "snapshot_stride"]
    names += ["v", "replicas", "statistic_sums", "counts", "means", "squared_deviations"]
    names += ["snapshots", "first_zero_likelihood"]
    return type(data)(**{name: getattr(data, name) for name in names} | arrays)


def test_equal_runs_do_not_differ(twins):
    assert first(*twins) is None


def test_the_first_of_several_differences_is_named(twins):
    one, other = twins
    data, state = other.state.data, other.state
    v = changed(data.v, 7, 2)
    v[9, 1] += 1
    found = first(one, other, data=data_with(other, v=v), betas=changed(state.betas, 1))
    assert found.where.startswith(f"scan 8, chain 2 (beta 1), replica {data.replicas[7, 2]}: V")
    assert (found.got, found.alone) == (data.v[7, 2], v[7, 2])


@pytest.mark.parametrize(
    ("name", "place", "where"),
    [
        ("replicas", (3, 1), "scan 4, chain 1 (beta "),
        ("statistic_sums", (2, 0), "chain 2: the sum of the statistic "),
        ("means", (1, 0), "chain 1: means of visits, mu,"),
        ("snapshots", (0, 1, 2), "snapshots at [0, 1, 2]"),
    ],
)
def test_a_difference_in_what_was_recorded_is_named(twins, name, place, where):
    one, other = twins
    array = np.array(getattr(other.state.data, name))
    array[place] += 1
    assert first(one, other, data=data_with(other, **{name: array})).where.startswith(where)


def test_a_difference_in_draws_adaptation_or_record_is_named(twins):
    one, other = twins
    traces, x = other.state.traces, other.state.traces.x
    traces.x = changed(x, 5, 1)
    found = first(one, other)
    traces.x = x
    assert found.where == f"scan 6: the draw's {other.path.coordinate_names[1]}"
    state = other.state
    assert first(one, other, centres=changed(state.centres, 1, 2)).where == (
        "centres of the next round at [1, 2]"
    )
    records = (*state.records[:-1], replace(state.records[-1], n_restarts=99))
    found = first(one, other, records=records)
    assert (found.where, found.alone) == ("n_restarts of the record", 99)
    later = (*state.records[:-1], replace(state.records[-1], seconds=99.0))
    assert first(one, other, records=later) is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "checked_round must lie between 1 and 4, .*: got -1"),
        (5, ValueError, "checked_round must lie between 1 and 4, .*: got 5"),
        (2.0, TypeError, "checked_round must be an integer: got 2.0"),
        (True, TypeError, "checked_round must be an integer: got True"),
    ],
)
def test_what_is_no_round_to_come_is_refused_before_anything_is_compiled(
    value, error, message, monkeypatch
):
    monkeypatch.setattr(Rounds, "_prepare", None)
    with pytest.raises(error, match=message):
        run(checked_round=value)


@pytest.mark.parametrize("nothing", [None, 0])
def test_nothing_is_checked_unless_asked(nothing, monkeypatch):
    monkeypatch.setattr("numpygeons.runs.checked_round._check", None)
    run(checked_round=nothing)


def test_a_finished_round_cannot_be_checked_and_a_later_one_can(capsys):
    pt = run(n_rounds=3)
    with pytest.raises(ValueError, match="checked_round must lie between 4 and 5"):
        pigeons(pt, n_rounds=5, checked_round=3)
    pigeons(pt, n_rounds=5, checked_round=5)
    assert "round 5 has the same bits" in capsys.readouterr().out
