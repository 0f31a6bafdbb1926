"""Tests, through the coordinator, moments whose bits do not depend on the order of the visits."""

import numpy as np
import pytest

from numpygeons._core.engine import Coordinator


def moments(x, centre=0.0, scale=1.0, dtype=np.float64):
    """Count, mean and sum of squared deviations of the rows of x, as one chain visits them.

    `x` has shape (n_scans, n_replicas, dimension); the chains do not swap, so chain c is visited
    by replica c.
    """
    x = np.asarray(x, dtype)
    n_scans, n, dimension = x.shape
    coordinator = Coordinator(
        seed=1, n_chains=n, dimension=dimension, n_normals=0, n_uniforms=0, n_statistics=0
    )
    ones = np.ones((n, dimension))
    coordinator.begin_round(
        round=1,
        n_scans=n_scans,
        betas=np.linspace(0, 1, n) if n > 1 else [1.0],
        centre=centre * ones,
        scale=scale * ones,
        real_bytes=np.dtype(dtype).itemsize,
        most_draws=n_scans,
    )

    def explore(scan, given):
        n_rows = len(given.chains)  # a single chain has an idle row besides
        states = np.resize(x[scan], (n_rows, dimension))
        hostile = 1e9 * given.chains.astype(dtype)
        return states, np.zeros(n_rows, dtype), hostile, np.zeros((n_rows, 0), dtype)

    coordinator.run_scans(0, explore, dtype)
    data = coordinator.end_round()
    assert np.all(data.replicas == np.arange(n))
    return data.counts, data.means, data.squared_deviations


def assert_same_bits(a, b):
    for one, other in zip(a, b, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_t(3, size=(500, 1, 4)) * [1e-3, 1, 1, 30]


def test_the_order_of_the_visits_does_not_change_a_bit(x):
    one = moments(x)
    for seed in range(5):
        assert_same_bits(one, moments(np.random.default_rng(seed).permutation(x)))
    # A control: sums of floating-point numbers do change.
    sums = {np.cumsum(np.random.default_rng(s).permutation(x)[:, 0, 3])[-1] for s in range(20)}
    assert len(sums) > 1


def test_it_does_not_matter_which_replica_visits(x):
    """Two runs whose replicas do one another's work: V decides the same, chain by chain."""
    rng = np.random.default_rng(2)
    n_scans, n = 64, 4
    by_chain = rng.normal(size=(n_scans, n, 3))
    v = rng.normal(size=(n_scans, n))
    results = []
    for start in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]):
        coordinator = Coordinator(
            seed=5, n_chains=n, dimension=3, n_normals=0, n_uniforms=0, n_statistics=0
        )
        coordinator.chains = start
        coordinator.begin_round(
            round=3,
            n_scans=n_scans,
            betas=[0, 0.2, 0.5, 1],
            centre=np.zeros((n, 3)),
            scale=np.ones((n, 3)),
            real_bytes=8,
            most_draws=n_scans,
        )

        def explore(scan, given):
            at = scan, given.chains
            return by_chain[at], np.zeros(n), v[at], np.zeros((n, 0))

        coordinator.run_scans(0, explore, np.float64)
        data = coordinator.end_round()
        results.append((data.counts, data.means, data.squared_deviations, data.v))
        np.testing.assert_array_equal(data.v, v)
    for other in results[1:]:
        assert_same_bits(results[0], other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_are_those_of_numpy(x, dtype):
    rounded = x.astype(dtype).astype(np.float64)[:, 0]
    for centre, scale in ((0.0, 1.0), (3.0, 0.25), (-200.0, 40.0)):
        counts, means, squared = moments(x, centre, scale, dtype)
        assert counts.tolist() == [500]
        step = scale / 2**32  # every visit is rounded to a multiple of it
        np.testing.assert_allclose(means[0], rounded.mean(axis=0), atol=2 * step)
        deviations = np.sum((rounded - rounded.mean(axis=0)) ** 2, axis=0)
        slack = 4 * step * np.abs(rounded - rounded.mean(axis=0)).sum(axis=0)
        assert np.all(np.abs(squared[0] - deviations) <= slack + 1e-12 * deviations)


@pytest.mark.parametrize("distance", [1e3, 1e5, -1e6])
def test_values_far_from_the_centre_keep_their_variance(distance):
    """Where sums of squares in floating point would lose it."""
    x = distance + np.random.default_rng(3).normal(size=(400, 1, 2)) * 1e-3
    _, means, squared = moments(x)
    np.testing.assert_allclose(means[0], x[:, 0].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(squared[0] / 400, x[:, 0].var(axis=0), rtol=1e-5)
    naive = np.mean(x[:, 0] ** 2, axis=0) - np.mean(x[:, 0], axis=0) ** 2
    assert np.any(abs(naive / x[:, 0].var(axis=0) - 1) > 1e-5)


def test_values_beyond_two_to_the_twenty_units_are_clamped():
    x = np.array([1e300, -1e300, 3.0, 2.0**21])[:, None, None]
    limit = 2.0**20 * 0.5
    clamped = np.array([limit, -limit, 3.0 - 1.0, limit])
    _, means, squared = moments(x, centre=1.0, scale=0.5)
    assert means[0, 0] == pytest.approx(1 + clamped.mean(), rel=1e-14)
    assert squared[0, 0] == pytest.approx(4 * clamped.var(), rel=1e-14)


def test_a_coordinate_that_stays_has_no_deviation():
    for value in (0.1, 1 / 3, -7e5, 2.0**19 + 0.1):
        _, means, squared = moments(np.full((37, 1, 1), value))
        assert squared[0, 0] == 0
        assert means[0, 0] == pytest.approx(value, abs=2.0**-31)


def test_sums_do_not_overflow_at_the_limit():
    n = 4096
    x = np.where(np.arange(n) % 2, 1, -1)[:, None, None] * 2.0**20
    _, means, squared = moments(x)
    assert means[0, 0] == 0
    assert squared[0, 0] == n * 2.0**40


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_positive_and_finite_is_an_error(bad):
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        moments(np.zeros((2, 1, 1)), scale=bad)
    with pytest.raises(ValueError, match="centre finite: coordinate 0"):
        moments(np.zeros((2, 1, 1)), centre=np.inf)
