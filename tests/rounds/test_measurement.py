"""What is measured of a round: how well the explorers mixed, and the sums as means."""

import numpy as np
import pytest

from numpygeons import pigeons
from numpygeons._core.evidence import energy_autocorrelation
from support.small_models import half_excluded, normal


class Simulated:
    """A round whose V moves by a known amount in each exploration; swaps are made at random."""

    def __init__(self, keep, n_scans=300, n=5, seed=1):
        rng = np.random.default_rng(seed)
        v = rng.normal(size=n)  # of each replica
        chains = rng.permutation(n)
        self.v, self.replicas = np.empty((n_scans, n)), np.empty((n_scans, n), np.uint32)
        self.pairs = [[] for _ in range(n)]  # V before and after, by chain
        for scan in range(n_scans):
            before = v.copy()
            own = np.broadcast_to(keep, n)[chains]
            v = own * v + np.sqrt(1 - own**2) * rng.normal(size=n)
            for replica, chain in enumerate(chains):
                self.v[scan, chain], self.replicas[scan, chain] = v[replica], replica
                if scan > 0:
                    self.pairs[chain].append((before[replica], v[replica]))
            c = rng.integers(n - 1)
            low, high = np.flatnonzero(chains == c)[0], np.flatnonzero(chains == c + 1)[0]
            chains[low], chains[high] = c + 1, c

    def direct(self):
        with np.errstate(invalid="ignore", divide="ignore"):
            return [np.corrcoef(np.transpose(pairs))[0, 1] for pairs in self.pairs]


@pytest.mark.parametrize("keep", [0.0, 0.7, (0.0, 0.3, 0.6, 0.9, 0.999)], ids=str)
def test_the_energy_autocorrelation_follows_each_replica_over_one_exploration(keep):
    round = Simulated(keep)
    got = energy_autocorrelation(round.v, round.replicas)
    np.testing.assert_allclose(got, round.direct(), rtol=1e-12)
    # A control: following the chain instead of the replica gives something else.
    by_chain = [np.corrcoef(a[:-1], a[1:])[0, 1] for a in round.v.T]
    if np.max(keep) > 0.5:
        assert np.max(np.abs(got - by_chain)) > 0.1


def test_the_energy_autocorrelation_is_near_what_the_explorer_keeps():
    round = Simulated((0.0, 0.3, 0.6, 0.9, 0.99), n_scans=20_000)
    got = energy_autocorrelation(round.v, round.replicas)
    np.testing.assert_allclose(got, (0.0, 0.3, 0.6, 0.9, 0.99), atol=0.05)


def test_scans_with_minus_infinity_before_or_after_are_left_out():
    round = Simulated(0.5)
    rng = np.random.default_rng(2)
    excluded = rng.uniform(size=round.v.shape[0]) < 0.4
    v = round.v.copy()
    v[excluded, 0] = -np.inf
    got = energy_autocorrelation(v, round.replicas)
    by_replica = np.take_along_axis(v, np.argsort(round.replicas, axis=1), axis=1)
    for chain in range(5):
        pairs = []
        for scan in range(1, len(v)):
            before, after = by_replica[scan - 1, round.replicas[scan, chain]], v[scan, chain]
            if np.isfinite(before) and np.isfinite(after):
                pairs.append((before, after))
        assert len(pairs) > 20
        assert got[chain] == pytest.approx(np.corrcoef(np.transpose(pairs))[0, 1], rel=1e-12)


def test_it_is_not_a_number_where_there_is_nothing_to_correlate():
    replicas = np.zeros((10, 1), np.uint32)
    constant = energy_autocorrelation(np.ones((10, 1)), replicas)
    excluded = energy_autocorrelation(np.full((10, 1), -np.inf), replicas)
    short = energy_autocorrelation(np.arange(3.0)[:, None], replicas[:3])
    assert np.all(np.isnan([constant, excluded, short]))
    enough = energy_autocorrelation(np.arange(4.0)[:, None], replicas[:4])
    assert enough[0] == pytest.approx(1)


def test_replicas_must_be_somewhere_once():
    with pytest.raises(ValueError, match="permutation of 0 to 1: replica 1 is there twice"):
        energy_autocorrelation(np.zeros((1, 2)), np.ones((1, 2), np.uint32))
    with pytest.raises(ValueError, match="they must agree"):
        energy_autocorrelation(np.zeros((2, 2)), np.zeros((1, 2), np.uint32))


def test_large_values_with_little_movement_are_correlated_without_loss():
    round = Simulated(0.8)
    moved = energy_autocorrelation(-1e9 + 1e-1 * round.v, round.replicas)
    np.testing.assert_allclose(moved, round.direct(), rtol=1e-4)


def test_a_runs_record_is_measured_from_its_rounds_values():
    pt = pigeons(normal, n_chains=4, n_rounds=9, show_report=False)
    data, record = pt._rounds.state.data, pt.rounds[-1]
    direct = energy_autocorrelation(np.array(data.v), np.array(data.replicas))
    np.testing.assert_array_equal(record.energy_ac1[1:], direct[1:])
    assert np.isnan(record.energy_ac1[0])
    gaps = np.diff(record.schedule) * np.diff(data.v, axis=1)
    acceptance = np.exp(np.minimum(0, -gaps)).mean(axis=0)
    np.testing.assert_allclose(record.swap_acceptance, acceptance, rtol=1e-12)
    means = data.statistic_sums / record.n_scans
    np.testing.assert_allclose(record.explorer_acceptance[1:], means[1:, 0], rtol=1e-14)
    assert record.n_gradients == round(data.statistic_sums[:, 1].sum())
    assert (data.statistic_sums[0] == 0).all()


def test_a_run_counts_the_states_of_likelihood_zero_at_the_reference():
    pt = pigeons(half_excluded, n_chains=4, n_rounds=9, show_report=False)
    v, record = np.array(pt._rounds.state.data.v), pt.rounds[-1]
    assert np.all(np.isfinite(v[:, 1:]))
    assert record.n_zero_likelihood == np.sum(np.isneginf(v[:, 0])) > 150
    first = record.first_zero_likelihood
    assert (first.chain, first.beta) == (0, 0.0)
    assert first.scan == 1 + np.argmax(np.isneginf(v[:, 0]))
