"""Tests that the threads of LAPACK do not show in the bits, and are given back."""

import os
import subprocess
import sys
import threading

import pytest
import scipy.linalg  # noqa: F401  loads the BLAS that XLA calls
from threadpoolctl import threadpool_info, threadpool_limits

from numpygeons.xla.blas_threads import one_blas_thread

GAUSSIAN_PROCESS = """
import hashlib
import jax.numpy as jnp, numpy as np, numpyro, numpyro.distributions as dist
import numpygeons

t = jnp.linspace(0, 5, 100)

def model(y):
    length = numpyro.sample("length", dist.LogNormal(0, 1))
    kernel = jnp.exp(-0.5 * ((t[:, None] - t) / length) ** 2) + 0.1 * jnp.eye(100)
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(100), kernel), obs=y)

pt = numpygeons.pigeons(model, model_args=(jnp.sin(t),), n_chains=4, n_rounds=4, show_report=False)
print(hashlib.sha1(np.asarray(pt.samples["length"]).tobytes()).hexdigest())
"""


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_the_threads_of_lapack_do_not_show_in_the_bits():
    digests = set()
    for n in ("1", "4"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": n}
        done = subprocess.run(
            [sys.executable, "-c", GAUSSIAN_PROCESS],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        digests.add(done.stdout.splitlines()[-1])
    assert len(digests) == 1


def test_blas_has_one_thread_until_the_last_run_ends():
    with threadpool_limits(2, user_api="blas"):
        if not threads() or set(threads()) != {2}:
            pytest.skip("no BLAS here whose threads can be set")
        inside, leave = threading.Event(), threading.Event()

        def other_run():
            with one_blas_thread():
                inside.set()
                assert leave.wait(60)

        other = threading.Thread(target=other_run)
        with one_blas_thread():
            assert set(threads()) == {1}
            other.start()
            assert inside.wait(60)
            leave.set()
            other.join()
            assert set(threads()) == {1}
        assert set(threads()) == {2}


def test_blas_has_its_threads_again_after_an_error():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == before
