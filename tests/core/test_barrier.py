"""Holds barriers and rates to closed forms, with the acceptance of the core's own swap rule."""

import itertools

import numpy as np
import pytest
from scipy import integrate, special, stats

from numpygeons._core.tempering import (
    cumulative_barrier,
    equally_spaced,
    extrapolated_barrier,
    global_barrier,
    ideal_restart_rate,
    linear_swap_acceptance,
    local_barrier,
)


def normal_path_rejection(beta_lower, beta_upper):
    """From N(-3, 1) to N(3, 1): V(x) = 6 x, mean 6 beta - 3; by integration over V - V'."""
    mean = 36 * (beta_lower - beta_upper)
    law = stats.norm(mean, np.sqrt(72))

    def weighted(d):
        return law.pdf(d) * linear_swap_acceptance(beta_lower, beta_upper, d, 0.0)

    accepted = [
        integrate.quad(weighted, a, b, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
        for a, b in [(mean - 80, 0), (0, mean + 160)]
    ]
    return 1 - sum(accepted)


@pytest.mark.parametrize(("n_chains", "published"), [(8, 3.1888), (10, 3.2638), (20, 3.3572)])
def test_the_barrier_of_the_normal_path_is_the_closed_form(n_chains, published):
    betas = equally_spaced(n_chains)
    rejections = [normal_path_rejection(a, b) for a, b in itertools.pairwise(betas)]
    delta = 6 / (n_chains - 1)
    exact = (n_chains - 1) * (1 - 2 * stats.norm.cdf(-delta / np.sqrt(2)))
    got = global_barrier(betas, rejections)
    assert got == pytest.approx(exact, rel=1e-9)
    assert got == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("n_chains", [2, 3, 10, 20])
def test_few_chains_of_the_normal_path_know_the_barrier_of_many(n_chains):
    rejections = [
        normal_path_rejection(a, b) for a, b in itertools.pairwise(np.linspace(0, 1, n_chains))
    ]
    got = extrapolated_barrier(1 - np.array(rejections))
    assert got == pytest.approx(6 / np.sqrt(np.pi), rel=1e-7)


def test_the_extrapolated_barrier_has_no_ceiling_but_is_finite():
    assert extrapolated_barrier([]) == 0
    assert extrapolated_barrier([1.0]) == pytest.approx(0, abs=1e-15)
    acceptances = np.geomspace(1e-290, 1, 200)
    exact = 2 * special.erfcinv(acceptances) / np.sqrt(np.pi)
    np.testing.assert_allclose([extrapolated_barrier([a]) for a in acceptances], exact, atol=1e-12)
    assert 29 < extrapolated_barrier([0.0]) < 31
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"acceptances must lie in \[0, 1\]"):
            extrapolated_barrier([bad])


@pytest.mark.parametrize(
    ("dim", "limit"), [(1, 0.7329), (2, 1.1513), (10, 2.8333), (100, 9.1630), (1000, 29.041)]
)
def test_the_barrier_of_the_scaled_precision_path_is_the_closed_form(dim, limit):
    """N(0, 1 / tau), tau from 1 to 10; the ratio of two squared radii follows an F law."""
    n_chains = 3000
    tau = np.geomspace(1, 10, n_chains)
    betas = (tau - 1) / 9
    betas[-1] = 1.0
    rejections = 1 - 2 * stats.f.cdf(tau[:-1] / tau[1:], dim, dim)
    constant = np.exp(special.gammaln((dim + 1) / 2) - special.gammaln(dim / 2))
    constant *= 2 / np.sqrt(np.pi)
    assert global_barrier(betas, rejections) == pytest.approx(limit, rel=2e-4)
    at = np.linspace(0, 1, 57)
    exact = constant * 0.5 * np.log(1 + 9 * at)
    np.testing.assert_allclose(cumulative_barrier(betas, rejections, at), exact, rtol=5e-4)
    slope = constant * 4.5 / (1 + 9 * at)
    np.testing.assert_allclose(local_barrier(betas, rejections, at), slope, rtol=1e-2)


def test_the_cumulative_barrier_passes_through_the_sums():
    betas, rejections = [0.0, 0.1, 0.5, 1.0], [0.3, 0.0, 0.2]
    got = cumulative_barrier(betas, rejections, betas)
    np.testing.assert_allclose(got, [0, 0.3, 0.3, 0.5], rtol=1e-15)
    assert global_barrier(betas, rejections) == got[-1]
    assert local_barrier(betas, rejections, 0.3) == 0


def test_one_chain_has_no_barrier_and_no_restarts():
    assert global_barrier([1.0], []) == 0
    assert cumulative_barrier([1.0], [], 1.0) == 0
    assert local_barrier([1.0], [], 0.5) == 0
    assert ideal_restart_rate([]) == 0


@pytest.mark.parametrize(
    ("n_chains", "sum_of_r", "rate"),
    [(3, 1.2642, 0.1127), (10, 1.5150, 0.1772), (40, 1.5312, 0.1928), (15, 3.6281, 0.0848)],
)
def test_the_ideal_restart_rate_is_the_published_one(n_chains, sum_of_r, rate):
    acceptances = np.full(n_chains - 1, 1 - sum_of_r / (n_chains - 1))
    assert ideal_restart_rate(acceptances) == pytest.approx(rate, abs=6e-5)


def test_always_accepting_restarts_every_other_scan_and_never_accepting_never():
    assert ideal_restart_rate([1.0, 1.0]) == 0.5
    assert ideal_restart_rate([1.0, 0.0]) == 0.0
    assert ideal_restart_rate([0.5, 1e-320]) == pytest.approx(0.0, abs=1e-300)


def test_the_ideal_restart_rate_is_that_of_the_formula():
    assert ideal_restart_rate([0.8, 0.5]) == pytest.approx(1 / (2 + 2 * (0.25 + 1.0)), rel=1e-15)
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"acceptances must lie in \[0, 1\]"):
            ideal_restart_rate([0.5, bad])


@pytest.mark.parametrize(
    ("rejections", "message"),
    [
        ([0.1], "one entry per pair of 3 chains, 2, got 1"),
        ([0.1, 1.5], r"must lie in \[0, 1\]: got rejections\[1\] = 1.5"),
        ([np.nan, 0.5], r"must lie in \[0, 1\]: got rejections\[0\] = nan"),
        ([-0.1, 0.5], r"got rejections\[0\] = -0.1"),
    ],
)
def test_bad_rejections_are_an_error(rejections, message):
    with pytest.raises(ValueError, match=message):
        global_barrier([0.0, 0.5, 1.0], rejections)


def test_a_beta_outside_the_schedule_is_an_error():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 1.5"):
        cumulative_barrier([0.0, 0.5, 1.0], [0.1, 0.1], 1.5)
