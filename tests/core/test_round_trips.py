"""Holds restarts and round trips to exact sums and to the rate of ideal exploration."""

import numpy as np
import pytest
from scipy import stats

from numpygeons._core.tempering import IndexProcess, RoundTrips, ideal_restart_rate


def run(n_chains, n_scans, acceptance, rng=None, trips=None, process=None):
    """Records, then swaps, as a round does; `rng` None: uniforms of one half."""
    trips = trips or RoundTrips(n_chains)
    process = process or IndexProcess(n_chains)
    alphas = np.full(n_chains - 1, acceptance)
    for scan in range(1, n_scans + 1):
        trips.record(process.chains)
        uniforms = np.full(n_chains - 1, 0.5) if rng is None else rng.random(n_chains - 1)
        process.apply_swaps(scan, alphas, uniforms)
    return trips


def test_a_trip_needs_both_ends_in_turn():
    trips = RoundTrips(3)
    for chains in [[2, 1, 0], [1, 2, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1], [0, 1, 2]]:
        trips.record(chains)
    # Replica 0: target, reference, target, reference; the first target counts for nothing.
    assert trips.restarts.tolist() == [1, 0, 1]
    assert trips.round_trips.tolist() == [1, 0, 0]
    assert (trips.n_restarts, trips.n_round_trips) == (2, 1)


def test_a_stay_at_an_end_counts_once():
    trips = RoundTrips(2)
    for chains in [[0, 1], [0, 1], [1, 0], [1, 0], [0, 1], [0, 1]]:
        trips.record(chains)
    assert trips.restarts.tolist() == [1, 1]
    assert trips.round_trips.tolist() == [1, 0]


@pytest.mark.parametrize("n_chains", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("round", [1, 2, 3, 4, 7, 10])
def test_always_accepting_gives_the_exact_number_of_trips(n_chains, round):
    n_scans = 2**round
    trips = run(n_chains, n_scans, acceptance=1.0)
    # A replica goes around in 2 n_chains scans, n_chains each way, with two scans at each end; so
    # the replicas first meet the reference 0, 2, 4, ... scans into the round.
    left = [max(n_scans - 2 * k, 0) for k in range(n_chains)]
    assert trips.n_round_trips == sum(n // (2 * n_chains) for n in left)
    ways = [max(n_scans - 2 * k + n_chains, 0) for k in range(n_chains)]
    assert trips.n_restarts == sum(n // (2 * n_chains) for n in ways)


def test_never_accepting_gives_no_trips():
    trips = run(4, 100, acceptance=0.0)
    assert (trips.n_restarts, trips.n_round_trips) == (0, 0)


def test_one_chain_makes_no_trips():
    trips = run(1, 100, acceptance=1.0)
    assert (trips.n_restarts, trips.n_round_trips) == (0, 0)


def test_a_new_round_forgets_counts_and_trips_under_way():
    trips = RoundTrips(2)
    trips.record([0, 1])
    trips.start_round()
    trips.record([1, 0])  # would have ended a trip of replica 0
    assert trips.restarts.tolist() == [0, 0]
    trips.record([0, 1])
    assert trips.restarts.tolist() == [0, 1]


@pytest.mark.parametrize(("n_chains", "rejection"), [(3, 0.632), (10, 0.1683), (2, 0.5)])
def test_independent_swaps_restart_at_the_ideal_rate(n_chains, rejection):
    rates = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        trips, process = RoundTrips(n_chains), IndexProcess(n_chains)
        run(n_chains, 200, 1 - rejection, rng, trips, process)  # until every trip has begun
        before = trips.n_restarts
        run(n_chains, 2000, 1 - rejection, rng, trips, process)
        rates.append((trips.n_restarts - before) / 2000)
    ideal = ideal_restart_rate([1 - rejection] * (n_chains - 1))
    assert stats.ttest_1samp(rates, ideal).pvalue > 1e-6
    assert stats.ttest_1samp(rates, ideal * 1.1).pvalue < 1e-6


def test_bad_input_is_an_error():
    with pytest.raises(ValueError, match="n_chains must be at least 1"):
        RoundTrips(0)
    with pytest.raises(ValueError, match="one entry per replica, 3, got 2"):
        RoundTrips(3).record([0, 1])
