"""Slice sampling keeps each density, however wide the slice is beside the window."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from numpygeons import SliceSampler
from numpygeons.explorers import slice_sampler
from numpygeons.explorers.slice_sampler import SliceTuning
from support.exact_start import THRESHOLD, HalfExcluded, explored, p_value
from support.mutants import mutant
from support.nets import NO_TEST

WAYS = {
    "stepping out": SliceSampler(),
    "doubling": SliceSampler(expansion="doubling", window=0.3),
}


class TwoHumps:
    """Two normals far apart: a slice is two intervals, which doubling may join or not."""

    dimension = 1
    scale = (1.0,)

    def log_reference(self, x):
        return jnp.logaddexp(-0.5 * (x[0] + 3) ** 2, -0.5 * ((x[0] - 3) / 0.4) ** 2)

    def v(self, x):
        return 0.0 * x[0]

    def draw(self, rng, beta, n):
        left = rng.uniform(size=n) < 1 / 1.4
        z = rng.standard_normal(n)
        return np.where(left, z - 3, 0.4 * z + 3)[:, None]

    def scores(self, x, beta):
        below = (stats.norm.cdf(x, -3, 1) + 0.4 * stats.norm.cdf(x, 3, 0.4)) / 1.4
        return stats.norm.ppf(np.clip(below, 1e-300, 1 - 1e-16))


def tuning_of(target):
    return SliceTuning(scale=np.array(target.scale))


class Wide:
    """Uniform on (0, 1000), hundreds of windows wide; V is constant."""

    dimension = 1

    def log_reference(self, x):
        return jnp.where((x[0] > 0) & (x[0] < 1000), 0.0, -jnp.inf)

    def v(self, x):
        return 0.0 * x[0]

    def draw(self, rng, beta, n):
        return rng.uniform(0, 1000, size=(n, 1))


def drift(explorer):
    """p value of the mean of copies that start uniform on (0, 1000), after 100 updates."""
    tuning = SliceTuning(scale=np.ones(1))
    copies = explored(explorer, Wide(), 1.0, tuning, n_scans=100, n=4_000)
    return stats.ttest_rel(copies.after[:, 0], copies.before[:, 0]).pvalue


def test_a_slice_wider_than_the_budget_does_not_drift():
    assert drift(SliceSampler(window=4.0, max_expansions=20)) > THRESHOLD


@pytest.mark.slow
def test_a_budget_that_is_one_window_longer_on_the_right_drifts():
    old, new = "self.max_expansions - 1 - j, self.window", "self.max_expansions - j, self.window"
    broken = mutant(slice_sampler, old, new)
    assert drift(broken.SliceSampler(window=4.0, max_expansions=20)) < THRESHOLD


@pytest.mark.slow
def test_doubling_without_its_test_does_not_keep_the_density():
    broken = mutant(slice_sampler, *NO_TEST).SliceSampler(expansion="doubling", window=0.3)
    copies = explored(broken, TwoHumps(), 1.0, tuning_of(TwoHumps()), n_scans=6, n=10_000)
    assert p_value(TwoHumps(), 1.0, copies) < THRESHOLD


@pytest.mark.usual("stepping out")
@pytest.mark.parametrize("way", WAYS)
def test_slices_of_two_intervals_are_kept(way):
    copies = explored(WAYS[way], TwoHumps(), 1.0, tuning_of(TwoHumps()), n_scans=6, n=10_000)
    assert p_value(TwoHumps(), 1.0, copies) > THRESHOLD


@pytest.mark.usual("zero")
@pytest.mark.parametrize("outside", [-np.inf, np.nan], ids=["zero", "not a number"])
def test_a_place_of_likelihood_zero_is_never_taken(outside):
    target = HalfExcluded(outside)
    copies = explored(SliceSampler(), target, 1.0, tuning_of(target))
    assert np.all(copies.after > 0)
    assert p_value(target, 1.0, copies) > THRESHOLD


@pytest.mark.parametrize(
    "bad",
    [
        {"window": 0}, {"n_passes": 0}, {"max_expansions": 0}, {"max_shrinks": 0},
        {"directions": "diagonal"}, {"expansion": "tripling"},
    ],
)  # fmt: skip
def test_parameters_are_checked(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        SliceSampler(**bad)
