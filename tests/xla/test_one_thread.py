"""Runs in threads of the user's own, and in processes that were forked."""

import gc
import itertools
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import HMC, NumPyroPath, SliceSampler, pigeons
from numpygeons.xla.garbage import paused_collector
from support import environment
from support.run_digest import digest
from support.small_models import coin, eight_schools, normal

N_THREADS = 3


def run(target, explorer, seed):
    settings = {"n_chains": 3, "n_rounds": 4, "show_report": False}
    return digest(pigeons(target, explorer=explorer, seed=seed, **settings))


def side_by_side(runs):
    """What all runs give, in three threads that begin together."""
    with ThreadPoolExecutor(N_THREADS) as pool:
        together = threading.Barrier(N_THREADS)
        for _ in range(N_THREADS):
            pool.submit(together.wait)
        return list(pool.map(lambda one: run(*one), runs))


def check_threads(models, explorers, seeds):
    runs = [(m, e, seed) for seed, e, m in itertools.product(seeds, explorers, models)]
    in_threads = side_by_side(runs)
    traced_once = {model: NumPyroPath(model) for model in models}
    alone = [run(traced_once[model], explorer, seed) for model, explorer, seed in runs]
    assert in_threads == alone


def test_runs_in_three_threads_have_the_bits_that_they_have_alone():
    check_threads((normal, coin, eight_schools), (HMC(),), range(1, 3))


@pytest.mark.slow
def test_a_thousand_runs_in_three_threads_have_the_bits_that_they_have_alone():
    check_threads((normal, coin), (HMC(), SliceSampler()), range(250))


def test_the_collector_is_off_until_the_last_thread_has_left():
    first, second = paused_collector(), paused_collector()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_a_run_leaves_the_filters_of_warnings_alone():
    seen = []

    def model():
        seen.append(warnings.filters)
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=0.5)

    pigeons(model, n_chains=2, n_rounds=0, show_report=False)
    assert seen
    assert all(filters is warnings.filters for filters in seen)


FORKS = textwrap.dedent(
    """
    import multiprocessing, sys
    import jax, numpygeons
    from support.small_models import normal

    def run(_):
        return numpygeons.pigeons(normal, n_chains=2, n_rounds=1, show_report=False).log_z

    def read(_):
        return pt.log_z, pt.samples["x"].shape

    def goes_on(_):
        return pt.extend()

    def opens(_):
        return numpygeons.load(sys.argv[1])

    def told(function):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            try:
                return pool.map_async(function, [0]).get(timeout=20)[0]
            except Exception as error:
                return f"{type(error).__name__}: {error}"

    first = told(run)
    pt = numpygeons.pigeons(normal, n_chains=2, n_rounds=1, show_report=False)
    pt.samples
    pt.save(sys.argv[1])
    print(first == pt.log_z)
    print(told(read) == (pt.log_z, pt.samples["x"].shape))
    for function in (run, goes_on, opens):
        print(told(function))
    """
)


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system"
)
def test_a_forked_process_is_refused_once_its_parent_has_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, str(tmp_path / "run")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    unused, reads, *refused = done.stdout.splitlines()
    assert (unused, reads) == ("True", "True"), done.stderr
    assert len(refused) == 3
    for line in refused:
        assert line.startswith("RuntimeError: process "), line
        assert 'start processes by "spawn" or "forkserver"' in line
