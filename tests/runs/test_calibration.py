"""The interval of log Z holds the truth as often as it says: coverage over independent seeds.

Plain pytest has it over data simulated from the prior, in `test_simulated_data.py`.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from numpygeons import HMC, AutoMALA, NumPyroPath, pigeons
from support.small_models import coin, eight_schools

N_SEEDS = 200
THRESHOLD = 1e-6
LEAST, MOST = 0.91, 0.99  # acceptable coverages of the interval of level 0.95

PROBLEMS = {
    "eight schools": (eight_schools, (), 4, -31.311347),
    "coin": (coin, (100, 50), 6, -4.974552),
}
EXPLORERS = {"HMC": HMC(), "AutoMALA": AutoMALA(n_refresh=3)}
STICKY = {
    "sticky HMC": HMC(n_components=0, max_length=1, acceptance=0.99)
}  # scans that are far from independent


@cache
def runs(name, explorer):
    """Errors of log Z in units of what is reported, and their degrees of freedom, per seed; then
    the same with the standard error of independent scans."""
    model, args, n_chains, log_z = PROBLEMS[name]
    path = NumPyroPath(model, args)
    rows = []
    for seed in range(1, N_SEEDS + 1):
        pt = pigeons(
            path,
            n_chains=n_chains,
            n_rounds=10,
            seed=seed,
            explorer=(EXPLORERS | STICKY)[explorer],
            show_report=False,
        )
        naive = independent_error(pt)
        rows.append([pt.log_z, pt.log_z_error, pt.log_z_dof, pt.rounds[-1].log_z, naive])
    estimate, error, dof, last, naive = np.array(rows).T
    print(
        f"\n{name}, {explorer}: mean {estimate.mean():.4f} (exact {log_z:.4f}), spread "
        f"{estimate.std(ddof=1):.4f}, reported {np.sqrt(np.mean(error**2)):.4f}, median dof "
        f"{np.median(dof):.1f}"
    )
    return (estimate - log_z) / error, dof, (last - log_z) / naive


def independent_error(pt):
    """Standard error of the last round's log Z were its scans and pairs independent.

    For each pair Bennett's estimate, whose two sides are means of independent draws.
    """
    v = np.asarray(pt._rounds.state.data.v)
    n, variance = len(v), 0.0
    for c, gap in enumerate(np.diff(pt.schedule)):
        low, high = gap * v[:, c], gap * v[:, c + 1]
        shift = 0.0
        for _ in range(50):  # the fixed point of Bennett's equation
            up, down = expit(low - shift), expit(shift - high)
            shift += np.log(up.mean() / down.mean())
        variance += (up.var() / up.mean() ** 2 + down.var() / down.mean() ** 2) / n
    return np.sqrt(variance)


def covered(errors, dof, level):
    """How many intervals hold the truth."""
    return int(np.sum(np.abs(errors) <= stats.t.ppf(0.5 + 0.5 * level, dof)))


def p_value(n_covered, n):
    """That the coverage lies between LEAST and MOST, by two one-sided binomial tests."""
    low = stats.binomtest(n_covered, n, LEAST, alternative="less").pvalue
    high = stats.binomtest(n_covered, n, MOST, alternative="greater").pvalue
    return 2 * min(low, high)


CASES = [
    (name, explorer) if explorer == "HMC" else pytest.param(name, explorer, marks=pytest.mark.slow)
    for name in PROBLEMS
    for explorer in EXPLORERS
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "explorer"), CASES)
def test_the_interval_holds_the_truth_as_often_as_it_says(name, explorer):
    errors, dof, _ = runs(name, explorer)
    for level in (0.68, 0.95):
        share = covered(errors, dof, level) / N_SEEDS
        print(f"{name}, {explorer}: {share:.1%} of the intervals of level {level} hold the truth")
    assert p_value(covered(errors, dof, 0.95), N_SEEDS) > THRESHOLD


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_an_interval_from_independent_errors_does_not(name):
    """A control: Bennett's error with the scans taken for independent."""
    _, _, errors = runs(name, "sticky HMC")
    n_covered = covered(errors, np.inf, 0.95)
    print(f"{name}: {n_covered / N_SEEDS:.1%} of the intervals from independent errors do")
    assert p_value(n_covered, N_SEEDS) < THRESHOLD
