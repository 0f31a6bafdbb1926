"""Effort chosen by itself: the rule, and that whole runs follow the autocorrelation of V."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import HMC, AutoMALA, pigeons
from numpygeons.explorers.base import RoundOutcome
from numpygeons.explorers.effort import UNKNOWN_LOSS, best_effort, loss_of_correlation
from support.small_models import eight_schools

BETAS = np.array([0.0, 0.3, 1.0])


def outcome(rho, restarts=0.1, ideal=0.2, n_scans=1024):
    nothing = np.zeros((3, 1))
    return RoundOutcome(
        round=10,
        n_scans=n_scans,
        betas=BETAS,
        new_betas=BETAS,
        statistics={},
        counts=np.zeros(3),
        means=nothing,
        squared_deviations=nothing,
        energy_ac1=np.array([np.nan, *rho]),
        restarts=restarts,
        ideal_restarts=ideal,
    )


def test_the_loss_is_measured_where_there_are_restarts():
    # tau / restarts = 1 + k mean rho / (1 - rho), here 2 = 1 + k (1 + 3) / 2.
    assert loss_of_correlation(outcome([0.5, 0.75])) == pytest.approx(0.5)
    assert loss_of_correlation(outcome([0.5, 0.5], restarts=0.15)) == pytest.approx(1 / 3)
    assert loss_of_correlation(outcome([0.5, 0.5], n_scans=64)) == UNKNOWN_LOSS
    assert loss_of_correlation(outcome([0.5, 0.5], restarts=0.0)) == UNKNOWN_LOSS
    assert loss_of_correlation(outcome([0.98, 0.98], restarts=0.2)) == 0.05  # never nothing


def test_the_least_product_of_cost_and_loss_is_taken_chain_by_chain():
    options = np.repeat(np.array([[1.0], [2.0], [4.0], [8.0]]), 3, axis=1)
    rates = np.array([1.0, 0.05, 3.0])  # of decay: the middle chain hardly moves

    def rho(n):
        return np.exp(-rates * n)

    gradients = 4 * options
    best = best_effort(options, gradients, rho, outcome([0.5, 0.75]))
    k = 0.5
    for chain in range(3):
        r = np.clip(np.exp(-rates[chain] * options[:, chain]), 0.02, 0.98)
        product = (8 + gradients[:, chain]) * (1 + k * r / (1 - r))
        assert best[chain] == options[np.argmin(product), chain]
    assert best[1] > best[0] >= best[2]


def normal_20():
    x = numpyro.sample("x", dist.Normal(0, 2).expand([20]).to_event(1))
    numpyro.sample("y", dist.Normal(x, 1).to_event(1), obs=jnp.full(20, 2.0))


def test_trajectories_grow_where_v_is_slow_and_the_report_says_how_long_they_are():
    fixed = HMC(integration_time=np.pi / 4, n_components=0)
    pt, short = (
        pigeons(normal_20, n_chains=8, n_rounds=10, explorer=explorer, show_report=False)
        for explorer in (HMC(n_components=0, integration_time="auto"), fixed)
    )
    auto, quarter = (run.rounds[-1].chosen["leapfrog steps"][1:] for run in (pt, short))
    assert np.mean(auto) > np.mean(quarter)
    assert np.nanmean(pt.rounds[-1].energy_ac1) < np.nanmean(short.rounds[-1].energy_ac1) - 0.1
    assert np.isnan(pt.rounds[-1].chosen["leapfrog steps"][0])  # exact draws at beta = 0
    low, high = np.min(auto), np.max(auto)
    span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    assert f"explorer: leapfrog steps {span}, independence steps 0; " in pt.report()


@pytest.mark.slow
def test_steps_per_scan_follow_the_autocorrelation():
    pt = pigeons(
        eight_schools,
        n_chains=4,
        n_rounds=9,
        explorer=AutoMALA(n_refresh="auto"),
        show_report=False,
    )
    first, last = (pt.rounds[i].chosen["n_refresh"][1:] for i in (0, -1))
    assert np.all(first == 3)
    assert np.all((last >= 1) & (last <= 8))
    assert np.all(last == np.rint(last))
    assert np.any(last != 3)
    fixed = pigeons(eight_schools, n_chains=2, n_rounds=2, explorer=AutoMALA(), show_report=False)
    assert fixed.rounds[-1].chosen == {}


@pytest.mark.parametrize("bad", [0, -1, "fast"])
def test_efforts_are_checked(bad):
    with pytest.raises(ValueError, match=r'n_refresh must be (at least 1: |a number, or "auto")'):
        AutoMALA(n_refresh=bad)
    with pytest.raises(ValueError, match=r"integration_time must be (positive|a number)"):
        HMC(integration_time=bad)
