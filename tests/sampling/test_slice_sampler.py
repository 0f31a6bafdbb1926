"""Slice sampling keeps each density, however wide the slice is beside the window."""

import jax.numpy as jnp
import numpy as np
import pytest
from exact_start import THRESHOLD, Funnel, HalfExcluded, Normal, SkewedAndHeavy, explored, p_value
from mutants import mutant
from scipy import stats

from numpygeons import SliceSampler
from numpygeons.explorers import slice_sampler
from numpygeons.explorers.slice_sampler import SliceTuning

WAYS = {
    "stepping out": SliceSampler(),
    "narrow": SliceSampler(window=0.2, max_expansions=5),
    "doubling": SliceSampler(expansion="doubling", window=0.3),
    "random": SliceSampler(directions="random", n_passes=2),
    "random doubling": SliceSampler(directions="random", expansion="doubling"),
}
TARGETS = (Normal(), SkewedAndHeavy(), Funnel())


class TwoHumps:
    """Two normals far apart: a slice is two intervals, which doubling may join or not."""

    dimension = 1
    scale = (1.0,)

    def log_reference(self, x):
        return jnp.logaddexp(-0.5 * (x[0] + 3) ** 2, -0.5 * ((x[0] - 3) / 0.4) ** 2)

    def log_ratio(self, x):
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


@pytest.mark.parametrize(
    ("target", "dtype"),
    [(Normal(), np.float64), (SkewedAndHeavy(), np.float64), (Funnel(), np.float32)],
    ids=["Normal", "SkewedAndHeavy", "Funnel"],
)
@pytest.mark.parametrize("way", WAYS)
def test_exploring_from_an_exact_start_keeps_the_density(way, target, dtype):
    for beta in (0.1, 1.0):
        copies = explored(WAYS[way], target, beta, tuning_of(target), dtype=dtype, n=10_000)
        assert copies.statistics["acceptance"].mean() > 0.9
        assert np.mean(np.any(copies.after != copies.before, axis=1)) > 0.9
        assert p_value(target, beta, copies) > THRESHOLD


class Wide:
    """Uniform on (0, 1000), hundreds of windows wide; V is constant."""

    dimension = 1

    def log_reference(self, x):
        return jnp.where((x[0] > 0) & (x[0] < 1000), 0.0, -jnp.inf)

    def log_ratio(self, x):
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


def test_a_budget_that_is_one_window_longer_on_the_right_drifts():
    old, new = "self.max_expansions - 1 - j, self.window", "self.max_expansions - j, self.window"
    broken = mutant(slice_sampler, old, new)
    assert drift(broken.SliceSampler(window=4.0, max_expansions=20)) < THRESHOLD


@pytest.mark.parametrize(
    ("way", "old", "new"),
    [
        ("stepping out", "-self.window * draw(jnp.uint32(1))", "0.0 * draw(jnp.uint32(1))"),
        ("stepping out", "beta) > level", "beta) > level - 0.2"),
        ("doubling", "found, n = found & reachable, n + more", "found, n = found, n + more"),
    ],
    ids=["no offset", "a lower level", "no test of doubling"],
)
def test_a_mutant_does_not_keep_the_density(way, old, new):
    broken = mutant(slice_sampler, old, new)
    settings = {"expansion": "doubling", "window": 0.3} if way == "doubling" else {}
    explorer = broken.SliceSampler(**settings)
    targets = (*TARGETS, HalfExcluded(-np.inf), TwoHumps())
    p = [p_value(t, 1.0, explored(explorer, t, 1.0, tuning_of(t), n_scans=6)) for t in targets]
    assert len(p) * min(p) < THRESHOLD


@pytest.mark.parametrize("way", ["stepping out", "doubling"])
def test_slices_of_two_intervals_are_kept(way):
    copies = explored(WAYS[way], TwoHumps(), 1.0, tuning_of(TwoHumps()), n_scans=6)
    assert p_value(TwoHumps(), 1.0, copies) > THRESHOLD


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
