"""Tests log Z along the schedule, and differences of it."""

import numpy as np
import pytest

import support.evidence_oracle as oracle
from numpygeons._core import evidence
from support.evidence_problems import coin_draws, coin_log_z, normal_round, shuffled_replicas

BOTH = pytest.mark.parametrize("budget", [1e9, 0], ids=["mbar", "bennett"])


def knot_errors(v, betas, point):
    """Largest departure of a curve's influence from that of the knots; point(f, a, beta)."""
    f, a = oracle.fit(v, betas)
    return max(
        np.abs(point(f, a, beta) - oracle.influence(v, betas, f, a, k)).max()
        for k, beta in enumerate(betas)
        if k > 0
    )


def test_curve_at_knots_equals_the_free_energies():
    v, replicas, betas = normal_round(300, 7, seed=1)
    got = evidence.round_evidence(v, replicas, betas)
    log_z, variance, dof = evidence.log_z_curve(v, replicas, betas, got, betas)
    np.testing.assert_allclose(log_z, got.log_z_by_chain, atol=oracle.IN_F)
    assert (log_z[0], variance[0]) == (0, 0)
    assert variance[-1] == pytest.approx(got.variance, rel=oracle.IN_VARIANCE)
    assert dof[-1] == pytest.approx(got.dof, rel=1e-9)


def test_influence_at_knots_equals_that_of_the_free_energies():
    v, replicas, betas = normal_round(300, 7, seed=1)
    got = evidence.round_evidence(v, replicas, betas)

    def point(f, a, beta):
        return evidence.log_z_influence(v, betas, got, beta)

    assert knot_errors(v, betas, point) < 1e-5
    scale = np.abs(evidence.log_z_influence(v, betas, got, 1.0)).max()
    assert scale > 1


def test_influence_without_the_errors_of_the_knots_is_caught():
    v, _, betas = normal_round(300, 7, seed=1)

    def mutant(f, a, beta):
        log_w = oracle.tempered(v, [beta])[..., 0] + np.log(a)
        x = f + np.log(a) + oracle.tempered(v, betas)
        p = np.exp(log_w) / np.exp(x).sum(-1)
        p = p / p.sum(1).mean()
        return p - p.mean(0)  # omega is left out

    assert knot_errors(v, betas, mutant) > 0.1


@pytest.mark.parametrize(("n", "n_chains"), [(64, 3), (131, 5), (90, 12)])
@pytest.mark.parametrize("iid", [True, False])
def test_curve_agrees_with_the_oracle(n, n_chains, iid):
    v, replicas, betas = normal_round(n, n_chains, seed=n)
    queries = np.r_[1.0, 1e-6, np.random.default_rng(n).random(19)]  # in any order, three batches
    got = evidence.round_evidence(v, replicas, betas, reference_is_iid=iid)
    curve = evidence.log_z_curve(v, replicas, betas, got, queries)
    f, a = oracle.fit(v, betas, iid=iid)
    for beta, log_z, variance, dof in zip(queries, *curve, strict=True):
        expected, psi = oracle.curve_point(v, betas, f, a, beta)
        assert log_z == pytest.approx(expected, abs=oracle.IN_F)
        expected_variance, expected_dof, *_ = oracle.error(psi, replicas)
        assert variance == pytest.approx(expected_variance, rel=oracle.IN_VARIANCE)
        assert dof == pytest.approx(expected_dof, rel=1e-6)


@BOTH
def test_curve_of_the_coin_is_within_its_errors(budget):
    rng = np.random.default_rng(2)
    betas = np.array([0, 0.02, 0.1, 0.3, 1])
    v = coin_draws(rng, betas, (4096,))
    replicas = shuffled_replicas(rng, 4096, 5)
    got = evidence.round_evidence(v, replicas, betas, exponential_budget=budget)
    queries = np.linspace(0, 1, 33)[1:]
    log_z, variance, _ = evidence.log_z_curve(v, replicas, betas, got, queries)
    truth = np.array([coin_log_z(beta) for beta in queries])
    assert np.all(np.abs(log_z - truth) < 4.9 * np.sqrt(variance))
    straight = np.interp(queries, betas, [coin_log_z(beta) for beta in betas])
    assert not np.all(np.abs(straight - truth) < 4.9 * np.sqrt(variance))  # mutant: chords


def test_the_curve_by_pairs_passes_through_the_pairs():
    v, replicas, betas = normal_round(200, 6, seed=3)
    got = evidence.round_evidence(v, replicas, betas, exponential_budget=0)
    log_z, variance, _ = evidence.log_z_curve(v, replicas, betas, got, betas)
    np.testing.assert_allclose(log_z, got.log_z_by_chain, atol=1e-9)
    assert variance[-1] == pytest.approx(got.variance, rel=1e-7)


def test_two_chains_have_the_same_curve_by_either_method():
    v, replicas, betas = normal_round(200, 2, seed=4)
    one = evidence.round_evidence(v, replicas, betas, reference_is_iid=False)
    other = evidence.round_evidence(v, replicas, betas, exponential_budget=0)
    queries = np.linspace(0, 1, 9)
    curves = [evidence.log_z_curve(v, replicas, betas, r, queries) for r in (one, other)]
    np.testing.assert_allclose(curves[0][0], curves[1][0], atol=1e-10)
    np.testing.assert_allclose(curves[0][1][:-1], curves[1][1][:-1], rtol=1e-7, atol=1e-15)


def test_the_curve_survives_minus_infinity_and_ends_without_error_at_the_reference():
    v, replicas, betas = normal_round(400, 5, seed=5)
    v[::2, 0] = -np.inf
    got = evidence.round_evidence(v, replicas, betas)
    log_z, variance, _ = evidence.log_z_curve(v, replicas, betas, got, [0, 1e-12, 1e-3, 0.5])
    assert np.all(np.isfinite(log_z))
    assert (log_z[0], variance[0]) == (0, 0)
    assert log_z[1] < -0.1  # half of the reference is lost as soon as beta exceeds 0


def test_short_rounds_have_a_curve_without_errors():
    v, replicas, betas = normal_round(40, 4, seed=6)
    got = evidence.round_evidence(v, replicas, betas)
    log_z, variance, _ = evidence.log_z_curve(v, replicas, betas, got, [0.3, 1.0])
    assert np.all(np.isfinite(log_z))
    assert np.all(np.isnan(variance))


@BOTH
def test_a_difference_has_the_error_of_its_own_series(budget):
    v, replicas, betas = normal_round(400, 6, seed=7)
    got = evidence.round_evidence(v, replicas, betas, exponential_budget=budget)
    log_z, variance, dof = evidence.log_z_difference(v, replicas, betas, got, 0.4, 0.9)
    (start, end), variances, _ = evidence.log_z_curve(v, replicas, betas, got, [0.4, 0.9])
    assert log_z == pytest.approx(end - start, abs=1e-12)
    psi = [evidence.log_z_influence(v, betas, got, beta) for beta in (0.4, 0.9)]
    expected, expected_dof, *_ = oracle.error(psi[1] - psi[0], replicas)
    assert variance == pytest.approx(expected, rel=1e-9)
    assert dof == pytest.approx(expected_dof, rel=1e-9)
    assert variance < 0.9 * variances.sum()  # mutant: errors added in quadrature
    assert evidence.log_z_difference(v, replicas, betas, got, 0.4, 0.4)[:2] == (0, 0)
    back = evidence.log_z_difference(v, replicas, betas, got, 0.9, 0.4)
    assert back == pytest.approx((-log_z, variance, dof))


def test_a_difference_above_a_gap_does_not_see_the_gap():
    v, replicas, betas = normal_round(200, 6, seed=9)
    v[:, 0] = -np.inf
    got = evidence.round_evidence(v, replicas, betas)
    assert got.log_z == -np.inf
    log_z, variance, _ = evidence.log_z_difference(v, replicas, betas, got, betas[2], 1.0)
    assert log_z == pytest.approx(got.pair_log_ratios[2:].sum())
    assert 0 < variance < 1
    across = evidence.log_z_difference(v, replicas, betas, got, 0.0, betas[2])
    assert across[:2] == (-np.inf, np.inf)


def test_betas_outside_the_schedule_are_refused():
    v, replicas, betas = normal_round(100, 3, seed=8)
    got = evidence.round_evidence(v, replicas, betas)
    for beta in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"known for beta in \[0, 1\], not at"):
            evidence.log_z_curve(v, replicas, betas, got, [beta])
    with pytest.raises(ValueError, match="pass the v that the round was made from"):
        evidence.log_z_curve(v[1:], replicas[1:], betas, got, [0.5])
