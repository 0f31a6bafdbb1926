"""Tests the schedules: the reference curve by brute force, fixed points by exact integration."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from numpygeons._core.tempering import (
    equal_rejection_schedule,
    equally_spaced,
    initial_schedule,
    linear_swap_acceptance,
    reference_rejection,
    tuned_schedule,
)

INF = np.inf


def descending(v):
    return np.sort(np.asarray(v, float))[::-1].copy()


def assert_is_schedule(betas, n_chains):
    assert len(betas) == n_chains
    assert betas[-1] == 1
    assert n_chains == 1 or betas[0] == 0
    assert np.all(np.diff(betas) > 0)


def brute_force_rejection(v, beta):
    """Mean over all pairs (x, y), x from the reference, y weighted to beta, by the swap rule."""
    with np.errstate(invalid="ignore"):
        weights = np.exp(beta * (v - v.max()))
    weights[np.isneginf(v)] = 0
    pairs = linear_swap_acceptance(0.0, beta, v[:, None], v[None, :])
    return 1 - np.sum(pairs * weights[None, :]) / (len(v) * weights.sum())


@pytest.mark.parametrize(
    "v",
    [
        [0.0, -1.0, -2.5],
        [3.0],
        [2.0, 2.0, 2.0],
        [5.0, 5.0, 1.0, 1.0, 1.0, -4.0],
        [1.0, 0.0, -INF, -INF],
        [0.0, -INF, -INF, -INF],
        [1e3, 0.0, -1e17, -INF],
        np.random.default_rng(1).normal(size=40, scale=5).round(),
    ],
)
@pytest.mark.parametrize("beta", [1e-20, 1e-3, 0.1, 1.0])
def test_the_reference_curve_is_the_mean_over_all_pairs(v, beta):
    v = descending(v)
    exact = brute_force_rejection(v, beta)
    assert reference_rejection(v, beta) == pytest.approx(exact, rel=1e-13, abs=1e-14)


def test_the_reference_curve_rises_from_the_share_of_minus_infinity():
    v = descending([*np.random.default_rng(2).normal(size=30), *[-INF] * 10])
    assert reference_rejection(v, 0.0) == 0
    r = [reference_rejection(v, beta) for beta in (1e-300, 1e-6, 1e-3, 0.1, 0.5, 1.0, 10.0, 1e6)]
    assert r[0] == pytest.approx(0.25, rel=1e-12)
    assert np.all(np.diff(r) >= 0)
    assert r[-1] == pytest.approx(1 - 1 / 40, rel=1e-12)
    assert reference_rejection([-INF, -INF], 0.5) == 1


def test_the_reference_curve_is_that_of_normal_v():
    """V from N(0, s^2): tilted to N(beta s^2, s^2), so the rejection is erf(beta s / 2)."""
    s = 50.0
    v = descending(s * special.ndtri((np.arange(20_000) + 0.5) / 20_000))
    for beta in (0.001, 0.005, 0.02):
        exact = special.erf(beta * s / 2)
        assert reference_rejection(v, beta) == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("n_chains", [3, 4, 10, 100, 1000])
@pytest.mark.parametrize("spread", [10.0, 1e3, 1e17])
def test_the_first_pair_of_the_initial_schedule_rejects_four_in_ten(n_chains, spread):
    v = descending(-spread * np.random.default_rng(3).exponential(size=1024))
    betas = initial_schedule(n_chains, v)
    assert_is_schedule(betas, n_chains)
    if betas[1] < 1 / (n_chains - 1):
        assert reference_rejection(v, betas[1]) == pytest.approx(0.4, abs=1e-9)
        np.testing.assert_allclose(np.diff(np.log(betas[1:]), 2), 0, atol=1e-9)
    else:
        np.testing.assert_array_equal(betas, equally_spaced(n_chains))
        assert reference_rejection(v, betas[1]) <= 0.4


@pytest.mark.parametrize(
    "v",
    [
        [],
        [2.0],
        [2.0] * 100,
        [-INF] * 100,
        [2.0, *[-INF] * 100],
        [2.0, 2.0, *[-INF] * 100],
        [0.01, 0.0],
    ],
)
@pytest.mark.parametrize("n_chains", [1, 2, 3, 10])
def test_draws_that_say_nothing_give_equal_spacing(v, n_chains):
    np.testing.assert_array_equal(initial_schedule(n_chains, v), equally_spaced(n_chains))


@pytest.mark.parametrize("n_infinite", [1, 100, 400, 450, 900, 1018, 1022])
def test_the_initial_schedule_bears_draws_without_density(n_infinite):
    v = -1e6 * np.random.default_rng(4).exponential(size=1024)
    v[:n_infinite] = -INF
    v = descending(v)
    betas = initial_schedule(10, v)
    assert_is_schedule(betas, 10)
    finite = v[np.isfinite(v)]
    # What the finite draws alone reject is what there is to choose.
    chosen = reference_rejection(finite, betas[1])
    total = reference_rejection(v, betas[1])
    assert total == pytest.approx(0.4, abs=1e-9) or chosen == pytest.approx(0.2, abs=1e-9)
    assert 0.2 - 1e-9 < chosen < 0.4 + 1e-9


def test_extreme_draws_give_a_schedule():
    for v in ([1e308, -1e308], [0.0, -1e308, -INF], [5e-324, 0.0], [-1e308, -1.1e308]):
        for n_chains in (2, 3, 10, 1000):
            assert_is_schedule(initial_schedule(n_chains, v), n_chains)


class NormalPath:
    """Normal V: a pair rejects with erf(sd (beta' - beta) / 2); equal spacing is optimal."""

    def __init__(self, sd):
        self.sd = sd
        self.sorted_v = descending(sd * special.ndtri((np.arange(1024) + 0.5) / 1024))

    def rejections(self, betas):
        return special.erf(self.sd * np.diff(betas) / 2)


class Coin:
    """The unidentifiable coin with n throws, n / 2 heads, by a grid of u = p1 p2.

    V does not tell u from 1 - u, so the grid holds logit u >= 0 and the mass of both; it is dense
    where the target is. V falls strictly along the grid.
    """

    def __init__(self, n):
        t = (np.arange(40_000) + 0.5) / 40_000
        logit = 40 * np.sinh(12 * t) / np.sinh(12)
        log_u, log_rest = -np.log1p(np.exp(-logit)), -np.logaddexp(0, logit)
        self.v = 0.5 * n * (log_u + log_rest)
        both = np.log(-log_u) + np.logaddexp(0, np.log(log_rest / log_u))
        self.log_reference = both + log_u + log_rest + np.log(np.cosh(12 * t))
        where = np.searchsorted(np.cumsum(self.law(0.0)), (np.arange(1024) + 0.5) / 1024)
        self.sorted_v = self.v[where]

    def law(self, beta):
        log_density = self.log_reference + beta * self.v
        density = np.exp(log_density - log_density.max())
        return density / density.sum()

    def rejections(self, betas):
        """Acceptance is 2 P(V_lower > V_upper), ties halved."""
        r = []
        for lower, upper in itertools.pairwise(self.law(beta) for beta in betas):
            below = 1 - np.cumsum(upper) + 0.5 * upper
            r.append(1 - 2 * np.sum(lower * below))
        return np.clip(r, 0, 1)


@pytest.mark.parametrize(
    ("sd", "n_chains"), [(6.0, 3), (6.0, 5), (6.0, 10), (6.0, 100), (60.0, 10), (60.0, 30)]
)
@pytest.mark.parametrize("start", ["even", "log", "cubic"])
def test_tuning_finds_equal_spacing_where_v_is_normal(sd, n_chains, start):
    path = NormalPath(sd)
    even = equally_spaced(n_chains)
    betas = {
        "even": even,
        "log": np.array([0, *np.geomspace(1e-5, 1, n_chains - 1)]),
        "cubic": even**3,
    }[start]
    for _ in range(12):
        betas = tuned_schedule(betas, path.rejections(betas), 10**9, path.sorted_v)
        assert_is_schedule(betas, n_chains)
    np.testing.assert_allclose(betas, even, atol=0.03 / (n_chains - 1))


@pytest.mark.parametrize(
    ("n", "n_chains", "sum_of_r", "rate"),
    [
        (100, 3, 1.2642, 0.1127),
        (100, 4, 1.3951, 0.1386),
        (100, 10, 1.5150, 0.1772),
        (100, 40, 1.5312, 0.1928),
        (100_000, 5, 2.8504, 0.0458),
        (100_000, 10, 3.4957, 0.0745),
        (100_000, 40, 3.7170, 0.0979),
    ],
)
def test_tuning_equalises_the_rejections_of_the_coin(n, n_chains, sum_of_r, rate):
    """To the sums and rates published for exact exploration; from the initial schedule."""
    coin = COINS[n]
    betas = initial_schedule(n_chains, coin.sorted_v)
    for _ in range(12):
        betas = tuned_schedule(betas, coin.rejections(betas), 10**9, coin.sorted_v)
    r = coin.rejections(betas)
    assert r.sum() == pytest.approx(sum_of_r, abs=2e-4)
    assert 1 / (2 + 2 * np.sum(r / (1 - r))) == pytest.approx(rate, abs=2e-4)
    assert np.ptp(r) < 0.02 * r.mean()


COINS = {n: Coin(n) for n in (100, 100_000)}


@pytest.mark.parametrize("n_chains", [5, 10, 40])
def test_the_reference_curve_finds_a_small_first_beta_within_three_updates(n_chains):
    """From equal spacing, where all of the barrier lies below beta_1."""
    coin = COINS[100_000]
    spread = {}
    for name, v in [("with", coin.sorted_v), ("without", [])]:
        betas = equally_spaced(n_chains)
        for _ in range(3):
            betas = tuned_schedule(betas, coin.rejections(betas), 10**9, v)
        spread[name] = np.ptp(coin.rejections(betas))
    assert spread["with"] < 0.01
    assert spread["without"] > 0.1


@pytest.mark.parametrize(("n_chains", "sum_of_r"), [(3, 1.2642), (4, 1.3951), (10, 1.5150)])
def test_the_classical_rule_equalises_the_rejections_of_the_coin(n_chains, sum_of_r):
    coin = COINS[100]
    betas = equally_spaced(n_chains)
    for _ in range(40):
        betas = equal_rejection_schedule(betas, coin.rejections(betas))
        assert_is_schedule(betas, n_chains)
    r = coin.rejections(betas)
    assert r.sum() == pytest.approx(sum_of_r, abs=2e-3)
    assert np.ptp(r) < 0.1 * r.mean()


def test_the_rule_that_adds_r_itself_squeezes_saturated_rejections():
    """Why shares are 2 erfinv(r): two pairs that hardly ever swap may be worlds apart."""
    path = NormalPath(30.0)
    even = equally_spaced(10)
    betas = even**3
    tuned = tuned_schedule(betas, path.rejections(betas), 10**9, path.sorted_v)
    classical = equal_rejection_schedule(betas, path.rejections(betas))
    error, classical_error = (np.max(np.abs(b - even)) for b in (tuned, classical))
    assert error < 0.05 * classical_error


def test_without_reference_draws_the_first_stretch_is_proportional_to_beta():
    path = NormalPath(6.0)
    betas = equally_spaced(6) ** 0.25
    betas = tuned_schedule(betas, path.rejections(betas), 10**9, [])
    assert_is_schedule(betas, 6)
    share = 2 * special.erfinv(path.rejections(equally_spaced(6) ** 0.25))
    assert betas[1] == pytest.approx(0.2**0.25 * share.sum() / 5 / share[0], rel=1e-12)


def test_a_step_of_draws_without_density_goes_to_the_first_pair_alone():
    """Half of the reference draws have V = -inf: whatever beta_1, half of them reject."""
    v = descending([*np.random.default_rng(5).normal(size=512), *[-INF] * 512])
    betas = equally_spaced(12)
    for _ in range(10):
        first = [reference_rejection(v, betas[1])]
        rest = special.erf(np.diff(betas[1:]) / 2)  # nearly normal V above
        betas = tuned_schedule(betas, [*first, *rest], 10**9, v)
        assert_is_schedule(betas, 12)
    assert 1e-3 < betas[1] < 1 / 11
    np.testing.assert_allclose(np.diff(betas[1:]), (1 - betas[1]) / 10, rtol=0.05)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n_chains=st.integers(1, 25))
def test_every_measurement_gives_a_strictly_increasing_schedule(data, n_chains):
    n_pairs = n_chains - 1
    rate = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
    rejections = data.draw(st.lists(rate, min_size=n_pairs, max_size=n_pairs))
    value = st.one_of(st.sampled_from([-INF, 0.0]), st.floats(-1e300, 1e300))
    v = descending(data.draw(st.lists(value, max_size=20)))
    n_scans = data.draw(st.sampled_from([1, 2, 1024, 2**40]))
    if n_chains == 1:
        betas = np.array([1.0])
    else:
        inner = st.floats(0, 1, exclude_min=True, exclude_max=True)
        inner = st.lists(inner, min_size=n_chains - 2, max_size=n_chains - 2, unique=True)
        betas = np.array([0.0, *sorted(data.draw(inner)), 1.0])
    for tuned in (
        tuned_schedule(betas, rejections, n_scans, v),
        equal_rejection_schedule(betas, rejections),
        initial_schedule(n_chains, v),
    ):
        assert_is_schedule(tuned, n_chains)


@pytest.mark.parametrize("n_chains", [2, 3, 50, 1000])
@pytest.mark.parametrize("rejection", [0.0, 0.3, 1.0])
def test_equal_rejections_leave_many_chains_in_order(n_chains, rejection):
    v = descending(np.random.default_rng(6).normal(size=1024, scale=100))
    betas = initial_schedule(n_chains, v)
    for _ in range(3):
        betas = tuned_schedule(betas, np.full(n_chains - 1, rejection), 1024, v)
        assert_is_schedule(betas, n_chains)
    betas = equal_rejection_schedule(betas, np.full(n_chains - 1, rejection))
    assert_is_schedule(betas, n_chains)


def test_two_chains_have_nothing_to_choose_and_one_has_no_reference():
    for rule in (
        equal_rejection_schedule,
        lambda betas, r: tuned_schedule(betas, r, 10, [1.0, 0.0]),
    ):
        assert rule([0.0, 1.0], [0.3]).tolist() == [0.0, 1.0]
        assert rule([1.0], []).tolist() == [1.0]


def test_a_schedule_that_begins_above_0_keeps_its_beginning():
    betas = np.geomspace(0.01, 1, 5)
    for tuned in (
        tuned_schedule(betas, [0.1, 0.2, 0.3, 0.4], 100, []),
        equal_rejection_schedule(betas, [0.1, 0.2, 0.3, 0.4]),
    ):
        assert tuned[0] == betas[0]
        assert tuned[-1] == 1
        assert np.all(np.diff(tuned) > 0)


def test_bad_input_is_an_error():
    betas, r = [0.0, 0.5, 1.0], [0.1, 0.2]
    with pytest.raises(ValueError, match=r"sorted_v\[1\] = 1 exceeds sorted_v\[0\] = 0"):
        tuned_schedule(betas, r, 10, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"finite or -inf: got sorted_v\[1\] = nan"):
        initial_schedule(3, [0.0, np.nan])
    with pytest.raises(ValueError, match=r"finite or -inf: got sorted_v\[0\] = inf"):
        reference_rejection([INF, 0.0], 0.5)
    with pytest.raises(ValueError, match="at least one draw"):
        reference_rejection([], 0.5)
    with pytest.raises(ValueError, match=r"beta must be finite and not negative, got -0\.5"):
        reference_rejection([0.0], -0.5)
    with pytest.raises(ValueError, match="n_scans must be at least 1"):
        tuned_schedule(betas, r, 0, [])
    with pytest.raises(ValueError, match="one entry per pair of 3 chains"):
        tuned_schedule(betas, [0.1], 10, [])
    with pytest.raises(ValueError, match="must lie in"):
        equal_rejection_schedule(betas, [0.1, np.nan])
    with pytest.raises(ValueError, match="increase strictly"):
        equal_rejection_schedule([0.0, 0.0, 1.0], r)
    with pytest.raises(ValueError, match="n_chains must be at least 1"):
        initial_schedule(0, [])
