"""HMC is exact: its trajectory is reversible, and a chain's density stays as it was."""

import jax
import numpy as np
import pytest

from numpygeons import HMC
from numpygeons.drivers.exploration import make_explore
from numpygeons.explorers.base import Noise, Start
from numpygeons.target.potential import make_evaluate
from support.exact_start import (
    THRESHOLD,
    BrokenGradient,
    HalfExcluded,
    Normal,
    explored,
    p_value,
)
from support.nets import plain_row
from support.slow_explorers import Banana, joint
from support.slow_explorers import leapfrog as slow_leapfrog

ACCEPT_ALL = 1e-300  # a uniform
BETA = 0.7


def tuning_of(target, length=3):
    return plain_row(target.step, length, np.array(target.scale))


@pytest.fixture(scope="module")
def trajectories():
    """Random states of the banana, and what HMC makes of them with a given acceptance uniform."""
    rng = np.random.default_rng(3)
    n, length = 500, 7
    x, p = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    jitter = rng.uniform(size=n)
    tuning = plain_row(0.2, np.int32(length), np.array([0.8, 1.5]))
    evaluate = make_evaluate(Banana(), with_gradients=True)

    @jax.jit
    @jax.vmap
    def one(x, p, jitter, accept):
        noise = Noise(p, jax.numpy.stack([jitter, accept, 0.5, 0.5]), jax.numpy.zeros(0))
        return HMC(jitter=0.2, n_components=0).explore(evaluate, evaluate(x), BETA, tuning, noise)

    def explore(x, p, accept):
        with jax.enable_x64(True):
            state, statistics = one(x, p, jitter, np.broadcast_to(accept, n))
        return jax.tree.map(np.asarray, state), np.asarray(statistics)

    steps = 0.2 * (1 + 0.2 * (2 * jitter - 1))
    ends = [
        slow_leapfrog(Banana(), x[i], p[i], BETA, steps[i], tuning.plain.scale, length)
        for i in range(n)
    ]
    return x, p, np.array([e[0] for e in ends]), np.array([e[1] for e in ends]), explore


def test_a_trajectory_is_the_leapfrog_of_the_textbook(trajectories):
    x, p, end, _, explore = trajectories
    state, statistics = explore(x, p, ACCEPT_ALL)
    np.testing.assert_allclose(state.x, end, rtol=1e-11, atol=1e-11)
    assert np.max(np.abs(end - x)) > 1
    np.testing.assert_array_equal(statistics[:, 1], 7)


def test_a_trajectory_from_its_end_with_the_momentum_turned_returns_to_the_start(trajectories):
    x, p, end, end_p, explore = trajectories
    there, forward = explore(x, p, ACCEPT_ALL)
    back, backward = explore(there.x, -end_p, ACCEPT_ALL)
    np.testing.assert_allclose(back.x, x, rtol=1e-10, atol=1e-10)
    # min(1, e^d) and min(1, e^-d): their ratio is e^d, and one of them is 1.
    d = [joint(Banana(), a, b, BETA) for a, b in zip(end, end_p, strict=True)]
    d = np.array(d) - [joint(Banana(), a, b, BETA) for a, b in zip(x, p, strict=True)]
    np.testing.assert_allclose(forward[:, 0] / backward[:, 0], np.exp(d), rtol=1e-9)
    np.testing.assert_array_equal(np.maximum(forward[:, 0], backward[:, 0]), 1)


def test_a_trajectory_is_accepted_below_its_probability_and_leaves_the_state_untouched_above(
    trajectories,
):
    x, p, end, _, explore = trajectories
    probability = explore(x, p, ACCEPT_ALL)[1][:, 0]
    assert 0.2 < np.mean(probability < 0.999) < 0.9
    below, above = probability * (1 - 1e-9), np.minimum(probability * (1 + 1e-9), 1 - 1e-16)
    accepted, refused = explore(x, p, below)[0], explore(x, p, above)[0]
    np.testing.assert_allclose(accepted.x, end, rtol=1e-11, atol=1e-11)
    certain = probability == 1
    np.testing.assert_array_equal(refused.x[~certain], x[~certain])
    np.testing.assert_allclose(refused.x[certain], end[certain], rtol=1e-11, atol=1e-11)
    # What travels with the state belongs to it.
    for state in (accepted, refused):
        with jax.enable_x64(True):
            anew = jax.jit(jax.vmap(make_evaluate(Banana(), with_gradients=True)))(state.x)
        for kept, fresh in zip(state, anew, strict=True):
            np.testing.assert_allclose(kept, fresh, rtol=1e-12, atol=1e-12)


@pytest.mark.usual("float32-not a number")
@pytest.mark.parametrize("outside", [-np.inf, np.nan], ids=["zero", "not a number"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_trajectory_that_ends_where_the_likelihood_is_zero_is_rejected(outside, dtype):
    target = HalfExcluded(outside)
    copies = explored(HMC(n_components=0), target, 1.0, tuning_of(target), dtype=dtype, n_scans=4)
    assert np.all(copies.after > 0)
    assert np.all(np.isfinite(copies.state.v))
    assert 0.3 < copies.statistics["acceptance"].mean() < 0.99
    assert p_value(target, 1.0, copies) > THRESHOLD


def test_gradients_that_are_not_numbers_do_not_change_the_law():
    target = BrokenGradient()
    for beta in (0.1, 1.0):
        copies = explored(HMC(n_components=0), target, beta, tuning_of(target))
        assert 0.1 < copies.statistics["acceptance"].mean() < 0.995
        assert np.mean(copies.before != copies.after) > 0.3
        assert p_value(target, beta, copies) > THRESHOLD


@pytest.mark.usual("10000000000.0")
@pytest.mark.parametrize("step", [1e10, 1e30])
def test_a_trajectory_that_overflows_is_rejected_with_probability_zero(step):
    target = Normal()
    tuning = plain_row(step, 3, np.array(target.scale))
    copies = explored(HMC(n_components=0), target, 1.0, tuning, dtype=np.float32, n=100)
    np.testing.assert_array_equal(copies.after, copies.before)
    np.testing.assert_array_equal(copies.statistics["acceptance"], 0)


@pytest.mark.slow
def test_the_driver_gives_the_replica_at_the_reference_its_exact_draw_and_explores_the_rest():
    """A normal path: replicas start and stay at the density of their chain."""
    target, n, betas = Normal(), 4_000, np.array([0.0, 0.1, 1.0])
    explorer = HMC(n_components=0)
    evaluate = make_evaluate(target, with_gradients=True)
    start = Start(betas=betas, centre=np.zeros(2), scale=np.array(target.scale))
    tuning = explorer.start(start)._replace(
        step_size=np.array([np.nan, 0.8, 0.5]), length=np.array([9, 2, 3])
    )
    rng = np.random.default_rng(5)
    chains = np.array([2, 0, 1], np.int32)  # of the replicas
    x = np.stack([target.draw(rng, betas[chain], n) for chain in chains], axis=1)
    draws = target.draw(rng, 0.0, n)
    with jax.enable_x64(True):
        axes = (None, 0, None, 0, None, None, None, 0)
        explore = jax.jit(jax.vmap(make_explore(explorer, evaluate), axes))
        end, statistics = explore(
            np.int32(3),
            np.arange(n, dtype=np.int32),
            chains,
            jax.vmap(jax.vmap(evaluate))(x),
            betas,
            explorer.operands(tuning),
            jax.vmap(evaluate)(draws),
            Noise(
                rng.standard_normal((n, 3, 2)),
                rng.uniform(size=(n, 3, 4)),
                np.zeros((n, 3, 0), np.uint32),
            ),
        )
    end, statistics = np.asarray(end.x), np.asarray(statistics)
    np.testing.assert_array_equal(end[:, 1], draws)
    np.testing.assert_array_equal(statistics[:, 1], 0)
    assert np.all(statistics[:, [0, 2], 1] == [3, 2])  # the rows of their chains
    for replica, chain in enumerate(chains):
        copies = type("Copies", (), {"before": x[:, replica], "after": end[:, replica]})
        assert p_value(target, betas[chain], copies) > THRESHOLD
    assert np.mean(end[:, [0, 2]] != x[:, [0, 2]]) > 0.5
