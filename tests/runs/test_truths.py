"""Whole runs agree with exact answers over independent seeds; more with `pytest -m slow`.

Each quantity is averaged over seeds; the standard error comes from their spread, never from
autocorrelations, so the test has no free parameter: Student's p value, below 1e-6 fails.
"""

import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from numpygeons import (
    HMC,
    AsymmetricSelector,
    AutoMALA,
    NumPyroPath,
    pigeons,
    stepping_stone_pair,
)
from numpygeons.explorers import auto_step
from support import ROOT
from support.mutants import auto_mala_of, mutant
from support.nets import EARLY_REJECTION
from support.small_models import coin, eight_schools

N_SEEDS = 20
THRESHOLD = 1e-6
ROW_ERROR = 1e-3  # of the published sums of rejections

EXPLORERS = {
    "HMC": HMC(),
    "AutoMALA": AutoMALA(n_refresh=3),
    "asymmetric": AutoMALA(n_refresh=3, selector=AsymmetricSelector()),
    "early rejection": auto_mala_of(mutant(auto_step, *EARLY_REJECTION))(
        selector=AsymmetricSelector()
    ),
}


def factor():
    """A factor and a nearly flat observation: the factor belongs to the likelihood."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("pull", -0.5 * (x - 3) ** 2)
    numpyro.sample("y", dist.Normal(x, 1000.0), obs=0.0)


FACTOR_PRECISION = 2 + 1e-6
FACTOR_LOG_Z = (
    -0.5 * np.log(2 * np.pi)
    - np.log(1000)
    - 0.5 * np.log(FACTOR_PRECISION)
    - 4.5 * (1 - 1 / FACTOR_PRECISION)
)


def two_modes():
    x = numpyro.sample("x", dist.Normal(0, 10).expand([10]).to_event(1))

    def mode(weight, centre):
        return jnp.log(weight) - 0.5 * jnp.sum((x - centre) ** 2) - 5 * jnp.log(2 * jnp.pi)

    numpyro.factor("modes", jnp.logaddexp(mode(0.7, 5.0), mode(0.3, -5.0)))


def normal_50():
    x = numpyro.sample("x", dist.Normal(0, 2).expand([50]).to_event(1))
    numpyro.sample("y", dist.Normal(x, 1).to_event(1), obs=jnp.full(50, 2.0))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A model, its settings, and exact values of what `means` gives."""

    model: Callable[..., Any]
    args: tuple = ()
    n_chains: int
    n_rounds: int
    log_z: float
    barriers: dict[int, float] = field(default_factory=dict)  # by number of chains
    means: Callable[[dict], list] = lambda samples: []
    exact: tuple = ()
    x64: bool = False


def partly_excluded():
    """Most of the prior has likelihood zero, the rest is tilted."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("tail", jnp.where(x > 1, 2 * x, -jnp.inf))


THETA = (6.21188, 4.94018, 3.92700, 4.75710, 3.61548, 4.04261, 6.29672, 4.85425)
PROBLEMS = {
    "eight schools": Problem(
        model=eight_schools,
        n_chains=4,
        n_rounds=12,
        log_z=-31.311347,
        barriers={3: 0.9208, 4: 0.9683, 8: 1.0082},
        means=lambda s: [s["mu"], s["tau"], np.log(s["tau"]), *s["theta"].T],
        exact=(4.39682, 3.59771, 0.80214, *THETA),
    ),
    "coin 100": Problem(
        model=coin,
        args=(100, 50),
        n_chains=8,
        n_rounds=12,
        log_z=-4.974552,
        barriers={3: 1.2642, 4: 1.3951, 5: 1.4506, 8: 1.5041, 10: 1.5150},
        means=lambda s: [s["p1"], s["p1"] ** 2, s["p2"], s["p1"] * s["p2"]],
        exact=(0.716257, 0.716257**2 + 0.149766**2, 0.716257, 0.492978),
    ),
    "coin 100000": Problem(
        model=coin,
        args=(100_000, 50_000),
        n_chains=10,
        n_rounds=12,
        log_z=-11.879441,
        barriers={8: 3.3637, 10: 3.4957, 15: 3.6281},
        means=lambda s: [s["p1"], s["p2"], s["p1"] * s["p2"]],
        exact=(0.721342, 0.721342, 0.4999928),
        x64=True,
    ),
    "factor": Problem(
        model=factor,
        n_chains=4,
        n_rounds=11,
        log_z=FACTOR_LOG_Z,
        means=lambda s: [s["x"], (s["x"] - 1.5) ** 2],
        exact=(3 / FACTOR_PRECISION, 1 / FACTOR_PRECISION),
    ),
    "two modes": Problem(
        model=two_modes,
        n_chains=14,
        n_rounds=12,
        log_z=-33.5026117,
        means=lambda s: [s["x"].sum(axis=1) > 0, *np.abs(s["x"]).T],
        exact=(0.7, *[5 / 1.01] * 10),  # a mode's centre, drawn to 0 by the prior
    ),
    "partly excluded": Problem(
        model=partly_excluded,
        n_chains=4,
        n_rounds=11,
        log_z=2 + np.log(stats.norm.cdf(1)),
        means=lambda s: [s["x"]],
        exact=(2 + stats.norm.pdf(1) / stats.norm.cdf(1),),
    ),
    "normal 50": Problem(
        model=normal_50,
        n_chains=12,
        n_rounds=11,
        log_z=-106.1828745,
        means=lambda s: [s["x"][:, 0], s["x"].mean(axis=1), ((s["x"] - 1.6) ** 2).mean(axis=1)],
        exact=(1.6, 1.6, 0.8),
    ),
}


@cache
def over_seeds(name, explorer, n_chains=None, n_seeds=N_SEEDS):
    """log Z, barrier, means and the two stepping stones' average, one row per seed."""
    problem = PROBLEMS[name]
    with jax.enable_x64(problem.x64):
        path = NumPyroPath(problem.model, problem.args)
        rows = []
        for seed in range(1, n_seeds + 1):
            pt = pigeons(
                path,
                n_chains=n_chains or problem.n_chains,
                n_rounds=problem.n_rounds,
                explorer=EXPLORERS[explorer],
                seed=seed,
                show_report=False,
            )
            means = [np.mean(a, dtype=np.float64) for a in problem.means(pt.samples)]
            average = np.mean(stepping_stone_pair(pt))
            rows.append([pt.log_z, pt.log_z_error, pt.global_barrier, average, *means])
    rows = np.array(rows)
    print(
        f"\n{name}, {explorer}, {n_chains or problem.n_chains} chains, {n_seeds} seeds: log Z "
        f"{rows[:, 0].mean():.4f} (s.e. {rows[:, 0].std(ddof=1) / n_seeds**0.5:.4f}, reported "
        f"{np.sqrt(np.mean(rows[:, 1] ** 2)) / n_seeds**0.5:.4f}; exact {problem.log_z:.4f}), sum "
        f"of r {rows[:, 2].mean():.4f}, means {np.round(rows[:, 4:].mean(axis=0), 4)}"
    )
    return rows


def p_value(values, exact, tolerance=0.0):
    """That the seeds' values have mean `exact`, or one within `tolerance` of it."""
    gap = max(0.0, abs(np.mean(values) - exact) - tolerance)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(2 * stats.t.sf(gap / error, len(values) - 1))


BOTH = [(name, explorer) for name in PROBLEMS for explorer in ("HMC", "AutoMALA")]


@pytest.mark.usual("factor-HMC", "eight schools-HMC")
@pytest.mark.parametrize(("name", "explorer"), [*BOTH, ("two modes", "asymmetric")])
def test_evidence_and_means_are_the_exact_ones(name, explorer):
    rows, problem = over_seeds(name, explorer), PROBLEMS[name]
    assert p_value(rows[:, 0], problem.log_z) > THRESHOLD
    p = [p_value(a, exact) for a, exact in zip(rows[:, 4:].T, problem.exact, strict=True)]
    assert len(p) * min(p) > THRESHOLD


@pytest.mark.usual("eight schools-HMC-4", "coin 100-AutoMALA-8")
@pytest.mark.parametrize(
    ("name", "explorer", "n_chains"),
    [
        ("eight schools", "HMC", 3),
        ("eight schools", "HMC", 4),
        ("eight schools", "HMC", 8),
        ("eight schools", "AutoMALA", 4),
        ("coin 100", "HMC", 3),
        ("coin 100", "HMC", 4),
        ("coin 100", "HMC", 8),
        ("coin 100", "AutoMALA", 8),
        ("coin 100000", "HMC", 10),
        ("coin 100000", "AutoMALA", 10),
        pytest.param("coin 100", "HMC", 5, marks=pytest.mark.slow),
        pytest.param("coin 100", "HMC", 10, marks=pytest.mark.slow),
        pytest.param("coin 100000", "HMC", 8, marks=pytest.mark.slow),
        pytest.param("coin 100000", "HMC", 15, marks=pytest.mark.slow),
    ],
)
def test_the_sum_of_rejections_is_that_of_an_ideal_explorer(name, explorer, n_chains):
    exact = PROBLEMS[name].barriers[n_chains]
    own = n_chains == PROBLEMS[name].n_chains
    rows = over_seeds(name, explorer) if own else over_seeds(name, explorer, n_chains)
    assert p_value(rows[:, 2], exact, ROW_ERROR) > THRESHOLD


def test_the_average_of_the_stepping_stones_is_biased():
    """A control: what is not the headline fails the test that the headline passes."""
    rows = over_seeds("partly excluded", "HMC")
    assert p_value(rows[:, 0], PROBLEMS["partly excluded"].log_z) > THRESHOLD
    assert p_value(rows[:, 3], PROBLEMS["partly excluded"].log_z) < THRESHOLD


@pytest.mark.slow
def test_the_early_rejection_gives_a_wrong_evidence_of_two_modes():
    """A control: healthy to look at, and off by nats."""
    rows = over_seeds("two modes", "early rejection", n_seeds=8)
    assert p_value(rows[:, 0], PROBLEMS["two modes"].log_z) < THRESHOLD


def test_another_factor_of_the_prior_would_be_seen():
    """A control: what a package gave that took the factor for a prior, and 1.03 times the truth."""
    rows = over_seeds("factor", "HMC")
    for wrong in (1.114, 1.03 * 1.5):
        assert p_value(rows[:, 4], wrong) < THRESHOLD
    assert p_value(rows[:, 0], -7.83) < THRESHOLD
    assert p_value(rows[:, 0], 1.01 * FACTOR_LOG_Z) < THRESHOLD


# The mRNA transfection model: two modes of equal weight, a funnel between the reference and them


@cache
def mrna_runs(n_seeds):
    default = ROOT.parent / "shared" / "reference"
    file = Path(os.environ.get("NUMPYGEONS_REFERENCE", default)) / "problems/data/mrna.json"
    if not file.is_file():
        pytest.skip(f"no data at {file}: set NUMPYGEONS_REFERENCE to the folder that holds it")
    data = json.loads(file.read_text())
    source = ROOT / "examples" / "mrna.py"
    spec = importlib.util.spec_from_file_location("example_mrna", source)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with jax.enable_x64(True):
        path = NumPyroPath(example.mrna, (np.asarray(data["t"]), np.asarray(data["y"])))
        runs = [
            pigeons(path, n_chains=20, n_rounds=12, seed=seed, show_report=False)
            for seed in range(1, n_seeds + 1)
        ]
        for pt in runs:
            _ = pt.samples  # mapped in the precision of the run
    return runs


MRNA_LOG_Z = -370.6795


def mrna_weights(runs):
    return np.array([np.mean(pt.samples["lbeta"] < pt.samples["ldelta"]) for pt in runs])


def assert_evidence_of_mrna(runs):
    for pt in runs:
        distance = abs(pt.log_z - MRNA_LOG_Z) / pt.log_z_error
        assert len(runs) * 2 * stats.t.sf(distance, pt.log_z_dof) > THRESHOLD


@pytest.mark.slow
def test_both_modes_of_mrna_are_visited_and_its_evidence_is_within_its_error():
    runs = mrna_runs(2)
    weights = mrna_weights(runs)
    print([(round(pt.log_z, 3), round(pt.log_z_error, 3)) for pt in runs], weights)
    assert np.all((weights > 0.02) & (weights < 0.98))
    assert_evidence_of_mrna(runs)


@pytest.mark.slow
def test_the_modes_of_mrna_have_equal_weight():
    runs = mrna_runs(N_SEEDS)
    weights, log_z = mrna_weights(runs), [pt.log_z for pt in runs]
    smaller = [np.minimum(pt.samples["lbeta"], pt.samples["ldelta"]).mean() for pt in runs]
    print(log_z, weights, smaller)
    assert p_value(weights, 0.5) > THRESHOLD
    assert p_value(smaller, -2.5961) > THRESHOLD
    assert p_value(log_z, MRNA_LOG_Z) > THRESHOLD
    assert_evidence_of_mrna(runs)
