"""Tests the errors: of series, by tours, pooled over rounds, and of the swaps."""

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

import support.evidence_oracle as oracle
from numpygeons._core import evidence
from support.evidence_problems import RareMode, coin_log_z, normal_round, sticky_coin_rounds

STICKY_BETAS = np.array([0, 0.008, 0.03, 0.075, 0.16, 0.32, 0.58, 1])


def autoregressive(rng, n, phi):
    x = rng.standard_normal(n)
    for s in range(1, n):
        x[s] += phi * x[s - 1]
    return x


@pytest.fixture(scope="module")
def sticky_rounds():
    """400 independent rounds of 512 scans on the coin, with moves that mostly stay."""
    v, replicas = sticky_coin_rounds(400, 512, STICKY_BETAS, stay=0.8, seed=11)
    return v, [
        evidence.round_evidence(run, who, STICKY_BETAS)
        for run, who in zip(v, replicas, strict=True)
    ]


def covered(centers, variances, dofs, truth, level=0.9545):
    """How many of the Student intervals at the level of two standard errors hold the truth."""
    half = student.ppf((1 + level) / 2, dofs) * np.sqrt(variances)
    return int(np.sum(np.abs(np.asarray(centers) - truth) <= half))


@pytest.mark.parametrize("phi", [-0.7, 0.0, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 64, 333])
def test_series_agree_with_the_oracle(n, phi):
    x = 5 + autoregressive(np.random.default_rng(n), n, phi)
    got = evidence.long_run_variance(x)
    if n == 1:
        assert got == (0, 1, 0)
    else:
        np.testing.assert_allclose(got, oracle.long_run_variance(x), rtol=1e-9)


def test_a_constant_series_has_no_variance_whatever_its_rounding():
    assert evidence.long_run_variance(np.full(100, 0.1)) == (0, 100 / 3, 0)


@pytest.mark.parametrize(("n", "n_chains"), [(1, 1), (2, 3), (50, 4), (257, 9)])
def test_tours_agree_with_the_oracle(n, n_chains):
    rng = np.random.default_rng(n)
    _, replicas, _ = normal_round(n, n_chains, seed=n)
    psi = rng.standard_normal((n, n_chains))
    np.testing.assert_allclose(
        evidence.tour_variance(psi, replicas), oracle.tour_variance(psi, replicas), rtol=1e-12
    )


def test_tours_that_all_add_up_to_nothing_count_in_full():
    replicas = np.array([[0, 1], [1, 0], [0, 1]])
    assert evidence.tour_variance(np.zeros((3, 2)), replicas) == (0, 4)


def test_student_intervals_cover_as_often_as_they_say(sticky_rounds):
    _, rounds = sticky_rounds
    n_covered = covered(
        [r.log_z for r in rounds],
        [r.variance for r in rounds],
        [r.dof for r in rounds],
        coin_log_z(),
    )
    assert 0.91 * 400 <= n_covered <= 0.99 * 400
    assert binomtest(n_covered, 400, 0.9545).pvalue > 1e-6


def test_pairs_added_in_quadrature_as_independent_draws_are_caught(sticky_rounds):
    v, _ = sticky_rounds
    centers, variances = [], []
    for run in v:
        c, _ = evidence.bennett(run, STICKY_BETAS)
        delta = np.diff(STICKY_BETAS)
        p = 1 / (1 + np.exp(c - delta * run[:, :-1]))
        q = 1 / (1 + np.exp(delta * run[:, 1:] - c))
        relative = p.var(0) / p.mean(0) ** 2 + q.var(0) / q.mean(0) ** 2
        centers.append(c.sum())
        variances.append(relative.sum() / len(run))
    n_covered = covered(centers, variances, np.inf, coin_log_z())
    assert n_covered < 0.75 * 400
    assert binomtest(n_covered, 400, 0.9545).pvalue < 1e-6


def test_log_z_has_no_bias_beyond_its_error(sticky_rounds):
    _, rounds = sticky_rounds
    errors = np.array([r.log_z for r in rounds]) - coin_log_z()
    assert abs(errors.mean()) < 4.9 * errors.std() / np.sqrt(len(errors))


def test_sound_rounds_are_seldom_flagged(sticky_rounds):
    _, rounds = sticky_rounds
    enough = [r for r in rounds if r.n_restarts >= 20]
    assert len(enough) > 200
    assert np.mean([r.flagged for r in enough]) < 0.1


def test_a_rare_mode_is_flagged_by_its_few_tours():
    problem = RareMode()
    v, replicas = problem.rounds(40, 4096, seed=12)

    def flagged(labels):
        rounds = [
            evidence.round_evidence(run, who, problem.betas)
            for run, who in zip(v, labels, strict=True)
        ]
        return np.mean(["few tours" in [flag.name for flag in r.flags] for r in rounds])

    assert flagged(replicas) > 0.5
    shuffled = np.random.default_rng(12).permuted(replicas, axis=2)
    assert flagged(shuffled) < 0.5  # mutant: labels that do not follow the states


@pytest.mark.parametrize("n_rounds", [1, 2, 3])
def test_pooling_agrees_with_the_oracle(n_rounds):
    rounds = [(1024, -3.0, 0.01, 40.0), (512, -3.1, 0.03, 15.0), (256, -2.9, 0.05, 9.0)][:n_rounds]
    got = evidence.pool([(*r, False) for r in rounds])
    np.testing.assert_allclose([got.log_z, got.variance, got.dof], oracle.pool(rounds), rtol=1e-14)
    assert got.n_rounds_used == n_rounds
    assert not got.rounds_disagree
    assert got.flags == ()


LAST = (256, -3.0, 0.01, 20.0, False)


@pytest.mark.parametrize(
    ("others", "n_used"),
    [
        ([(128, -3.0, 0.02, 9.0, False)], 2),
        ([(127, -3.0, 0.02, 9.0, False)], 1),
        ([(128, -3.0, np.inf, 1.0, True), (128, -3.0, 0.02, 9.0, False)], 2),
        ([(128, -np.inf, np.inf, 1.0, True)], 1),
        ([(128, -3.0, 0.02, 9.0, True)] * 2, 3),
        ([(128, -3.0, 0.02, 9.0, False)] * 5, 3),
    ],
)
def test_only_long_enough_rounds_with_an_error_are_pooled(others, n_used):
    got = evidence.pool([LAST, *others])
    assert got.n_rounds_used == n_used
    assert np.isfinite(got.variance)


def test_a_short_or_flagged_last_round_stands_alone():
    earlier = (128, -2.9, 0.02, 9.0, False)
    for last in [(256, -3.0, 0.01, 20.0, True), (32, -3.0, np.nan, 2.0, True)]:
        got = evidence.pool([last, earlier])
        assert (got.log_z, got.dof, got.n_rounds_used) == (-3.0, last[3], 1)
        assert not got.rounds_disagree
    assert evidence.pool([(127, -3.0, 0.02, 20.0, False), earlier]).n_rounds_used == 2


@pytest.mark.parametrize(("n_rounds", "limit"), [(2, 10.828), (3, 13.816)])
def test_rounds_that_disagree_leave_the_last_alone(n_rounds, limit):
    # Equal weights and variances: Q = k (k - 1) x^2 / (k^2 v) = limit for the last round x away.
    gap = np.sqrt(limit * 0.01 * n_rounds / (n_rounds - 1))
    for factor, disagree in [(0.999, False), (1.001, True)]:
        last = (256, -3.0 + factor * gap, 0.01, 20.0, False)
        got = evidence.pool([last, *[LAST] * (n_rounds - 1)])
        assert got.rounds_disagree == disagree
        assert [flag.name for flag in got.flags] == ["rounds disagree"] * disagree
        assert got.n_rounds_used == (1 if disagree else n_rounds)
        if disagree:
            assert got.log_z == last[1]
            assert f"limit {limit:.4g}" in got.flags[0].reason


def test_a_round_that_had_not_settled_is_left_out():
    # Variance per scan 2.56 in the last round; twice that is the limit.
    for variance, n_used in [(0.0399, 2), (0.0401, 1)]:
        got = evidence.pool([LAST, (128, -3.0, variance, 9.0, False)])
        assert got.n_rounds_used == n_used
        assert got.flags == ()


def test_rounds_whose_errors_differ_are_flagged():
    last = (512, -3.0, 0.01, 20.0, False)  # 5.12 per scan
    for earlier, flagged in [
        ((512, -3.0, 0.029, 9.0, False), False),
        ((512, -3.0, 0.031, 9.0, False), True),
        ((511, -3.0, 0.090, 9.0, False), False),  # too short to tell
        ((512, -3.0, 0.0033, 9.0, False), True),  # the last round met what the other did not
    ]:
        got = evidence.pool([last, earlier])
        assert [flag.name for flag in got.flags] == ["uneven rounds"] * flagged
        assert not got.rounds_disagree
        if flagged:
            assert got.flags[0].severity == "warning"
            assert "limit 3" in got.flags[0].reason


def test_rounds_without_error_agree_up_to_rounding():
    rounds = [(256, -3.0 + 1e-13, 0.0, 80.0, False), (128, -3.0, 0.0, 40.0, False)]
    got = evidence.pool(rounds)
    assert (got.variance, got.dof, got.n_rounds_used) == (0, 120, 2)
    assert evidence.pool([rounds[0], (128, -2.0, 0.0, 40.0, False)]).rounds_disagree


def test_nothing_to_pool_is_refused():
    with pytest.raises(ValueError, match="no rounds to pool"):
        evidence.pool([])


@pytest.mark.parametrize(("n", "n_chains"), [(64, 2), (99, 5), (200, 12)])
def test_swap_statistics_agree_with_the_oracle(n, n_chains):
    v, _, betas = normal_round(n, n_chains, seed=n)
    v[: n // 3, 0] = -np.inf
    got = evidence.swap_statistics(v, betas)
    acceptance, variances, rejections, variance = oracle.swap_statistics(v, betas)
    np.testing.assert_allclose(got.acceptance, acceptance, rtol=1e-12)
    np.testing.assert_allclose(got.acceptance_variance, variances, rtol=1e-9)
    assert got.sum_of_rejections == pytest.approx(rejections, rel=1e-12)
    assert got.sum_of_rejections_variance == pytest.approx(variance, rel=1e-9)


def test_swap_statistics_give_no_error_below_64_scans():
    v, _, betas = normal_round(63, 3, seed=13)
    got = evidence.swap_statistics(v, betas)
    assert np.all(np.isnan(got.acceptance_variance))
    assert np.isnan(got.sum_of_rejections_variance)


def test_one_chain_has_no_barrier():
    got = evidence.swap_statistics(np.zeros((100, 1)), [1.0])
    assert got.acceptance.shape == (0,)
    assert (got.sum_of_rejections, got.sum_of_rejections_variance) == (0, 0)


def test_the_exponential_is_right_to_the_last_bits():
    # One scan, two chains, beta 0 and 1: the acceptance is exp of the difference itself.
    x = np.concatenate([[0.0, -1e-300, -0.5, -1.0], -np.geomspace(1e-9, 708, 4000)])
    got = [evidence.swap_statistics([[value, 0.0]], [0, 1]).acceptance[0] for value in x]
    np.testing.assert_allclose(got, np.exp(x), rtol=5e-16)
    for value in (-709.0, -1e14, -np.inf):
        assert evidence.swap_statistics([[value, 0.0]], [0, 1]).acceptance[0] == 0


def test_intervals_of_the_barrier_cover_as_often_as_they_say(sticky_rounds):
    v, _ = sticky_rounds
    stats = [evidence.swap_statistics(run, STICKY_BETAS) for run in v]
    centers = [s.sum_of_rejections for s in stats]
    # No closed form: the mean of the runs stands for the truth and is 20 times as precise as one.
    n_covered = covered(
        centers,
        [s.sum_of_rejections_variance for s in stats],
        [s.sum_of_rejections_dof for s in stats],
        np.mean(centers),
    )
    assert binomtest(n_covered, 400, 0.9545).pvalue > 1e-6
