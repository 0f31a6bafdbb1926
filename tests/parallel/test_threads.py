"""Tests runs on several threads: the same bits, errors, and runs beside each other."""

import copy
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import numpygeons
from numpygeons import HMC, AutoMALA, NumericalError, SliceSampler, pigeons
from support import environment
from support.run_digest import digest
from support.small_models import normal

SETTINGS = {"n_rounds": 7, "show_report": False}


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """As many workers as are asked for, on machines with fewer cores too."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)), raising=False)


@pytest.mark.usual("HMC*-7-*", "*-3-fused", "HMC*-1-stepwise")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
@pytest.mark.parametrize("n_chains", [1, 2, 3, 7])
@pytest.mark.parametrize("explorer", [HMC(), AutoMALA(), SliceSampler()], ids=repr)
def test_threads_do_not_show_in_a_single_bit(n_chains, explorer, driver):
    path = numpygeons.NumPyroPath(normal)
    settings = {**SETTINGS, "n_chains": n_chains, "explorer": explorer, "driver": driver}
    one = pigeons(path, **settings)
    two = pigeons(path, **settings, n_threads=2)
    assert two._rounds._coordinator.n_workers == min(2, n_chains)
    assert digest(two) == digest(one)
    assert digest(pigeons(path, **settings, n_threads=2, seed=2)) != digest(one)


def test_a_run_goes_on_with_other_threads_and_the_same_bits():
    whole = pigeons(normal, **SETTINGS, n_chains=5)
    pt = pigeons(normal, **SETTINGS | {"n_rounds": 4}, n_chains=5)
    pigeons(pt, n_rounds=6, n_threads=2, n_chains=5, show_report=False)
    pigeons(pt, n_rounds=7, n_chains=5, show_report=False)
    assert digest(pt) == digest(whole)


def test_one_compilation_serves_all_threads():
    path = numpygeons.NumPyroPath(normal)
    pt = pigeons(path, **SETTINGS, n_chains=6, n_threads=2)
    assert pt._rounds._coordinator.n_workers == 2
    assert [key[0] for key in pt._rounds.path.programs if key[0] == "fused"] == ["fused"]


def test_a_worker_is_not_asked_for_without_a_core(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    pt = pigeons(normal, **SETTINGS, n_chains=4, n_threads=8)
    assert pt._rounds._coordinator.n_workers == 1


@pytest.mark.usual("fused")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
def test_numbers_that_leave_no_way_on_are_raised_whoever_met_them(driver):
    def wall():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.factor("wall", jnp.where(x > 3.6, jnp.inf, x))

    with pytest.raises(NumericalError, match=r"\+inf: replica \d, chain \d, .* scan \d+"):
        pigeons(
            wall, n_chains=6, n_rounds=14, seed=2, show_report=False, n_threads=2, driver=driver
        )


def test_an_error_of_a_callback_on_one_thread_is_raised():
    seen = []

    def angry(x):
        seen.append(threading.get_ident())
        if len(seen) > 600:
            raise ZeroDivisionError("not this one")
        return np.float32(-0.5) * x**2

    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        value = jax.pure_callback(angry, shape, jax.lax.stop_gradient(x), vmap_method="sequential")
        numpyro.factor("callback", value)

    with pytest.raises(ZeroDivisionError, match="not this one"):
        pigeons(
            model,
            **SETTINGS | {"n_rounds": 10},
            n_chains=4,
            explorer=SliceSampler(),
            n_threads=2,
            driver="stepwise",
        )


@pytest.mark.usual("1-fused")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
@pytest.mark.parametrize("which", [0, 1])
def test_an_error_of_either_thread_ends_the_round_of_both_which_can_be_done_again(driver, which):
    settings = {"n_chains": 4, "n_threads": 2, "driver": driver, "show_report": False}
    pt = pigeons(normal, **settings, n_rounds=4)
    coordinator = pt._rounds._coordinator
    own = threading.local()  # each thread has programs of its own, as in the driver
    calls = []

    def call(program, *operands):
        if driver == "fused":
            mine = operands[0].tolist() == coordinator.address(which).tolist()
        else:
            chain = np.asarray(operands[2])[0]  # of the worker's first replica
            mine = chain == coordinator.chains[coordinator.replicas_of(which)[0]]
        calls.append(mine)
        if mine and calls.count(True) == 2:
            raise ZeroDivisionError("not this one")
        kept = own.__dict__.setdefault("calls", {})
        return kept.setdefault(id(program), copy.copy(program.call))(*operands)

    drivers = pt._rounds.programs._drivers
    whole = dict(drivers)
    for key, one in whole.items():
        failing = replace(one.program, call=partial(call, one.program))
        drivers[key] = type(one)(failing)
    with pytest.raises(ZeroDivisionError, match="not this one"):
        pigeons(pt, **settings, n_rounds=11)
    assert calls.count(True) == 2
    assert calls.count(False) > 0
    drivers.update(whole)
    pigeons(pt, **settings, n_rounds=11)
    assert digest(pt) == digest(pigeons(normal, **settings, n_rounds=11))


BESIDE = """
import faulthandler, os, sys, threading
faulthandler.dump_traceback_later(100, exit=True)
os.sched_getaffinity = lambda _: {0, 1}
import numpygeons
from support.small_models import normal
path = numpygeons.NumPyroPath(normal)
settings = {"n_chains": 6, "n_threads": 2, "show_report": False}
numpygeons.pigeons(path, **settings, n_rounds=1)
def run():
    log_z.append(numpygeons.pigeons(path, **settings, n_rounds=11).log_z)
log_z = []
threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(log_z), len(set(log_z)))
"""


def test_runs_beside_each_other_do_not_wait_for_each_other_for_ever():
    done = subprocess.run(
        [sys.executable, "-c", BESIDE],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.split() == ["3", "1"], done.stderr
