"""The estimators and the rows of the efficiency table in `benchmarks/`."""

import numpy as np
import pytest
from scipy import stats


def test_bennett_finds_the_evidence_of_a_normal(benchmark_module):
    """x ~ N(0, 1), log likelihood -x^2 / 2 * 8: log Z(beta) = -log(1 + 8 beta) / 2."""
    betas, n_seeds, n_draws = np.array([1.0, 0.2, 0.0]), 30, 4000
    rng = np.random.default_rng(1)
    estimates = []
    for _ in range(n_seeds):
        x = rng.normal(size=(n_draws, 3)) / np.sqrt(1 + 8 * betas)
        estimates.append(benchmark_module("peers.remc").bennett(-4 * x**2, betas))
    assert stats.ttest_1samp(estimates, -0.5 * np.log(9)).pvalue > 1e-6
    assert np.std(estimates) < 0.1


def test_bennett_bears_a_likelihood_of_zero(benchmark_module):
    """Half of the prior excluded: log Z = -log 2; n prior draws give it a binomial error."""
    n_draws = 4000
    inside = np.random.default_rng(1).random(n_draws) < 0.5
    v = np.stack([np.zeros(n_draws), np.where(inside, 0.0, -np.inf)], axis=1)
    got = benchmark_module("peers.remc").bennett(v, np.array([1.0, 0.0]))
    assert got == pytest.approx(np.log(inside.mean()), abs=1e-9)


def test_the_ess_of_a_genealogy_counts_independent_particles(benchmark_module):
    """Families of 8 copies are one draw each; families of independent particles are 8."""
    rng = np.random.default_rng(2)
    ess = benchmark_module("common.ess").genealogical_ess
    families = np.repeat(np.arange(500), 8)
    assert ess(np.repeat(rng.normal(size=500), 8), families) == pytest.approx(500, rel=1e-9)
    own = [ess(rng.normal(size=4000), families) for _ in range(40)]
    assert stats.ttest_1samp(1 / np.array(own), 1 / 4000).pvalue > 1e-6


def test_the_ess_of_one_family_is_one(benchmark_module):
    values = np.random.default_rng(3).normal(size=4000)
    assert benchmark_module("common.ess").genealogical_ess(values, np.full(4000, 7)) == 1


def test_the_ess_of_series_is_the_smallest_of_all_coordinates(benchmark_module):
    run = benchmark_module("common.run").Run
    rng = np.random.default_rng(4)
    slow = np.cumsum(rng.normal(size=(1, 2000)), axis=1)
    fast = rng.normal(size=(1, 2000, 3))
    ess = benchmark_module("common.ess").min_ess
    assert ess(run(samples={"fast": fast}, n_gradients=1)) > 1000
    assert ess(run(samples={"fast": fast, "slow": slow}, n_gradients=1)) < 50


def test_a_row_shows_finished_seeds_and_keeps_the_cold_one_out_of_speeds(benchmark_module):
    figures = {
        "ess": 100.0,
        "ess_per_sampling_gradient": 0.5,
        "ess_per_gradient": 0.25,
        "weight": None,
        "bias": None,
    }
    cold = {
        "seconds": 20.0,
        "ess_per_second": 5.0,
        "ess_per_sampling_second": 6.0,
        "log_z_error": -0.5,
    }
    warm = {
        "seconds": 2.0,
        "ess_per_second": 50.0,
        "ess_per_sampling_second": 60.0,
        "log_z_error": 0.1,
    }
    row = benchmark_module("efficiency").row("p", "m", [figures | cold, figures | warm], 5)
    columns = benchmark_module("efficiency").COLUMNS
    assert dict(zip(columns, row, strict=True)) == {
        "problem": "p",
        "method": "m",
        "seeds": "2 of 5",
        "min ESS": "100",
        "ESS/s, sampling": "60",
        "ESS/s, whole run": "50",
        "ESS/gradient, sampling": "0.5",
        "ESS/gradient, whole run": "0.25",
        "worst abs. log Z error": "0.500",
        "mode weight": "-",
        "worst bias / sd": "-",
        "cold s": "20.0",
        "warm s": "2.00",
    }


def test_what_is_missing_gets_a_row_that_says_so(benchmark_module, monkeypatch, capsys, tmp_path):
    efficiency = benchmark_module("efficiency")
    absent = benchmark_module("peers.methods").Method(
        title="absent", prepare=None, module="no_such_module", package="no-such-package"
    )
    monkeypatch.setitem(efficiency.METHODS, "absent", absent)
    monkeypatch.setenv("NUMPYGEONS_REFERENCE", str(tmp_path))
    efficiency.table(["mrna", "coin"], ["absent"], 2, 10.0)
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert "no data" in rows[0]
    assert "not installed (pip install no-such-package)" in rows[1]
    assert [row.count("|") for row in rows] == [len(efficiency.COLUMNS) + 1] * 2


def test_a_run_over_time_is_stopped_and_says_so(benchmark_module):
    rows, trouble = benchmark_module("efficiency").run_apart("coin", "numpygeons", 1, 0.05)
    assert rows == []
    assert trouble == "not finished in 0 s"
