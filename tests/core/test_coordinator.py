"""Tests the coordinator: it records, swaps and deals out randomness between explorations."""

import itertools

import numpy as np
import pytest

from numpygeons._core.engine import Coordinator
from numpygeons._core.random import Purpose, normals, normals_float32, swap_uniform, uniforms
from numpygeons._core.tempering import deo_partner
from numpygeons.errors import NumericalError

SEED, DIMENSION = 7, 3
INF = np.inf


def make(n_chains, n_statistics=2, **settings):
    return Coordinator(
        seed=SEED,
        n_chains=n_chains,
        dimension=DIMENSION,
        n_normals=4,
        n_uniforms=2,
        n_statistics=n_statistics,
        **settings,
    )


def begin(coordinator, n_chains, *, n_scans, betas=None, number=1, real_bytes=8):
    coordinator.begin_round(
        round=number,
        n_scans=n_scans,
        betas=np.linspace(0, 1, n_chains) if betas is None else betas,
        centre=np.zeros((n_chains, DIMENSION)),
        scale=np.ones((n_chains, DIMENSION)),
        real_bytes=real_bytes,
        most_draws=n_scans,
    )


def run(coordinator, n_scans, explore, dtype=np.float64):
    coordinator.begin_block(n_scans)
    coordinator.run_scans(0, explore, dtype)
    coordinator.rethrow()


class Exploration:
    """Random states of every replica; V depends on the chain; all that happens is kept."""

    def __init__(self, n_chains, spread=2.0, dtype=np.float64):
        self.rng = np.random.default_rng(3)
        self.n, self.spread, self.dtype = n_chains, spread, dtype
        self.scans, self.chains, self.noise = [], [], []
        self.x, self.log_reference, self.v, self.statistics = [], [], [], []

    def __call__(self, scan, given):
        n_rows = len(given.chains)  # a single chain has an idle row besides
        chains = given.chains[: self.n]
        self.scans.append(scan)
        self.chains.append(chains.copy())
        self.noise.append((given.normals.copy(), given.uniforms.copy()))
        x = self.rng.normal(size=(self.n, DIMENSION)).astype(self.dtype)
        log_reference = -self.rng.exponential(size=self.n).astype(self.dtype)
        v = (self.spread * self.rng.normal(size=self.n) + chains).astype(self.dtype)
        statistics = self.rng.uniform(size=(self.n, 2)).astype(self.dtype)
        for kept, new in zip(
            (self.x, self.log_reference, self.v, self.statistics),
            (x, log_reference, v, statistics),
            strict=True,
        ):
            kept.append(new)
        idle = n_rows - self.n
        return tuple(
            np.concatenate([a, np.full_like(a[:idle], np.nan)])
            for a in (x, log_reference, v, statistics)
        )

    def by_chain(self, name):
        """What was recorded, rows by chain: shape (n_scans, n_chains, ...)."""
        rows = np.array(getattr(self, name))
        order = np.argsort(np.array(self.chains), axis=1)
        return np.stack([row[replicas] for row, replicas in zip(rows, order, strict=True)])


def expected_chains(exploration, betas, number):
    """The index process, scan by scan, written out: odd scans pair from 0, even ones from 1."""
    n = len(betas)
    chains = list(range(n))
    result = []
    for scan, v in enumerate(exploration.v, start=1):
        result.append(list(chains))
        replica_at = [chains.index(c) for c in range(n)]
        for c in range(1 - scan % 2, n - 1, 2):
            low, high = replica_at[c], replica_at[c + 1]
            log_acceptance = (betas[c + 1] - betas[c]) * (float(v[low]) - float(v[high]))
            if swap_uniform(SEED, number, scan, c) < min(1.0, np.exp(log_acceptance)):
                chains[low], chains[high] = c + 1, c
    return result, chains


@pytest.mark.parametrize("n_chains", [1, 2, 3, 6, 11])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_index_process_is_that_of_a_plain_reimplementation(n_chains, dtype):
    coordinator, explore = make(n_chains), Exploration(n_chains, dtype=dtype)
    betas = np.linspace(0, 1, n_chains) ** 2 if n_chains > 1 else np.ones(1)
    begin(coordinator, n_chains, n_scans=64, betas=betas, number=5, real_bytes=dtype().itemsize)
    run(coordinator, 40, explore, dtype)
    run(coordinator, 24, explore, dtype)
    chains, last = expected_chains(explore, betas, 5)
    np.testing.assert_array_equal(explore.chains, chains)
    np.testing.assert_array_equal(coordinator.chains, last)
    data = coordinator.end_round()
    np.testing.assert_array_equal(data.replicas, np.argsort(chains, axis=1))
    np.testing.assert_array_equal(data.v, explore.by_chain("v"))
    assert explore.scans == list(range(64))
    assert (data.round, data.n_scans) == (5, 64)
    if n_chains > 2:
        swapped = np.mean(np.any(np.diff(chains, axis=0) != 0, axis=1))
        assert 0.5 < swapped <= 1
        another, _ = expected_chains(explore, betas, 6)
        assert another != chains


@pytest.mark.parametrize("n_chains", [2, 3, 4, 7])
@pytest.mark.parametrize("n_scans", [1, 2, 5, 64, 129])
def test_replicas_that_always_swap_make_the_round_trips_of_the_closed_form(n_chains, n_scans):
    coordinator, explore = make(n_chains), Exploration(n_chains)

    def indifferent(*arguments):
        x, log_reference, v, statistics = explore(*arguments)
        return x, log_reference, 0 * v, statistics

    begin(coordinator, n_chains, n_scans=n_scans)
    run(coordinator, n_scans, indifferent)
    data = coordinator.end_round()
    # A replica goes around in 2 n_chains scans; they first meet the reference 0, 2, 4, ... in.
    left = [n_scans - 2 * k for k in range(n_chains)]
    assert data.n_round_trips == sum(max(n, 0) // (2 * n_chains) for n in left)
    assert data.n_restarts == sum(max(n + n_chains, 0) // (2 * n_chains) for n in left)
    # A replica that is never refused moves by one chain or waits at an end.
    paths = np.array(explore.chains)
    for scan, (now, then) in enumerate(itertools.pairwise(paths), start=1):
        assert [deo_partner(int(c), scan, n_chains) for c in now] == then.tolist()


def test_replicas_that_never_swap_stay():
    coordinator, explore = make(4), Exploration(4)

    def hostile(scan, given):
        x, log_reference, _, statistics = explore(scan, given)
        return x, log_reference, 1e6 * given.chains, statistics

    begin(coordinator, 4, n_scans=32)
    run(coordinator, 32, hostile)
    data = coordinator.end_round()
    np.testing.assert_array_equal(data.replicas, np.tile(np.arange(4), (32, 1)))
    assert data.n_restarts == data.n_round_trips == 0


def test_sums_and_moments_are_those_of_the_recorded_visits():
    n, coordinator, explore = 5, make(5), Exploration(5)
    begin(coordinator, n, n_scans=100)
    run(coordinator, 100, explore)
    data = coordinator.end_round()
    x, statistics = explore.by_chain("x"), explore.by_chain("statistics")
    np.testing.assert_allclose(data.statistic_sums, statistics.sum(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(data.counts, 100)
    np.testing.assert_allclose(data.means, x.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(data.squared_deviations / 100, x.var(axis=0), rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_are_the_targets_states_in_scan_order_and_are_given_up_once(dtype):
    coordinator, explore = make(3), Exploration(3, dtype=dtype)
    begin(coordinator, 3, n_scans=20, real_bytes=dtype().itemsize)
    taken = []
    for n_scans in (12, 8):
        run(coordinator, n_scans, explore, dtype)
        x, log_reference = coordinator.take_draws()
        taken.append((x.view(dtype).reshape(-1, DIMENSION), log_reference))
    assert [len(log_reference) for _, log_reference in taken] == [12, 8]
    np.testing.assert_array_equal(
        np.concatenate([x for x, _ in taken]), explore.by_chain("x")[:, -1]
    )
    np.testing.assert_array_equal(
        np.concatenate([a for _, a in taken]), explore.by_chain("log_reference")[:, -1]
    )
    assert len(coordinator.take_draws()[0]) == 0


def test_what_is_not_asked_for_is_not_recorded():
    coordinator = make(3, records_draws=False, records_moments=False)
    begin(coordinator, 3, n_scans=4)
    run(coordinator, 4, Exploration(3))
    assert len(coordinator.take_draws()[0]) == 0
    assert coordinator.end_round().means.shape[0] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_noise_of_a_replica_is_its_stream_of_round_and_scan(dtype):
    coordinator, explore = make(3), Exploration(3, dtype=dtype)
    begin(coordinator, 3, n_scans=6, number=4, real_bytes=dtype().itemsize)
    first = coordinator.prepare(0, dtype)
    run(coordinator, 6, explore, dtype)
    draw = normals if dtype == np.float64 else normals_float32
    for scan, (z, u) in enumerate(explore.noise, start=1):
        assert z.dtype == u.dtype == dtype
        for replica in range(3):
            key = (SEED, Purpose.explore, replica, 4, scan)
            np.testing.assert_array_equal(z[replica], draw(*key, 4))
        assert np.all((u > 0) & (u < 1))
    np.testing.assert_array_equal(first[2], explore.noise[0][0])
    np.testing.assert_array_equal(first[3], explore.noise[0][1])
    everything = np.array([z for z, _ in explore.noise])
    assert len(np.unique(everything)) == everything.size
    lone = uniforms(SEED, Purpose.explore, 0, 4, 1, 1)
    assert lone[0] not in everything


class Bad(Exploration):
    """Hands in one bad number: at chain `chain` of scan number `scan`."""

    def __init__(self, what, value, *, chain, scan):
        super().__init__(4)
        self.bad = what, value, chain, scan

    def __call__(self, scan, given):
        what, value, chain, bad_scan = self.bad
        result = dict(
            zip(
                ("x", "log_reference", "v", "statistics"),
                super().__call__(scan, given),
                strict=True,
            )
        )
        if scan + 1 == bad_scan:
            self.replica = int(np.flatnonzero(given.chains == chain)[0])
            result[what][self.replica] = value
        return tuple(result.values())


@pytest.mark.parametrize(
    ("what", "value", "chain", "message"),
    [
        ("v", INF, 2, r"V = log target - log reference is \+inf"),
        ("v", INF, 0, r"V = log target - log reference is \+inf"),
        ("v", -INF, 2, "the explorer returned a state of likelihood zero"),
        ("v", np.nan, 3, "the explorer returned a state of likelihood zero"),
        ("log_reference", -INF, 0, "the log density of the reference is not finite"),
        ("log_reference", INF, 2, "the log density of the reference is not finite"),
        ("log_reference", np.nan, 1, "the log density of the reference is not finite"),
    ],
)
def test_numbers_that_leave_no_way_on_are_named_with_their_place(what, value, chain, message):
    coordinator, explore = make(4), Bad(what, value, chain=chain, scan=9)
    begin(coordinator, 4, n_scans=16, betas=[0, 0.125, 0.5, 1], number=4)
    with pytest.raises(NumericalError, match=message) as error:
        run(coordinator, 16, explore)
    beta = (0, 0.125, 0.5, 1)[chain]
    where = f"replica {explore.replica}, chain {chain}, beta {beta}, round 4, scan 9"
    assert str(error.value).endswith(where)
    assert coordinator.n_scans_done == 8
    with pytest.raises(NumericalError, match="scan 9"):
        coordinator.rethrow()
    begin(coordinator, 4, n_scans=2)  # a new round forgets it
    coordinator.rethrow()


@pytest.mark.parametrize("value", [-INF, np.nan])
def test_likelihood_zero_at_the_reference_is_counted_and_swaps_nothing(value):
    coordinator, explore = make(4), Bad("v", value, chain=0, scan=9)
    begin(coordinator, 4, n_scans=16)
    run(coordinator, 16, explore)
    data = coordinator.end_round()
    assert data.n_zero_likelihood == 1
    assert data.first_zero_likelihood == (explore.replica, 0, 0.0, 9)
    assert data.v[8, 0] == -INF
    assert explore.chains[9][explore.replica] == 0  # scan 9 pairs 0 and 1; it was refused
    untouched = make(4)
    begin(untouched, 4, n_scans=2)
    run(untouched, 2, Exploration(4))
    data = untouched.end_round()
    assert (data.n_zero_likelihood, data.first_zero_likelihood) == (0, None)


def test_a_round_cannot_end_before_its_last_scan_nor_twice():
    coordinator = make(3)
    with pytest.raises(RuntimeError, match="the round is not complete"):
        coordinator.end_round()
    begin(coordinator, 3, n_scans=8)
    run(coordinator, 5, Exploration(3))
    with pytest.raises(RuntimeError, match="the round is not complete: 5 of 8 scans are done"):
        coordinator.end_round()
    run(coordinator, 3, Exploration(3))
    coordinator.end_round()
    with pytest.raises(RuntimeError, match="the round is not complete"):
        coordinator.end_round()


def test_a_request_to_stop_makes_the_scan_under_way_the_last():
    coordinator, explore = make(3), Exploration(3)

    def impatient(scan, *arguments):
        if scan == 4:
            coordinator.request_stop()
        return explore(scan, *arguments)

    begin(coordinator, 3, n_scans=8)
    run(coordinator, 8, impatient)
    assert coordinator.n_scans_done == 5
    assert coordinator.stopped


def test_going_back_to_the_chains_of_a_rounds_start_repeats_it():
    coordinator, first, again = make(5), Exploration(5), Exploration(5)
    begin(coordinator, 5, n_scans=9)
    run(coordinator, 9, Exploration(5))
    start = coordinator.chains
    for explore in (first, again):
        coordinator.chains = start
        begin(coordinator, 5, n_scans=16, number=2)
        run(coordinator, 16, explore)
    np.testing.assert_array_equal(first.chains, again.chains)
    assert first.chains[0].tolist() != list(range(5))


@pytest.mark.parametrize(
    ("position", "shape"),
    [(0, (3, 2)), (0, (2, 3)), (1, (2,)), (2, (4,)), (3, (3, 1)), (3, (1, 2))],
    ids=["x narrow", "x short", "log gamma_0 short", "V long", "statistics", "statistics short"],
)
def test_an_exploration_of_the_wrong_shape_is_an_error(position, shape):
    coordinator, explore = make(3), Exploration(3)

    def wrong(*arguments):
        result = list(explore(*arguments))
        result[position] = np.zeros(shape)
        return tuple(result)

    begin(coordinator, 3, n_scans=4)
    with pytest.raises(ValueError, match=r"shape|must have|got"):
        run(coordinator, 4, wrong)


def test_bad_settings_are_errors():
    with pytest.raises(ValueError, match="dimension must be at least 1, got 0"):
        Coordinator(seed=1, n_chains=2, dimension=0, n_normals=0, n_uniforms=0, n_statistics=0)
    coordinator = make(3)
    with pytest.raises(ValueError, match="one beta per chain: got 2 betas for 3 chains"):
        begin(coordinator, 3, n_scans=4, betas=[0, 1])
    with pytest.raises(ValueError, match="increase strictly"):
        begin(coordinator, 3, n_scans=4, betas=[0, 0.5, 0.5])
    with pytest.raises(ValueError, match="one chain per replica: got 2 for 3"):
        coordinator.chains = [0, 1]
    with pytest.raises(ValueError, match="permutation"):
        coordinator.chains = [0, 1, 1]


def test_an_error_of_the_exploration_passes_through():
    coordinator = make(3)
    begin(coordinator, 3, n_scans=4)

    def broken(*arguments):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(coordinator, 4, broken)
