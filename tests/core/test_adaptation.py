"""Tests the rules that tune each chain: steps, scales, and their move to a new schedule."""

import numpy as np
import pytest
from scipy import stats

from numpygeons._core.tuning import carry_over, neighbour_variances, tuned_steps

PRIOR_VISITS = 10


def spread(acceptance):
    """Standard deviation of a normal energy error that is accepted so often."""
    return -2 * stats.norm.ppf(0.5 * acceptance)


@pytest.mark.parametrize("target", [0.6, 0.8, 0.95])
def test_a_step_moves_to_where_a_normal_energy_error_is_accepted_as_wanted(target):
    """Energy errors grow as the square of the step: one update finds the target."""
    constant = 0.9
    steps = np.array([0.5, 0.8, 1.0, 1.3])
    acceptance = 2 * stats.norm.cdf(-0.5 * constant * steps**2)
    tuned = tuned_steps(steps, acceptance, target, 10**9)
    np.testing.assert_allclose(tuned, np.sqrt(spread(target) / constant), rtol=1e-9)
    np.testing.assert_allclose(2 * stats.norm.cdf(-0.5 * constant * tuned**2), target, rtol=1e-9)


def test_an_accepted_energy_error_is_normal_with_its_mean():
    """The formula behind the rule: E min(1, e^d) for d ~ N(-s^2/2, s^2) is 2 Phi(-s/2)."""
    for s in (0.1, 1.0, 3.0):
        d = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000, -(s**2) / 2, s)
        mean = np.minimum(1, np.exp(d)).mean()
        assert spread(mean) == pytest.approx(s, rel=1e-4)


def test_a_step_keeps_its_limits():
    tuned = tuned_steps([1e-3, 1e-3, 2.0, 1.0], [1.0, 0.0, 1.0, 0.0], 0.8, 10**6)
    np.testing.assert_allclose(tuned, [3e-3, 1e-3 * tuned[3], 4.0, tuned[3]], rtol=1e-12)
    assert 0.1 <= tuned[3] < 0.3
    assert tuned_steps([1.0], [1e-300], 0.8, 2**62)[0] >= 0.1


def test_a_short_round_cannot_say_that_everything_or_nothing_was_accepted():
    edge = 1 / (2 * 4 + 2)
    certain = tuned_steps([0.1, 0.1], [1.0, 0.0], 0.8, 4)
    clipped = tuned_steps([0.1, 0.1], [1 - edge, edge], 0.8, 4)
    np.testing.assert_array_equal(certain, clipped)
    assert 0.1 < certain[0] < 0.3


def test_a_chain_that_measured_nothing_keeps_its_step():
    assert tuned_steps([0.3, 9.0], [np.nan, np.nan], 0.8, 100).tolist() == [0.3, 9.0]
    with pytest.raises(ValueError, match="steps and acceptance must have one length: got 2 and 1"):
        tuned_steps([0.1, 0.2], [0.5], 0.8, 10)


@pytest.fixture
def visits():
    """Visits of five chains with different means, and of different number."""
    rng = np.random.default_rng(4)
    sizes = [40, 30, 100, 5, 64]
    return [rng.normal(size=(n, 3)) * [1, 5, 0.1] + 3 * c for c, n in enumerate(sizes)]


def summarised(visits):
    counts = [float(len(x)) for x in visits]
    means = np.array([x.mean(axis=0) for x in visits])
    squared = np.array([((x - x.mean(axis=0)) ** 2).sum(axis=0) for x in visits])
    return counts, means, squared


def expected_variances(old, visits, skip_first, prior=PRIOR_VISITS):
    result = np.array(old, float)
    first = int(skip_first)
    for c in range(first, len(visits)):
        pool = np.concatenate(visits[max(c - 1, first) : c + 2])
        weight = len(pool) / (len(pool) + prior)
        result[c] = weight * pool.var(axis=0) + (1 - weight) * result[c]
    return result


@pytest.mark.parametrize("skip_first", [True, False])
def test_variances_are_those_of_the_visits_to_a_chain_and_its_neighbours(visits, skip_first):
    old = np.random.default_rng(5).uniform(1, 2, size=(5, 3))
    got = neighbour_variances(old, *summarised(visits), PRIOR_VISITS, skip_first)
    np.testing.assert_allclose(got, expected_variances(old, visits, skip_first), rtol=1e-12)
    if skip_first:
        np.testing.assert_array_equal(got[0], old[0])


def test_variances_hold_the_term_between_the_groups(visits):
    """A control: the weighted mean of the groups' variances is far off."""
    counts, means, squared = summarised(visits)
    old = np.ones((5, 3))
    got = neighbour_variances(old, counts, means, squared, 0, False)
    for c in range(5):
        group = slice(max(c - 1, 0), c + 2)
        shares = np.array(counts[group]) / np.sum(counts[group])
        mutant = shares @ (squared[group] / np.array(counts[group])[:, None])
        assert np.all(got[c, [0, 2]] > 1.5 * mutant[[0, 2]])


def test_chains_without_visits_and_coordinates_without_movement_keep_their_variance():
    old = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    empty = np.zeros((3, 2))
    nothing = neighbour_variances(old, [0.0] * 3, empty, empty, PRIOR_VISITS, False)
    np.testing.assert_array_equal(nothing, old)
    still = neighbour_variances(
        old, [8.0] * 3, np.full((3, 2), 7.0), [[4.0, 0.0]] * 3, PRIOR_VISITS, False
    )
    np.testing.assert_array_equal(still[:, 1], old[:, 1])
    assert np.all(still[:, 0] < old[:, 0])
    alone = neighbour_variances(
        old, [0.0, 16.0, 0.0], empty, [[0.0, 0.0], [32.0, 0.0], [0.0, 0.0]], 16, True
    )
    np.testing.assert_allclose(alone[:, 0], [1.0, 2.5, 3.5])


def test_one_chain_pools_its_own_visits():
    got = neighbour_variances([[1.0]], [30.0], [[5.0]], [[60.0]], PRIOR_VISITS, False)
    assert got[0, 0] == pytest.approx(0.75 * 2 + 0.25)


def test_visits_of_the_wrong_shape_are_errors():
    ones = np.ones((2, 2))
    with pytest.raises(ValueError, match="must have the shape of old"):
        neighbour_variances(ones, [1.0, 1.0], ones[:1], ones, PRIOR_VISITS, False)
    with pytest.raises(ValueError, match="must have the shape of old"):
        neighbour_variances(ones, [1.0, 1.0], ones, ones[:1], PRIOR_VISITS, False)
    with pytest.raises(ValueError, match="old must have one row per chain: got 4 numbers for 3"):
        neighbour_variances(ones, [1.0] * 3, ones, ones, PRIOR_VISITS, False)


BETAS = np.array([0.0, 1e-4, 1e-2, 0.3, 1.0])
VALUES = np.random.default_rng(6).normal(size=(5, 3))


def test_carrying_over_to_the_same_schedule_changes_nothing():
    np.testing.assert_array_equal(carry_over(BETAS, VALUES, BETAS), VALUES)


def test_carrying_over_is_linear_in_the_logarithm_of_beta():
    new = np.array([0.0, 5e-4, 2e-3, 0.5, 1.0])
    got = carry_over(BETAS, VALUES, new)
    for k in range(3):
        exact = np.interp(np.log(new[1:]), np.log(BETAS[1:]), VALUES[1:, k])
        np.testing.assert_allclose(got[1:, k], exact, rtol=1e-13)
    slope, offset = np.array([1.0, -2.0, 0.5]), np.array([0.0, 3.0, 1.0])
    lines = np.log(np.maximum(BETAS, 1e-300))[:, None] * slope + offset
    np.testing.assert_allclose(
        carry_over(BETAS, lines, new)[1:], np.log(new[1:])[:, None] * slope + offset, rtol=1e-12
    )


def test_the_row_of_the_reference_is_its_own_and_goes_to_nobody_else():
    new = np.array([0.0, 1e-9, 1e-4, 0.5, 1.0])
    got = carry_over(BETAS, VALUES, new)
    np.testing.assert_array_equal(got[0], VALUES[0])
    np.testing.assert_array_equal(got[1], VALUES[1])  # below the first beta: constant
    marked = VALUES.copy()
    marked[0] = 1e9
    np.testing.assert_array_equal(carry_over(BETAS, marked, new)[1:], got[1:])


def test_a_schedule_that_begins_above_0_is_interpolated_from_its_first_beta():
    betas, new = np.array([0.1, 0.4, 1.0]), np.array([0.05, 0.2, 1.0])
    got = carry_over(betas, [[1.0], [2.0], [3.0]], new)
    np.testing.assert_allclose(got[:, 0], [1.0, 1.5, 3.0], rtol=1e-13)


@pytest.mark.parametrize("betas", [[1.0], [0.0, 1.0]])
def test_the_fewest_chains_carry_their_rows_over(betas):
    values = np.arange(2.0 * len(betas)).reshape(-1, 2)
    np.testing.assert_array_equal(carry_over(betas, values, betas), values)


def test_values_without_a_row_per_chain_are_an_error():
    with pytest.raises(ValueError, match="values must have one row per beta, 3: got 2"):
        carry_over([0.0, 0.5, 1.0], np.ones((2, 2)), [0.0, 0.4, 1.0])
