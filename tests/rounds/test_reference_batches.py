"""Tests that batches of reference draws are made beside the scans that need the ones before."""

import threading
from dataclasses import replace

import pytest

from numpygeons import NumericalError, pigeons
from numpygeons._core.random import Purpose
from numpygeons.rounds import reference_draws
from numpygeons.rounds.reference_draws import ReferenceDraws
from support.small_models import normal

SIZE = 64  # scans that a batch is enough for


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(reference_draws, "MOST_DRAWS", SIZE)


def run(n_rounds, **settings):
    return pigeons(normal, n_chains=3, n_rounds=n_rounds, show_report=False, **settings)


@pytest.mark.usual("fused")
@pytest.mark.parametrize("driver", ["fused", "stepwise", "device"])
def test_each_batch_is_made_once_while_the_block_before_it_runs(driver, small_batches, monkeypatch):
    made = []
    make = ReferenceDraws._make

    def watched(self, purpose, number):
        if purpose == Purpose.reference_draw:
            made.append((number, threading.current_thread().name))
        return make(self, purpose, number)

    monkeypatch.setattr(ReferenceDraws, "_make", watched)
    run(7, driver=driver)
    n_scans = 2**8 - 2
    assert [number for number, _ in made] == list(range(-(-n_scans // SIZE)))
    assert all(thread.startswith("numpygeons-reference") for _, thread in made)


@pytest.mark.usual("stepwise")
@pytest.mark.parametrize("driver", ["fused", "stepwise", "device"])
def test_the_next_batch_is_started_while_a_block_runs(driver, small_batches, monkeypatch):
    """Also where JAX runs the program in the thread that calls it, as it does small ones."""
    pt = run(7, driver=driver)
    started, found = threading.Event(), []
    prepare, drivers = ReferenceDraws.prepare, pt._rounds.programs._drivers
    ((key, one),) = drivers.items()

    def watched(self, purpose, number):
        prepare(self, purpose, number)
        if number == 2**8 // SIZE:
            started.set()

    def waiting(*operands):
        if not found:  # the first block of the round, which ends with the scan before that batch
            found.append(started.wait(10))
        return one.program.call(*operands)

    monkeypatch.setattr(ReferenceDraws, "prepare", watched)
    drivers[key] = type(one)(replace(one.program, call=waiting))
    pt.extend(1)
    assert found == [True]


def test_a_batch_that_cannot_be_made_is_reported_when_it_is_due(small_batches, monkeypatch):
    make = ReferenceDraws._make

    def fails(self, purpose, number):
        if purpose == Purpose.reference_draw and number == 3:
            raise NumericalError("no draw")
        return make(self, purpose, number)

    monkeypatch.setattr(ReferenceDraws, "_make", fails)
    pt = run(6)  # 126 scans
    with pytest.raises(NumericalError, match="no draw"):
        pt.extend(1)  # scans 127 to 254, of which 193 is the first of the fourth batch
    assert len(pt.rounds) == 6
