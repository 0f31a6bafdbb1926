"""Tests log Z of one round: pairs, all chains, edge cases."""

import numpy as np
import pytest

import support.evidence_oracle as oracle
from numpygeons._core import evidence
from support.evidence_problems import normal_round, shuffled_replicas

SHAPES = [(64, 2), (101, 3), (130, 6), (97, 11), (65, 17)]


def enumerated_two_states():
    """30 scans in which each of three chains visits two states exactly as often as it should.

    The state of V = log 4 has probability 1/2, 2/3, 4/5 at beta 0, 1/2, 1, so Z(1) = 5/2.
    """
    v = np.zeros((30, 3))
    for chain, n_visits in enumerate([15, 20, 24]):
        v[:n_visits, chain] = np.log(4)
    return v, np.array([0, 0.5, 1]), np.log([1, 1.5, 2.5])


def excludes_half_the_reference(n, n_chains, seed):
    """x uniform on (0, 1); V = -inf below 1/2, else -8 (x - 1/2). Drawn exactly, chain by chain."""
    rng = np.random.default_rng(seed)
    betas = np.linspace(0, 1, n_chains) ** 1.5
    u = rng.random((n, n_chains))
    v = np.empty((n, n_chains))
    v[:, 0] = np.where(u[:, 0] < 0.5, -np.inf, -8 * (u[:, 0] - 0.5))
    rates = 8 * betas[1:]
    v[:, 1:] = 8 * np.log1p(-u[:, 1:] * -np.expm1(-rates / 2)) / rates
    return v, shuffled_replicas(rng, n, n_chains), betas, np.log(-np.expm1(-4) / 8)


@pytest.mark.parametrize(("n", "n_chains"), SHAPES)
def test_pairs_agree_with_the_oracle(n, n_chains):
    v, _, betas = normal_round(n, n_chains, seed=n)
    np.testing.assert_allclose(
        evidence.stepping_stone(v, betas), oracle.stepping_stone(v, betas), rtol=1e-12
    )
    ratios, overlaps = evidence.bennett(v, betas)
    expected_ratios, expected_overlaps = oracle.bennett(v, betas)
    np.testing.assert_allclose(ratios, expected_ratios, rtol=1e-12)
    np.testing.assert_allclose(overlaps, expected_overlaps, rtol=1e-7)  # a step of 1e-8 before


@pytest.mark.parametrize(("n", "n_chains"), SHAPES)
@pytest.mark.parametrize("first_weight", [1.0, 3.7])
def test_mbar_agrees_with_the_oracle(n, n_chains, first_weight):
    v, _, betas = normal_round(n, n_chains, seed=n)
    a = np.linspace(first_weight, 1.3, n_chains)
    start = -np.linspace(0, -7, n_chains)
    f, psi = evidence.mbar(v, betas, start, a, 3)
    expected_f, expected_psi = oracle.mbar(v, betas, start, a, 3)
    np.testing.assert_allclose(f, expected_f, atol=1e-11)
    np.testing.assert_allclose(psi, expected_psi, atol=1e-9)


@pytest.mark.parametrize(("n", "n_chains"), SHAPES)
@pytest.mark.parametrize("iid", [True, False])
def test_a_round_agrees_with_the_oracle(n, n_chains, iid):
    v, replicas, betas = normal_round(n, n_chains, seed=n + 1)
    got = evidence.round_evidence(v, replicas, betas, reference_is_iid=iid)
    expected = oracle.round_evidence(v, replicas, betas, iid=iid)
    assert got.method == "mbar"
    errors = [got.variance, got.dof, got.effective_tours, got.sqrt_ratio]
    np.testing.assert_allclose(errors, expected[1:], rtol=oracle.IN_VARIANCE)
    assert got.log_z == pytest.approx(expected[0], abs=oracle.IN_F)
    f, a = oracle.fit(v, betas, iid=iid)
    np.testing.assert_allclose(got.log_z_by_chain, -f, atol=oracle.IN_F)
    assert got.reference_weight == pytest.approx(a[0], rel=1e-7)


def test_the_last_scans_of_a_long_round_weigh_the_reference():
    v, replicas, betas = normal_round(5000, 5, seed=6)
    v[:904] = np.repeat(v[:113], 8, axis=0)  # with much more memory
    got = evidence.round_evidence(v, replicas, betas)
    _, whole = oracle.fit(v, betas)
    _, last = oracle.fit(v[904:], betas)
    assert got.reference_weight == pytest.approx(last[0], rel=0.01)  # from other Bennett's ratios
    assert whole[0] > 1.2 * last[0] > 1.2
    f = oracle.fit_with(v, betas, got.reference_weight)
    assert got.log_z == pytest.approx(-f[-1], abs=oracle.IN_F)


def test_an_iid_reference_is_assumed_only_at_beta_zero():
    v, replicas, betas = normal_round(256, 5, seed=3)
    for schedule, iid in [(betas, True), (np.r_[0.01, betas[1:]], False)]:
        default = evidence.round_evidence(v, replicas, schedule)
        explicit = evidence.round_evidence(v, replicas, schedule, reference_is_iid=iid)
        other = evidence.round_evidence(v, replicas, schedule, reference_is_iid=not iid)
        assert default.log_z == explicit.log_z != other.log_z


def test_mbar_is_exact_on_enumerated_states():
    v, betas, log_z = enumerated_two_states()
    a = np.array([3.0, 1.0, 2.0])
    f, _ = evidence.mbar(v, betas, np.zeros(3), a, 30)
    np.testing.assert_allclose(-f, log_z, atol=1e-12)


def test_mbar_without_the_weights_in_its_sums_is_caught():
    v, betas, log_z = enumerated_two_states()
    a = np.array([3.0, 1.0, 2.0])
    f = np.zeros(3)
    for _ in range(30):
        h, _ = oracle.hessian_and_sums(v, betas, f, a)
        sums = oracle.memberships(v, betas, f, a).sum(1)  # a_i is missing
        f[1:] -= np.linalg.solve(h[1:, 1:], (sums.mean(0) - a)[1:])
    assert np.abs(-f - log_z).max() > 0.05


def test_a_target_that_excludes_half_the_reference_is_estimated_without_bias():
    v, replicas, betas, truth = excludes_half_the_reference(4096, 6, seed=1)
    got = evidence.round_evidence(v, replicas, betas)
    assert abs(got.log_z - truth) < 4 * np.sqrt(got.variance)
    mutant = np.mean([x.sum() for x in evidence.stepping_stone(v, betas)])
    assert mutant - truth == pytest.approx(np.log(2) / 2, abs=0.05)
    assert abs(mutant - truth) > 4 * np.sqrt(got.variance)


@pytest.mark.parametrize("stand_in", [-1e300, -1e14, np.nan])
def test_minus_infinity_gives_the_bits_of_any_number_low_enough(stand_in):
    v, replicas, betas, _ = excludes_half_the_reference(128, 5, seed=2)
    low = np.where(np.isneginf(v), stand_in, v)
    left, right = (evidence.round_evidence(x, replicas, betas) for x in (v, low))
    assert left.log_z == right.log_z
    assert left.variance == right.variance


@pytest.mark.parametrize("constant", [37.25, -1000.0])
def test_a_constant_added_to_v_moves_log_z_by_itself(constant):
    v, replicas, betas = normal_round(512, 7, seed=4)
    before = evidence.round_evidence(v, replicas, betas)
    after = evidence.round_evidence(v + constant, replicas, betas)
    assert after.log_z - before.log_z == pytest.approx(constant, abs=1e-9)
    assert after.variance == pytest.approx(before.variance, rel=1e-9)


def test_relabelled_replicas_change_no_bit():
    v, replicas, betas = normal_round(512, 7, seed=5)
    labels = np.random.default_rng(5).permutation(7)
    before = evidence.round_evidence(v, replicas, betas)
    after = evidence.round_evidence(v, labels[replicas], betas)
    for name in ("log_z", "variance", "series_variance", "tour_variance", "effective_tours"):
        assert getattr(before, name) == getattr(after, name)
    mutant = evidence.round_evidence(v, np.sort(replicas, axis=1), betas)
    assert mutant.log_z == before.log_z
    assert mutant.tour_variance != before.tour_variance


def test_the_same_round_gives_the_same_bits_in_any_layout():
    v, replicas, betas = normal_round(300, 6, seed=6)
    one = evidence.round_evidence(v, replicas, betas)
    other = evidence.round_evidence(np.asfortranarray(v), replicas.astype(np.int64), list(betas))
    assert np.array_equal(one.log_z_by_chain, other.log_z_by_chain)
    assert one.variance == other.variance


def test_a_constant_v_is_exact_and_without_error():
    n, n_chains = 200, 4
    replicas = np.array([np.roll(np.arange(n_chains), s) for s in range(n)])
    betas = np.linspace(0, 1, n_chains)
    got = evidence.round_evidence(np.full((n, n_chains), -3.1), replicas, betas)
    assert got.log_z == pytest.approx(-3.1, abs=1e-12)
    assert got.variance == 0
    assert got.sqrt_ratio == got.reference_weight == 1
    np.testing.assert_allclose(got.overlaps, 0.5, atol=1e-12)
    assert not got.flagged


def test_one_chain_has_no_evidence():
    got = evidence.round_evidence(np.zeros((100, 1)), np.zeros((100, 1), int), [1.0])
    assert np.isnan(got.log_z)
    assert np.isnan(got.variance)
    assert got.method == "none"
    assert not got.flagged
    log_z, variance, _ = evidence.log_z_curve(
        np.zeros((100, 1)), np.zeros((100, 1), int), [1.0], got, [1.0]
    )
    assert np.isnan(log_z[0])
    assert np.isnan(variance[0])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 63])
@pytest.mark.parametrize("n_chains", [2, 5])
def test_short_rounds_give_a_number_without_an_error(n, n_chains):
    v, replicas, betas = normal_round(n, n_chains, seed=n)
    got = evidence.round_evidence(v, replicas, betas)
    assert np.isfinite(got.log_z)
    assert not np.isfinite(got.variance)
    assert got.dof >= 1
    assert "short" in [flag.name for flag in got.flags]


def test_chains_that_do_not_overlap_have_an_infinite_error():
    rng = np.random.default_rng(7)
    v = np.column_stack([-1000 + rng.random(200), rng.random(200), rng.random(200)])
    replicas = shuffled_replicas(rng, 200, 3)
    betas = np.array([0, 0.5, 1])
    got = evidence.round_evidence(v, replicas, betas)
    forward, backward = evidence.stepping_stone(v, betas)
    assert got.pair_log_ratios[0] == pytest.approx((forward[0] + backward[0]) / 2)
    assert got.variance == np.inf
    assert [flag.name for flag in got.flags] == ["no overlap"]
    reason = got.flags[0].reason
    assert "chains 0 and 1" in reason
    assert f"between {forward[0]:.4g} and {backward[0]:.4g}" in reason
    curve, variance, _ = evidence.log_z_curve(v, replicas, betas, got, [0, 0.25, 0.5, 0.75, 1])
    assert np.all(np.isfinite(curve))
    assert curve[-1] == got.log_z
    assert variance.tolist() == [0, np.inf, np.inf, np.inf, np.inf]


@pytest.mark.parametrize("seed", range(8))
def test_chains_that_barely_overlap_are_solved_to_the_end(seed):
    rng = np.random.default_rng(seed)
    v = 100 * rng.standard_normal((128, 5))  # wide, and blind to beta
    replicas = shuffled_replicas(rng, 128, 5)
    betas = np.linspace(0, 1, 5)
    got = evidence.round_evidence(v, replicas, betas)
    if got.method == "mbar":
        a = np.r_[got.reference_weight, np.ones(4)]
        _, sums = oracle.hessian_and_sums(v, betas, -got.log_z_by_chain, a)
        np.testing.assert_allclose(sums.mean(0), a, atol=1e-9)
    assert np.isfinite(got.log_z)
    assert got.variance > 0


def test_a_reference_that_never_meets_the_target_gives_minus_infinity():
    v, replicas, betas = normal_round(100, 4, seed=8)
    v[:, 0] = -np.inf
    got = evidence.round_evidence(v, replicas, betas)
    assert got.log_z == -np.inf
    assert got.variance == np.inf
    assert got.overlaps[0] == 0
    assert got.log_z_by_chain.tolist() == [0, -np.inf, -np.inf, -np.inf]
    assert "between -inf and" in got.flags[0].reason
    curve, variance, _ = evidence.log_z_curve(v, replicas, betas, got, [0, 0.01, 0.7, 1])
    assert curve.tolist() == [0, -np.inf, -np.inf, -np.inf]
    assert variance.tolist() == [0, np.inf, np.inf, np.inf]


def test_above_the_budget_pairs_take_over():
    v, replicas, betas = normal_round(400, 6, seed=9)
    got = evidence.round_evidence(v, replicas, betas, exponential_budget=400 * 36 - 1)
    within = evidence.round_evidence(v, replicas, betas, exponential_budget=400 * 36)
    assert (got.method, within.method) == ("bennett", "mbar")
    c, _ = oracle.bennett(v, betas)
    psi = np.zeros_like(v)
    for i, delta in enumerate(np.diff(betas)):
        p = 1 / (1 + np.exp(c[i] - delta * v[:, i]))
        q = 1 / (1 + np.exp(delta * v[:, i + 1] - c[i]))
        psi[:, i] += p / p.mean() - 1
        psi[:, i + 1] -= q / q.mean() - 1
    variance, dof, tours, ratio = oracle.error(psi, replicas)
    np.testing.assert_allclose(
        [got.log_z, got.variance, got.dof, got.effective_tours, got.sqrt_ratio],
        [c.sum(), variance, dof, tours, ratio],
        rtol=1e-9,
    )


def test_so_many_chains_that_mbar_would_cost_more_than_they_do_are_taken_in_pairs():
    rng, truth = np.random.default_rng(12), 3 * (-1.6 - np.log(5) / 2)
    found = []
    for n_chains in (50, 51):
        betas = np.linspace(0, 1, n_chains) ** 2
        precision = 1 + 4 * betas
        x = 8 * betas / precision + rng.normal(size=(200, 3, n_chains)) / np.sqrt(precision)
        v, replicas = -2 * ((x - 2) ** 2).sum(1), shuffled_replicas(rng, 200, n_chains)
        found.append(evidence.round_evidence(v, replicas, betas))
    assert [one.method for one in found] == ["mbar", "bennett"]
    few, many = (np.sqrt(one.variance) for one in found)
    assert many < 1.3 * few
    for one in found:
        assert abs(one.log_z - truth) < 5.5 * np.sqrt(one.variance)


def test_two_chains_need_only_bennett():
    v, replicas, betas = normal_round(300, 2, seed=10)
    mbar = evidence.round_evidence(v, replicas, betas, reference_is_iid=False)
    pairs = evidence.round_evidence(v, replicas, betas, exponential_budget=0)
    assert mbar.log_z == pytest.approx(pairs.log_z, abs=1e-12)
    f, _ = oracle.mbar(v, betas, [0, 0], np.ones(2), 20)
    assert mbar.log_z == pytest.approx(-f[1], abs=1e-12)


def test_restarts_are_trips_from_the_first_chain_to_the_last():
    # Replica 0 goes up and down twice, replica 1 makes one trip, replica 2 never reaches the top.
    rows = [[0, 1, 2], [1, 0, 2], [1, 2, 0], [1, 0, 2], [0, 1, 2], [0, 2, 1], [2, 0, 1], [2, 1, 0]]
    got = evidence.round_evidence(np.zeros((8, 3)), rows, [0, 0.5, 1])
    assert got.n_restarts == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"betas": [0, 0.5, 0.5]}, r"betas\[2\] = 0.5 does not exceed betas\[1\] = 0.5"),
        ({"betas": [0, 0.5, 0.9]}, r"must end at 1"),
        ({"betas": [-0.1, 0.5, 1]}, r"betas\[0\] = -0.1 is not in"),
        ({"betas": [0, np.nan, 1]}, r"betas\[1\] = nan"),
        ({"betas": [0, 1]}, r"v has 3 chains, betas 2"),
        ({"v": np.zeros((0, 3))}, r"no scans"),
        ({"v": np.zeros(3)}, r"v has 1 dimensions"),
        ({"v": np.array([[0, 0, 0], [0, np.inf, 0]])}, r"\+inf at scan 1, chain 1, beta 0.5"),
        ({"replicas": np.array([[0, 1, 2], [0, 1, 1]])}, r"replicas\[1\].*1 is there twice"),
        ({"replicas": np.array([[0, 1, 2], [0, 1, 3]])}, r"replica 3 does not exist"),
        ({"replicas": np.array([[0, 1, 2]])}, r"they must agree"),
    ],
)
def test_bad_input_is_refused_with_its_place(change, message):
    good = {
        "v": np.zeros((2, 3)),
        "replicas": np.array([[0, 1, 2], [0, 2, 1]]),
        "betas": [0, 0.5, 1],
    }
    evidence.round_evidence(**good)
    with pytest.raises(ValueError, match=message):
        evidence.round_evidence(**(good | change))
