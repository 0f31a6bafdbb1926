"""Holds the core's draws from mixtures to SciPy's densities, and their keys to the chain."""

import numpy as np
import pytest
from scipy import stats

from numpygeons import _core

LEAST_P = 1e-6
N_CHAINS, K, D = 3, 9, 3  # more components than a block of the vectorised loops
RNG = np.random.default_rng(4)
LOG_WEIGHTS = np.log(RNG.dirichlet(np.ones(K), N_CHAINS)) + 1.5  # no norm
MEANS = 2 * RNG.normal(size=(N_CHAINS, K, D))
FACTORS = np.tril(0.5 * RNG.normal(size=(N_CHAINS, K, D, D)), -1)
FACTORS += RNG.uniform(0.5, 1.5, size=(N_CHAINS, K, D))[..., None] * np.eye(D)
COUNTS = np.array([0, 2, 5], np.int32)


def table(**changes):
    settings = {
        "log_weights": LOG_WEIGHTS,
        "means": MEANS,
        "factors": FACTORS,
        "counts": COUNTS,
        "n_most": 5,
    }
    return _core.tuning.Proposals(**(settings | changes))


@pytest.fixture(scope="module")
def draws():
    """(x, logs, components) of chain 2, in scan order."""
    rows = [table().draw(seed=1, round=2, scan=scan, chain=2) for scan in range(1, 6001)]
    return tuple(np.concatenate(part) for part in zip(*rows, strict=True))


def parts_at(x, chain):
    """Log of weight times density of every component, the constant of the normal left out."""
    constant = 0.5 * D * np.log(2 * np.pi)
    return np.stack(
        [
            w + constant + stats.multivariate_normal(m, f @ f.T).logpdf(x)
            for w, m, f in zip(LOG_WEIGHTS[chain], MEANS[chain], FACTORS[chain], strict=True)
        ],
        axis=1,
    )


def test_draws_follow_their_mixture(draws):
    x = draws[0]
    weights = np.exp(LOG_WEIGHTS[2] - 1.5)
    for j in range(D):
        deviations = np.sqrt(np.sum(FACTORS[2, :, j] ** 2, axis=1))

        def cdf(t, j=j, deviations=deviations):
            z = (np.asarray(t)[..., None] - MEANS[2, :, j]) / deviations
            return stats.norm.cdf(z) @ weights

        assert stats.kstest(x[:, j], cdf).pvalue > LEAST_P
    direction = np.array([0.5, -1.0, 0.7])  # sees what coordinates together do
    deviations = np.sqrt(np.sum((direction @ FACTORS[2]) ** 2, axis=1))
    cdf = lambda t: stats.norm.cdf((t[:, None] - MEANS[2] @ direction) / deviations) @ weights  # noqa: E731
    assert stats.kstest(x @ direction, cdf).pvalue > LEAST_P


def test_logs_are_those_of_the_density_and_of_the_share(draws):
    x, logs, components = draws
    parts = parts_at(x, 2)
    total = np.logaddexp.reduce(parts, axis=1)
    np.testing.assert_allclose(logs[:, 0], total, rtol=1e-12, atol=1e-12)
    own = parts[np.arange(len(x)), components]
    np.testing.assert_allclose(logs[:, 1], own - total, rtol=1e-10, atol=1e-10)


def test_uniforms_decide_apart_from_all_else(draws):
    x, logs, components = draws
    uniforms = np.exp(logs[:, 2])
    assert stats.kstest(uniforms, "uniform").pvalue > LEAST_P
    assert stats.pearsonr(uniforms[1:], uniforms[:-1]).pvalue > LEAST_P
    for other in (*x.T, logs[:, 1], components):
        assert stats.spearmanr(uniforms, other).pvalue > LEAST_P


def test_regions_are_drawn_anew_with_their_share(draws):
    x, _, components = draws
    shares = np.exp(parts_at(x, 2))
    shares /= shares.sum(axis=1, keepdims=True)
    for k in range(K):
        picked = components == k
        deviation = np.sqrt(np.sum(shares[:, k] * (1 - shares[:, k])))
        z = (picked.sum() - shares[:, k].sum()) / deviation
        assert 2 * stats.norm.sf(abs(z)) > LEAST_P
        # Given x, not only on the whole: weighted by the share itself.
        z = np.sum(shares[:, k] * (picked - shares[:, k]))
        z /= np.sqrt(np.sum(shares[:, k] ** 3 * (1 - shares[:, k])))
        assert 2 * stats.norm.sf(abs(z)) > LEAST_P


def test_draws_belong_to_seed_round_scan_and_chain():
    def x(seed=1, round=2, scan=3, chain=2):
        return table().draw(seed=seed, round=round, scan=scan, chain=chain)[0]

    np.testing.assert_array_equal(x(), x())
    for other in ({"seed": 2}, {"round": 3}, {"scan": 4}):
        assert np.all(x(**other) != x())
    assert np.all(x(chain=1)[:2] != x()[:2])
    # How many are asked for does not change the first ones.
    more = table(counts=[0, 5, 5]).draw(seed=1, round=2, scan=3, chain=1)[0]
    np.testing.assert_array_equal(more[:2], x(chain=1)[:2])


def test_rows_beyond_the_count_are_zero():
    for chain, count in enumerate(COUNTS):
        for part in table().draw(seed=1, round=1, scan=1, chain=chain):
            assert np.all(part[count:] == 0)
            assert count == 0 or np.any(part[:count] != 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": [0, 6, 1]}, "between 0 and 5 proposals: got 6"),
        ({"counts": [0, -1, 1]}, "between 0 and 5 proposals: got -1"),
        ({"counts": [1]}, "counts must hold 3 numbers: got 1"),
        ({"log_weights": LOG_WEIGHTS[:, 1:]}, "log_weights must hold 27 numbers: got 24"),
        ({"factors": -FACTORS}, "must have a positive diagonal"),
        ({"means": MEANS[0]}, "means must have shape"),
    ],
)
def test_tables_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        table(**changes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_coordinator_hands_each_replica_the_proposals_of_its_chain(dtype):
    coordinator = _core.engine.Coordinator(
        seed=1,
        n_chains=N_CHAINS,
        dimension=D,
        n_normals=1,
        n_uniforms=1,
        n_statistics=1,
        n_proposals=10,
        records_moments=False,
    )
    with pytest.raises(ValueError, match="asked for 10 proposals: got tables for 5"):
        coordinator.set_proposals([table()])
    coordinator.set_proposals([table(), table(counts=[1, 1, 1])])
    coordinator.chains = np.array([2, 0, 1], np.uint32)
    coordinator.begin_round(
        round=2,
        n_scans=4,
        betas=[0.0, 0.5, 1.0],
        centre=[],
        scale=[],
        real_bytes=np.dtype(dtype).itemsize,
        most_draws=4,
    )
    *_, x, logs, components = coordinator.prepare(0, dtype)
    for replica, chain in enumerate([2, 0, 1]):
        wanted = table().draw(seed=1, round=2, scan=1, chain=chain)
        np.testing.assert_array_equal(x[replica, :5], wanted[0].astype(dtype))
        np.testing.assert_array_equal(components[replica, :5], wanted[2])
        rtol = 1e-14 if dtype == np.float64 else 1e-5  # of x as rounded
        np.testing.assert_allclose(logs[replica, :5], wanted[1], rtol=rtol, atol=rtol)
        second = x[replica, 5:]  # of the other table: numbers of its own
        assert np.all(second[1:] == 0)
        assert not np.any(np.isin(second[0], x[replica, :5]))
    assert x.dtype == dtype
