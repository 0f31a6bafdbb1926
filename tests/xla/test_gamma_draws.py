"""Logarithms of gamma variables follow their law, also where the variable underflows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from numpygeons.xla.gamma_draws import log_gamma

P_MIN = 1e-6


@pytest.mark.usual("float32-0.001", "float32-3.0")
@pytest.mark.parametrize("shape", [0.001, 0.1, 0.999, 1.0, 3.0, 1000.0, 1e6])
def test_draws_follow_their_law(shape, precision):
    draws = log_gamma(jax.random.key(4), jnp.full((200, 100), shape, precision))
    assert draws.dtype == precision
    found = np.asarray(draws, float).ravel()
    # U^(1/a) of a small shape: uniform numbers of single precision have 2^23 values.
    floor = -16 * np.log(2) / shape if precision == np.float32 else -np.inf
    assert stats.kstest(np.maximum(found, floor), stats.loggamma(shape).cdf).pvalue > P_MIN
    half = len(found) // 2
    assert abs(stats.spearmanr(found[:half], found[half:]).statistic) < 5 / np.sqrt(half)


@pytest.mark.slow
def test_shapes_that_are_none_give_no_number_and_leave_the_others():
    shapes = jnp.array([1.0, 0.0, -1.0, jnp.nan, jnp.inf, 2.0])
    draws = log_gamma(jax.random.key(1), shapes)
    np.testing.assert_array_equal(np.isnan(draws), [False, True, True, True, True, False])
    alone = log_gamma(jax.random.key(1), jnp.ones(6))
    assert draws[0] == alone[0]
