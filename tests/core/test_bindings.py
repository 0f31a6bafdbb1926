"""The compiled module checks what it is handed, state, range and shape, and never ends Python."""

import re
import subprocess
import sys

import numpy as np
import pytest

from numpygeons import _core
from numpygeons._core import engine, math, random, tempering, tuning
from support import program


@pytest.mark.parametrize("seed", [1, 2])
def test_calls_with_any_arguments_return_or_raise(seed):
    command = [sys.executable, program("fuzz_bindings"), _core.__file__, "2000", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = re.fullmatch(r"2000 calls: (\d+) returned, (\d+) raised", done.stdout.strip())
    assert said is not None
    assert min(int(said[1]), int(said[2])) > 500  # neither all refused nor all taken


def coordinator(**settings):
    return engine.Coordinator(
        **{"seed": 1, "n_chains": 3, "dimension": 2, "n_normals": 1, "n_uniforms": 1}
        | {"n_statistics": 1}
        | settings
    )


def begun(n_scans=4):
    one = coordinator()
    one.begin_round(
        round=1,
        n_scans=n_scans,
        betas=[0, 0.5, 1],
        centre=np.zeros((3, 2)),
        scale=np.ones((3, 2)),
        real_bytes=8,
        most_draws=n_scans,
    )
    return one


def explore(*given):
    return np.zeros((3, 2)), np.zeros(3), np.zeros(3), np.zeros((3, 1))


def test_nothing_is_prepared_or_run_outside_of_a_round():
    ended = begun()
    ended.run_scans(0, explore, np.float64)
    with pytest.raises(RuntimeError, match="no scans to come"):
        ended.run_scans(0, explore, np.float64)
    ended.end_round()
    for one in (coordinator(), ended):
        for call in (
            lambda one=one: one.prepare(0, np.float32),
            lambda one=one: one.prepare(0, "float64"),
            lambda one=one: one.run_scans(0, explore, np.float64),
            lambda one=one: one.begin_block(2),
            lambda one=one: one.address(0),
        ):
            with pytest.raises(RuntimeError, match="no round has begun"):
                call()


def test_a_worker_that_is_not_there_is_refused():
    one = begun()
    for call in (
        lambda: one.prepare(1, np.float32),
        lambda: one.run_scans(5, explore, np.float64),
        lambda: one.address(1),
        lambda: one.replicas_of(1),
    ):
        with pytest.raises(ValueError, match=r"there are 1 workers: got worker [15]"):
            call()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_chains": 0}, "n_chains must be at least 1, got 0"),
        ({"n_chains": 2**62}, "n_chains must be at most"),
        ({"dimension": 2**62}, "dimension must be at most"),
        ({"n_snapshots": 2**64 - 1}, "n_snapshots must be at most"),
        ({"n_workers": 0}, "n_workers must be at least 1"),
    ],
)
def test_counts_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        coordinator(**settings)


def test_rounds_that_cannot_be_are_refused():
    for n_scans in (0, 2**62):
        with pytest.raises(ValueError, match="n_scans must be at"):
            begun(n_scans)


def test_rows_are_moved_only_where_there_is_one_per_beta():
    for values in (np.ones((2, 3)), np.ones(()), np.ones((6, 1))):
        with pytest.raises(ValueError, match="one row per beta"):
            tuning.carry_over([0, 0.5, 1], values, [0, 0.5, 1])


def test_keys_of_scans_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"scan must be below 2\^48"):
        random.jax_keys(1, random.Purpose.explore, 0, 1, 2**64 - 1, 5)


def test_a_partner_belongs_to_a_chain_that_is_there():
    with pytest.raises(ValueError, match="there are 3 chains: got chain 3"):
        tempering.deo_partner(3, 1, 3)


def test_points_are_a_matrix_and_counts_are_whole():
    with pytest.raises(ValueError, match="points must have shape"):
        math.fit_normal_mixture(np.zeros(4), 1, 1)
    with pytest.raises(ValueError, match="each size must be at most"):
        random.normals_in_fills(1, random.Purpose.explore, 0, 1, 1, [2**63, 2**63])
