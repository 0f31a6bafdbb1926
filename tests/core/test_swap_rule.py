"""Enumerates a tiny model: the swap kernel must keep the joint law of all chains."""

import itertools

import numpy as np
import pytest

from numpygeons._core.math import portable_log
from numpygeons._core.tempering import (
    accepts_swap,
    deo_partner,
    linear_log_ratio,
    linear_swap_acceptance,
    linear_swap_log_ratio,
    swap_acceptance,
)

INF = np.inf
BETAS = np.array([0.0, 0.3, 1.0])
LOG_REFERENCE = np.log([0.5, 0.2, 0.3])


def linear_log_densities(v):
    """Of each chain (row) at each state; 0 times -inf is 0."""
    with np.errstate(invalid="ignore"):
        return LOG_REFERENCE + np.where(BETAS[:, None] == 0, 0.0, BETAS[:, None] * v)


def general_rule(log_densities):
    """Acceptance of the states x, y at the chains c, c + 1, from log ratios, any path."""

    def log_ratio(x, own, partner):
        if np.isneginf(log_densities[own, x]):
            return -INF if np.isneginf(log_densities[partner, x]) else INF
        return log_densities[partner, x] - log_densities[own, x]

    return lambda c, x, y: swap_acceptance(log_ratio(x, c, c + 1), log_ratio(y, c + 1, c))


def linear_rule(v):
    return lambda c, x, y: linear_swap_acceptance(BETAS[c], BETAS[c + 1], v[x], v[y])


def linear_rule_from_ratios(v):
    def acceptance(c, x, y):
        lower, upper = BETAS[c], BETAS[c + 1]
        ratios = linear_log_ratio(v[x], lower, upper), linear_log_ratio(v[y], upper, lower)
        return swap_acceptance(*ratios)

    return acceptance


def with_lower_ratio_only(log_densities):
    """The mutant: the other side's log ratio is taken to be 0."""

    def acceptance(c, x, y):
        return np.exp(min(0.0, log_densities[c + 1, x] - log_densities[c, x]))

    return acceptance


def with_upper_ratio_only(log_densities):
    def acceptance(c, x, y):
        return np.exp(min(0.0, log_densities[c, y] - log_densities[c + 1, y]))

    return acceptance


def without_bound(log_densities):
    """The mutant that accepts half as often where it should always accept."""
    rule = general_rule(log_densities)
    return lambda c, x, y: 0.5 if rule(c, x, y) == 1.0 else rule(c, x, y)


def defect(log_densities, rule, scan):
    """The largest change that one swap makes in the joint law of the states at the chains."""
    n_chains, n_states = log_densities.shape
    law = np.exp(log_densities) / np.exp(log_densities).sum(axis=1, keepdims=True)
    before = {
        states: np.prod([law[c, x] for c, x in enumerate(states)])
        for states in itertools.product(range(n_states), repeat=n_chains)
    }
    after = dict.fromkeys(before, 0.0)
    for states, probability in before.items():
        moves = [(states, probability)]
        for c in range(n_chains - 1):
            if deo_partner(c, scan, n_chains) != c + 1:
                continue
            alpha = rule(c, states[c], states[c + 1])
            assert 0 <= alpha <= 1
            split = []
            for now, share in moves:
                swapped = list(now)
                swapped[c], swapped[c + 1] = now[c + 1], now[c]
                split += [(tuple(swapped), share * alpha), (now, share * (1 - alpha))]
            moves = split
        for now, share in moves:
            after[now] += share
    return max(abs(after[states] - before[states]) for states in before)


VALUES = [
    np.array([0.0, 1.0, -2.0]),
    np.array([-3.0, 0.5, 0.5]),
    np.array([0.0, -INF, 1.0]),
    np.array([-INF, -INF, 1.0]),
    np.array([0.0, -800.0, 3.0]),
]


@pytest.mark.parametrize("v", VALUES)
@pytest.mark.parametrize("scan", [1, 2])
def test_swap_keeps_the_joint_law_on_a_linear_path(v, scan):
    log_densities = linear_log_densities(v)
    for rule in (linear_rule(v), linear_rule_from_ratios(v), general_rule(log_densities)):
        assert defect(log_densities, rule, scan) < 1e-14


@pytest.mark.parametrize("scan", [1, 2])
def test_swap_keeps_the_joint_law_on_any_path(scan):
    rng = np.random.default_rng(1)
    for n_chains, n_states in [(3, 3), (4, 2), (5, 2)]:
        log_densities = rng.normal(size=(n_chains, n_states), scale=2)
        assert defect(log_densities, general_rule(log_densities), scan) < 1e-14
        log_densities[1:, 0] = -INF
        assert defect(log_densities, general_rule(log_densities), scan) < 1e-14


@pytest.mark.parametrize("mutant", [with_lower_ratio_only, with_upper_ratio_only, without_bound])
def test_enumeration_catches_a_faulty_rule(mutant):
    log_densities = linear_log_densities(VALUES[0])
    assert defect(log_densities, mutant(log_densities), scan=1) > 1e-3


@pytest.mark.parametrize(
    ("beta_lower", "beta_upper", "v_lower", "v_upper", "acceptance"),
    [
        (0.0, 0.5, 2.0, 2.0, 1.0),
        (0.0, 0.5, 3.0, 1.0, 1.0),
        (0.0, 0.5, 1.0, 3.0, np.exp(-1.0)),
        (0.0, 0.5, -INF, 1.0, 0.0),  # density 0 at the upper chain
        (0.0, 0.5, -INF, -INF, 0.0),  # stays at the reference
        (0.0, 0.5, 1.0, -INF, 1.0),  # leaves a chain where its density is 0
        (0.2, 0.5, -INF, 1.0, 0.0),
        (0.2, 0.5, -INF, -INF, 0.0),
        (0.2, 0.5, 1.0, -INF, 1.0),
        (0.2, 0.5, INF, 1.0, 1.0),
        (0.2, 0.5, 1.0, INF, 0.0),
        (0.2, 0.5, INF, INF, 0.0),
        (0.0, 1e-9, 1e17, 1e17 + 64, np.exp(-64e-9)),
        (0.0, 1.0, -1e308, 1e308, 0.0),
        (0.5, 0.5, -INF, 3.0, 1.0),  # equal densities
    ],
)
def test_edges_have_these_acceptances(beta_lower, beta_upper, v_lower, v_upper, acceptance):
    got = linear_swap_acceptance(beta_lower, beta_upper, v_lower, v_upper)
    assert got == pytest.approx(acceptance, rel=1e-15, abs=0)


def test_acceptance_is_never_nan():
    values = [-INF, -1e308, -1.0, 0.0, 1.0, 1e308, INF, np.nan]
    for a, b in itertools.product(values, repeat=2):
        assert 0 <= swap_acceptance(a, b) <= 1
        for lower, upper in [(0.0, 0.5), (0.0, 1.0), (0.5, 1.0), (0.0, 5e-324), (1.0, 1.0)]:
            assert 0 <= linear_swap_acceptance(lower, upper, a, b) <= 1


def test_a_side_of_density_0_rejects_whatever_the_other_says():
    for other in (-INF, -1.0, 0.0, 1e308, INF, np.nan):
        assert swap_acceptance(-INF, other) == swap_acceptance(other, -INF) == 0


def test_the_log_ratio_of_a_state_without_density_is_the_limit_of_falling_v():
    assert linear_log_ratio(-INF, 0.0, 0.5) == -INF
    assert linear_log_ratio(-INF, 0.5, 0.0) == INF
    assert linear_log_ratio(-INF, 0.2, 0.5) == -INF
    assert linear_log_ratio(-INF, 0.0, 0.0) == 0
    assert linear_log_ratio(3.0, 0.25, 0.75) == 1.5


def test_probability_1_always_swaps_and_0_never():
    smallest, largest = 2.0**-53, 1 - 2.0**-53
    assert accepts_swap(largest, 1.0)
    assert not accepts_swap(smallest, 0.0)
    assert not accepts_swap(0.5, 0.5)
    assert accepts_swap(np.nextafter(0.5, 0), 0.5)


def test_logarithms_decide_as_the_numbers_do():
    smallest, largest = portable_log(2.0**-53), portable_log(1 - 2.0**-53)
    assert accepts_swap(largest, 0.0)
    assert accepts_swap(largest, INF)
    assert not accepts_swap(smallest, -INF)
    assert not accepts_swap(smallest, np.nan)
    rng = np.random.default_rng(1)
    v_lower, v_upper = rng.normal(scale=4, size=(2, 20_000))
    v_lower[:200], v_upper[100:300] = -INF, -INF
    u = rng.random(20_000)
    decided = accepts_swap(u, linear_swap_acceptance(0.25, 0.75, v_lower, v_upper))
    log_ratios = linear_swap_log_ratio(0.25, 0.75, v_lower, v_upper)
    np.testing.assert_array_equal(accepts_swap(portable_log(u), log_ratios), decided)
    assert 0.4 < np.mean(decided) < 0.7
