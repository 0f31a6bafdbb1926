"""Tests that each reason not to trust a round is named, with its numbers."""

import re

import numpy as np
from evidence_problems import RareMode, normal_round

from numpygeons._core import evidence


def travelling(n, n_chains):
    """Replicas that move one chain per scan, so that each restarts every n_chains scans."""
    return np.array([np.roll(np.arange(n_chains), s) for s in range(n)])


def flags(v, replicas, betas):
    return {flag.name: flag.reason for flag in evidence.round_evidence(v, replicas, betas).flags}


def test_a_sound_round_has_no_flags():
    v, _, betas = normal_round(512, 6, seed=1)
    assert flags(v, travelling(512, 6), betas) == {}


def test_a_round_below_64_scans_is_short_and_nothing_else():
    v, _, betas = normal_round(64, 3, seed=2)
    still = np.tile(np.arange(3), (64, 1))
    assert list(flags(v[:63], still[:63], betas)) == ["short"]
    assert "63 scans" in flags(v[:63], still[:63], betas)["short"]
    assert "short" not in flags(v, still, betas)


def test_fewer_than_two_restarts_are_slow():
    v, _, betas = normal_round(512, 3, seed=3)
    replicas = np.tile(np.arange(3), (512, 1))
    assert flags(v, replicas, betas)["slow"].startswith("0 restarts in 512 scans, 2 are needed")
    replicas[100] = [1, 2, 0]
    assert "1 restarts" in flags(v, replicas, betas)["slow"]
    replicas[200] = [1, 2, 0]
    assert "slow" not in flags(v, replicas, betas)


def test_a_series_with_few_degrees_of_freedom_is_slow():
    v, _, betas = normal_round(512, 3, seed=4)
    drift = 2 * np.sin(np.arange(512) / 80)[:, None]
    got = evidence.round_evidence(v + drift, travelling(512, 3), betas)
    assert got.series_dof < 4
    reason = {flag.name: flag.reason for flag in got.flags}["slow"]
    assert f"{got.series_dof:.4g} degrees of freedom from 512 scans" in reason


def test_the_reason_for_few_tours_gives_their_number():
    problem = RareMode()
    v, replicas = problem.rounds(20, 2048, seed=5)
    for run, who in zip(v, replicas, strict=True):
        got = evidence.round_evidence(run, who, problem.betas)
        named = {flag.name: flag.reason for flag in got.flags}
        many = got.effective_tours >= 5
        wider = got.tour_variance > 2.25 * got.series_variance and got.effective_tours < 20
        assert ("few tours" in named) == (not many or wider)
        if "few tours" in named:
            assert f"{got.effective_tours:.4g} effective tours" in named["few tours"]
            assert ("times that by scans" in named["few tours"]) == many


def test_tours_that_disagree_with_scans_are_flagged_below_20_tours():
    # Two replicas carry opposite levels for 500 scans and change places in each: every scan's sum
    # is balanced, the two tours are not.
    n, n_chains = 4096, 3
    rng = np.random.default_rng(6)
    betas = np.array([0, 0.4, 1])
    v = rng.standard_normal((n, n_chains)) + betas
    replicas = travelling(n, n_chains)
    for start in range(0, n, 512):
        away = slice(start, start + 500)
        sign = np.where(np.arange(500) % 2 == 0, 1, -1)
        replicas[away] = np.where(sign[:, None] > 0, [0, 1, 2], [0, 2, 1])
        v[away, 1:] += 0.5 * rng.choice([-1, 1]) * sign[:, None] * [1, -1]
    got = evidence.round_evidence(v, replicas, betas)
    assert got.sqrt_ratio > 1.5
    assert 5 < got.effective_tours < 20
    assert (got.variance, got.dof) == (got.tour_variance, got.effective_tours)
    reason = {flag.name: flag.reason for flag in got.flags}["few tours"]
    assert f"{got.sqrt_ratio:.4g} times that by scans" in reason
    assert f"{got.effective_tours:.4g} effective tours" in reason


def test_flags_print_as_name_and_reason():
    v, replicas, betas = normal_round(50, 3, seed=7)
    (flag,) = evidence.round_evidence(v, replicas, betas).flags
    assert re.fullmatch(r"short: the round has 50 scans, .*", repr(flag))
