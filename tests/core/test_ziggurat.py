"""Holds normal draws to the normal law, tails included, and the checks to planted faults."""

import itertools

import numpy as np
import pytest
from scipy import special, stats

from numpygeons._core.random import Purpose, normals, normals_float32

SMALLEST_P = 1e-6
N = 20_000_000
EDGE = 3.654152885361008771645  # where the ziggurat's tail begins


def two_sided(z):
    return 2 * stats.norm.sf(abs(z))


def count_p(count, n, share):
    """Two-sided P value of a binomial count."""
    law = stats.binom(n, share)
    return min(1.0, 2 * min(law.cdf(count), law.sf(count - 1)))


def smallest_p(x):
    """The smallest P value, times their number, of the checks of x against N(0, 1)."""
    n = len(x)
    p = {}
    # Equally probable cells, 20 a strip, so that a fault of one strip shows.
    counts = np.bincount((special.ndtr(x) * 5000).astype(int), minlength=5000)
    p["cells"] = stats.chisquare(counts).pvalue
    distance = np.max(np.abs(np.cumsum(counts) / n - np.arange(1, 5001) / 5000))
    p["kolmogorov"] = stats.kstwobign.sf(np.sqrt(n) * distance)
    square = x * x
    powers = {1: x, 2: square, 3: x * square, 4: square * square, 6: square**3}
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
        p[f"moment {power}"] = two_sided((np.mean(powers[power]) - mean) / np.sqrt(variance / n))
    tails = {"above": x[x > 2.5], "below": -x[x < -2.5]}
    tails["beyond"] = np.concatenate(list(tails.values()))
    for (name, beyond), bound in itertools.product(tails.items(), (2.5, 3.5, EDGE, 4.0, 4.5, 5.0)):
        tail = beyond[beyond > bound]
        share = special.ndtr(-bound) * (2 if name == "beyond" else 1)
        p[f"{name} {bound}"] = count_p(len(tail), n, share)
        if len(tail) > 20:
            within = special.ndtr(-tail) / special.ndtr(-bound)
            p[f"shape {name} {bound}"] = stats.kstest(within, "uniform").pvalue
            p[f"mean {name} {bound}"] = two_sided((np.mean(within) - 0.5) * np.sqrt(12 * len(tail)))
    return min(p.values()) * len(p)


@pytest.fixture(scope="module")
def draws():
    return normals(2024, Purpose.explore, 0, 1, 1, N)


def test_normal_draws_follow_the_normal_law(draws):
    assert smallest_p(draws) > SMALLEST_P


def test_the_low_bits_of_a_draw_do_not_tell_its_strip(draws):

    x = draws[:2_000_000]
    low = (np.abs(x).view(np.uint64) >> np.uint64(3) & np.uint64(15)).astype(int)
    cell = (special.ndtr(x) * 64).astype(int)
    table = np.bincount(64 * low + cell).reshape(16, 64)
    assert stats.chi2_contingency(table).pvalue > SMALLEST_P


def test_single_precision_draws_are_the_same_rounded(draws):
    single = normals_float32(2024, Purpose.explore, 0, 1, 1, 100_000)
    np.testing.assert_array_equal(single, draws[:100_000].astype(np.float32))


def test_a_draw_is_never_zero(draws):
    assert np.all(draws != 0)


def strips():
    """The edges of the 256 strips, from the pseudo-edge of the base to 0."""
    area = 0.004928673233974655362
    x = [area / np.exp(-(EDGE**2) / 2), EDGE]
    for _ in range(2, 256):
        x.append(np.sqrt(-2 * np.log(np.exp(-(x[-1] ** 2) / 2) + area / x[-1])))
    return np.array([*x, 0.0])


def without_wedge_test(rng, x):
    """Draws near the density's curve are all accepted."""
    return rng.choice(strips()[:-1], len(x)) * rng.uniform(-1, 1, len(x))


def without_tail(rng, x):
    return np.where(np.abs(x) > EDGE, rng.uniform(-EDGE, EDGE, len(x)), x)


def with_exponential_tail(rng, x):
    tail = np.sign(x) * (EDGE + rng.exponential(size=len(x)) / EDGE)
    return np.where(np.abs(x) > EDGE, tail, x)


def with_one_sided_tail(rng, x):
    return np.where(x < -EDGE, -x, x)


def with_one_strip_too_often(rng, x):
    edges = strips()
    inside = (np.abs(x) > edges[101]) & (np.abs(x) < edges[100])
    return np.where(inside & (rng.random(len(x)) < 0.3), 0.5 * x, x)


def too_wide(rng, x):
    return 1.003 * x


@pytest.mark.usual("with_one_strip*")
@pytest.mark.parametrize(
    "mutant",
    [
        without_wedge_test,
        without_tail,
        with_exponential_tail,
        with_one_sided_tail,
        with_one_strip_too_often,
        too_wide,
    ],
)
def test_the_checks_catch_a_faulty_generator(draws, mutant):
    x = mutant(np.random.default_rng(1), draws)
    assert smallest_p(x) < SMALLEST_P
