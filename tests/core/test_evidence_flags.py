"""Tests that each reason not to trust a round is named, with its numbers."""

import re

import numpy as np

from numpygeons._core import evidence
from support.evidence_problems import RareMode, normal_round


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
    assert flags(v, replicas, betas)["slow"].startswith("0 restarts in 512 scans; 2 are needed")
    replicas[100] = [1, 2, 0]
    assert flags(v, replicas, betas)["slow"].startswith("1 restart in 512 scans")
    replicas[200] = [1, 2, 0]
    assert "slow" not in flags(v, replicas, betas)


def test_many_chains_are_judged_by_trips_that_the_scans_allow():
    # A trip along 60 chains takes 59 scans at best: in 64 scans two restarts are out of reach, and
    # the chains are cut into four pieces, ceil(4 * 60 / 64).
    v, _, betas = normal_round(64, 60, seed=8)
    there_and_back = np.concatenate([np.arange(60), np.arange(59, -1, -1)])
    place = np.array([[there_and_back[(2 * c + s) % 120] for c in range(60)] for s in range(64)])
    assert "slow" not in flags(v, np.argsort(place, axis=1), betas)
    standing = np.tile(np.arange(60), (64, 1))
    assert flags(v, standing, betas)["slow"].startswith("0 trips up the slowest 1/4 of the chains")
    place[:, :] = standing
    place[:, :30] = np.argsort(travelling(64, 30), axis=1)  # lively below, standing above
    assert "slow" in flags(v, np.argsort(place, axis=1), betas)


def test_few_tours_are_judged_by_the_restarts_that_the_scans_allow():
    n, n_chains, stay = 512, 6, 60
    v, _, betas = normal_round(n, n_chains, seed=9)
    replicas = travelling(n, n_chains)
    replicas[:stay] = np.arange(n_chains)  # five long tours carry most of the error
    v[:stay, 1:] += 8
    assert evidence.round_evidence(v, replicas, betas).effective_tours < 5
    assert "few tours" in flags(v, replicas, betas)
    hardly = v + 12 * np.arange(n_chains)  # pairs that hardly swap allow two restarts
    acceptance = evidence.swap_statistics(hardly, betas).acceptance
    allowed = n / (2 + 2 * np.sum((1 - acceptance) / acceptance))
    assert allowed < 2
    assert 0.15 * allowed < evidence.round_evidence(hardly, replicas, betas).effective_tours < 5
    assert "few tours" not in flags(hardly, replicas, betas)


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


def test_flags_print_name_severity_reason_and_advice():
    v, replicas, betas = normal_round(50, 3, seed=7)
    (flag,) = evidence.round_evidence(v, replicas, betas).flags
    assert re.fullmatch(r"short \(warning\): the last round has 50 scans; .*", repr(flag))
    assert (flag.name, flag.severity) == ("short", "warning")
    assert "at least 6 rounds" in flag.advice
