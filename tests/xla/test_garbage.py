"""Tests that the garbage collector waits while a model is traced, and stays as it was."""

import gc

import pytest

from numpygeons import pigeons
from numpygeons.target.path import as_path
from numpygeons.xla.garbage import paused_collector
from support.small_models import eight_schools


@pytest.fixture
def collections():
    """The generations that are collected while the test runs."""
    seen = []

    def note(phase, info):
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_off_inside_and_as_it_was_after(before):
    (gc.enable if before else gc.disable)()
    try:
        with paused_collector():
            assert not gc.isenabled()
        assert gc.isenabled() == before
    finally:
        gc.enable()


def test_nothing_is_collected_while_a_model_is_traced_and_compiled(collections):
    during = []

    def model():
        eight_schools()
        during.append(len(collections))

    gc.collect()
    del collections[:]
    compiled = as_path(model)
    assert during[-1] == during[0] == 0
    del collections[:]
    pigeons(compiled, n_chains=3, n_rounds=1, show_report=False)
    assert len(collections) <= 5  # some forty, if the collector were not paused
