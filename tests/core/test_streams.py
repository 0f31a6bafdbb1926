"""Tests that streams depend on their meaning alone, stay in range, and are independent."""

import itertools

import numpy as np
import pytest
from scipy import stats

from numpygeons._core import random
from numpygeons._core.random import Purpose

SMALLEST_P = 1e-6
EXPLORE = Purpose.explore


def correlation_p(a, b):
    """P value of no correlation between standard normal draws."""
    z = np.sum(a * b) / np.sqrt(len(a))
    return 2 * stats.norm.sf(abs(z))


def test_the_same_meaning_gives_the_same_draws_in_any_order():
    keys = list(itertools.product(range(3), range(3), range(3)))
    forward = {k: random.normals(5, EXPLORE, *k, 20) for k in keys}
    backward = {k: random.normals(5, EXPLORE, *k, 20) for k in reversed(keys)}
    for k in keys:
        np.testing.assert_array_equal(forward[k], backward[k])


def test_no_two_meanings_share_a_block():
    purposes = list(Purpose.__members__.values())
    small = [0, 1, 2, 3]
    keys = list(itertools.product(purposes, small, small, [*small, 2**16, 2**32, 2**40]))
    n = 32
    drawn = np.concatenate([random.words(9, *key, n) for key in keys])
    for_jax = np.array([random.jax_key(9, *key) for key in keys], dtype=np.uint64)
    drawn = np.concatenate([drawn, for_jax[:, 0] | for_jax[:, 1] << np.uint64(32)])
    assert len(np.unique(drawn)) == len(drawn)


def test_other_seeds_give_other_draws():
    seeds = [0, 1, 2, 2**32, 2**63, 2**64 - 1]
    first = {int(random.words(seed, EXPLORE, 0, 0, 0, 1)[0]) for seed in seeds}
    assert len(first) == len(seeds)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [7, 0, 13, 64, 16], [99, 1]])
def test_how_draws_are_split_into_fills_does_not_change_them(sizes):
    whole = random.normals(3, EXPLORE, 1, 2, 3, 100)
    np.testing.assert_array_equal(random.normals_in_fills(3, EXPLORE, 1, 2, 3, sizes), whole)


def test_a_shorter_fill_is_the_beginning_of_a_longer_one():
    for draw in (random.words, random.uniforms, random.normals, random.normals_float32):
        whole = draw(3, EXPLORE, 1, 2, 3, 200)
        for n in (0, 1, 15, 16, 17, 63, 64, 65):
            np.testing.assert_array_equal(draw(3, EXPLORE, 1, 2, 3, n), whole[:n])


def test_the_first_draws_are_these():
    """A change here changes the draws of every fixed seed."""
    assert random.words(1, EXPLORE, 2, 3, 4, 2).tolist() == FIRST_WORDS
    assert [x.hex() for x in random.normals(1, EXPLORE, 2, 3, 4, 4)] == FIRST_NORMALS
    assert random.swap_uniform(1, 3, 4, 2).hex() == FIRST_SWAP_UNIFORM
    assert random.jax_key(1, EXPLORE, 2, 3, 4).tolist() == FIRST_JAX_KEY


FIRST_WORDS = [4304579228330277601, 16842737570512141829]
FIRST_NORMALS = [
    "0x1.852920cd8f026p-2",
    "-0x1.1849f18734dbbp-1",
    "0x1.6554540633429p+0",
    "-0x1.3b32f75b28e2ap-5",
]
FIRST_SWAP_UNIFORM = "0x1.e85fa9f29e111p-1"
FIRST_JAX_KEY = [3091453921, 4069592375]


@pytest.mark.parametrize("word", [0, 1, 2**12 - 1, 2**63, 2**64 - 1])
def test_uniforms_stay_inside_the_open_interval(word):
    single = random.open_uniform_float32(word)
    for uniform in (random.open_uniform(word), single, np.float32(single)):
        assert 0 < uniform < 1
    assert random.open_uniform(word) + random.open_uniform(2**64 - 1 - word) == 1
    assert abs(random.open_uniform(word) - single) < 2**-23


def test_uniforms_fill_their_interval_evenly():
    for draw in (random.uniforms, random.uniforms_float32):
        uniforms = draw(11, EXPLORE, 0, 1, 1, 2_000_000)
        assert 0 < uniforms.min() < 1e-5
        assert 1 - 1e-5 < uniforms.max() < 1
        counts = np.bincount((uniforms * 1024).astype(int), minlength=1024)
        assert stats.chisquare(counts).pvalue > SMALLEST_P


def test_every_bit_of_a_word_is_fair():
    words = random.words(12, EXPLORE, 0, 1, 1, 500_000)
    ones = np.array([np.sum(words >> np.uint64(bit) & np.uint64(1)) for bit in range(64)], float)
    z = (ones - len(words) / 2) / np.sqrt(len(words) / 4)
    assert stats.chi2.sf(np.sum(z**2), 64) > SMALLEST_P


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16, 32, 64])
def test_draws_of_one_stream_are_not_correlated(lag):
    x = random.normals(13, EXPLORE, 0, 1, 1, 1_000_000)
    assert correlation_p(x[lag:], x[:-lag]) > SMALLEST_P
    square = (x**2 - 1) / np.sqrt(2)
    assert correlation_p(square[lag:], square[:-lag]) > SMALLEST_P


def stacked(which, n_streams, n):
    """Draws of streams whose keys differ by one in the named field, shape (n_streams, n)."""
    fields = {"seed": 14, "purpose": EXPLORE, "replica": 5, "round": 6, "scan": 7}
    rows = []
    for k in range(n_streams):
        rows.append(random.normals(**(fields | {which: fields[which] + k}), n=n))
    return np.array(rows)


@pytest.mark.parametrize("which", ["seed", "replica", "round", "scan"])
@pytest.mark.parametrize("n", [1, 10])
def test_neighbouring_streams_are_not_correlated(which, n):
    x = stacked(which, 200, n) if which == "round" else stacked(which, 50_000, n)
    assert correlation_p(x[1:].ravel(), x[:-1].ravel()) > SMALLEST_P
    assert correlation_p(x.ravel(), np.ones(x.size)) > SMALLEST_P
    assert stats.kstest(x.ravel(), "norm").pvalue > SMALLEST_P


def test_correlation_of_neighbours_is_caught_where_it_is_planted():
    x = stacked("scan", 50_000, 2).ravel()
    assert correlation_p(x[1:], x[:-1] + 0.05 * x[1:]) < SMALLEST_P


def test_draws_of_different_purposes_are_not_correlated():
    x = [random.normals(15, p, 1, 2, 3, 300_000) for p in Purpose.__members__.values()]
    for a, b in itertools.combinations(x, 2):
        assert correlation_p(a, b) > SMALLEST_P


def test_swap_uniforms_are_even_and_not_correlated_over_chains_and_scans():
    u = np.array([[random.swap_uniform(16, 3, s, c) for c in range(20)] for s in range(1, 10_001)])
    assert stats.kstest(u.ravel(), "uniform").pvalue > SMALLEST_P
    z = (u - 0.5) * np.sqrt(12)
    assert correlation_p(z[1:].ravel(), z[:-1].ravel()) > SMALLEST_P
    assert correlation_p(z[:, 1:].ravel(), z[:, :-1].ravel()) > SMALLEST_P


def test_a_swap_uniform_is_the_first_uniform_of_its_stream():
    for chain, round, scan in [(0, 1, 1), (3, 10, 1024), (1000, 17, 2**40)]:
        stream = random.uniforms(17, Purpose.swap, chain, round, scan, 1)
        assert random.swap_uniform(17, round, scan, chain) == stream[0]


def test_a_jax_key_is_two_words_that_no_stream_shows():
    key = random.jax_key(18, EXPLORE, 1, 2, 3)
    assert key.shape == (2,)
    assert key.dtype == np.uint32
    word = int(key[0]) | int(key[1]) << 32
    assert word not in random.words(18, EXPLORE, 1, 2, 3, 1000).tolist()


def test_a_round_or_scan_out_of_range_is_an_error():
    with pytest.raises(ValueError, match="round must be below 256, got 256"):
        random.normals(1, EXPLORE, 0, 256, 0, 1)
    with pytest.raises(ValueError, match=r"scan must be below 2\^48, got 281474976710656"):
        random.swap_uniform(1, 0, 2**48, 0)
    with pytest.raises(ValueError, match="scan must be below"):
        random.jax_key(1, EXPLORE, 0, 0, 2**48)
