"""Tests the device's driver on an accelerator, against the fused one on the CPU beside it.

They need a JAX that computes on one: on a CPU, `test_device_driver.py` tests the same driver.
"""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from numpygeons.target.path import as_path
from support import environment
from support.device_runs import MODELS, check_evidence_of_two_modes, course, run, two_modes
from support.run_digest import digest
from support.small_models import eight_schools


@pytest.fixture(autouse=True)
def accelerator():
    if jax.default_backend() == "cpu":
        pytest.skip("JAX computes on the CPU: there is no accelerator here")


def course_on_the_cpu(model, explorer, file):
    """What the fused driver finds in a process whose JAX knows no accelerator."""
    program = (
        "import numpy; from support.device_runs import course;"
        f"numpy.savez({str(file)!r}, **course({model!r}, {explorer!r}, 'fused'))"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment(JAX_PLATFORMS="cpu", JAX_ENABLE_X64="1"),
        check=True,
    )
    return np.load(file)


@pytest.mark.parametrize("driver", ["device", "stepwise"])
@pytest.mark.parametrize(
    ("model", "explorer"),
    [
        ("eight_schools", "HMC"),
        ("eight_schools", "AutoMALA"),
        ("two_modes", "HMC"),
        ("normal", "SliceSampler"),
    ],
)
def test_the_course_is_that_of_the_fused_driver_on_the_cpu(x64, tmp_path, model, explorer, driver):
    wanted = course_on_the_cpu(model, explorer, tmp_path / "course.npz")
    got = course(model, explorer, driver)
    assert len(np.unique(got["index_process"])) == MODELS[model][1]
    np.testing.assert_array_equal(got["index_process"], wanted["index_process"])
    for site in wanted.files:
        np.testing.assert_allclose(got[site], wanted[site], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_chains", [10, 100, 1000])
def test_many_chains_in_single_precision_swap_as_the_coordinator_does(n_chains):
    """The replay raises where one decision differs."""
    pt = run(two_modes, n_chains=n_chains, n_rounds=7, record=["index_process"])
    swapped = np.mean(np.diff(pt.index_process, axis=0) != 0)
    assert 0.3 < swapped < 1


def test_the_evidence_is_the_truth():
    check_evidence_of_two_modes()


def test_a_run_has_the_same_bits_again():
    path = as_path(eight_schools)
    assert digest(run(path, n_rounds=7)) == digest(run(path, n_rounds=7))


def test_products_are_computed_in_the_precision_of_the_model():
    """By default JAX multiplies single-precision matrices with 10 bits on such devices."""
    rng = np.random.default_rng(1)
    covariates = rng.normal(size=(4_000, 50)).astype(np.float32)
    wanted = rng.normal(size=(4_000,))
    slopes = rng.normal(size=(64, 50)).astype(np.float32)

    def model(covariates, y):
        slopes = numpyro.sample("slopes", dist.Normal(0, 1).expand([50]).to_event(1))
        numpyro.sample("y", dist.Normal(covariates @ slopes, 0.1), obs=y)

    path = as_path(model, (covariates, jnp.asarray(wanted, np.float32)), None)
    got = jax.jit(jax.vmap(path.v))(slopes)
    means = slopes.astype(np.float64) @ covariates.astype(np.float64).T
    exact = stats.norm.logpdf(wanted.astype(np.float32), means, 0.1).sum(axis=1)
    np.testing.assert_allclose(got, exact, rtol=3e-6)
