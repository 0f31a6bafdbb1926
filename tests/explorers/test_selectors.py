"""The selectors judge as published: two random bounds, a step that is kept between them."""

import jax
import numpy as np
import pytest
from scipy import stats

from numpygeons import AsymmetricSelector, SymmetricSelector

BOTH = pytest.mark.parametrize("selector", [SymmetricSelector(), AsymmetricSelector()], ids=repr)
DIFFERENCES = np.array([-np.inf, -50.0, -2.0, -1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0, 2.0, 50.0])
LOWER, UPPER = -1.0, -0.5


def verdicts(selector, lower=LOWER, upper=UPPER):
    """+1 where the step should double, -1 where it must halve, 0 where it is kept."""
    more = np.asarray(selector.doubles(DIFFERENCES, lower, upper))
    less = np.asarray(selector.halves(DIFFERENCES, lower, upper))
    assert not np.any(more & less)
    return (more.astype(int) - less).tolist()


def test_the_symmetric_selector_compares_the_size_of_the_difference():
    assert verdicts(SymmetricSelector()) == [-1, -1, -1, 0, 0, 1, 1, 1, 0, 0, -1, -1]


def test_the_symmetric_selector_judges_a_trial_and_its_inverse_alike():
    selector = SymmetricSelector()
    for judge in (selector.doubles, selector.halves):
        one, other = judge(DIFFERENCES, LOWER, UPPER), judge(-DIFFERENCES, LOWER, UPPER)
        np.testing.assert_array_equal(one, other)


def test_the_asymmetric_selector_compares_the_difference_itself():
    assert verdicts(AsymmetricSelector()) == [-1, -1, -1, 0, 0, 1, 1, 1, 1, 1, 1, 1]


@BOTH
def test_a_difference_that_is_not_a_number_halves(selector):
    assert bool(selector.halves(np.nan, LOWER, UPPER))
    assert not bool(selector.doubles(np.nan, LOWER, UPPER))


@BOTH
def test_equal_bounds_leave_no_difference_without_a_verdict(selector):
    kept = [d for d, v in zip(DIFFERENCES, verdicts(selector, -0.5, -0.5), strict=True) if v == 0]
    assert set(kept) <= {-0.5, 0.5}


@BOTH
def test_the_bounds_are_logarithms_of_two_sorted_uniforms(selector):
    uniforms = np.random.default_rng(1).uniform(size=(20_000, 2))
    with jax.enable_x64(True):
        lower, upper = map(np.asarray, jax.vmap(selector.bounds)(uniforms))
    assert np.all(lower <= upper)
    # The smaller and the larger of two uniforms.
    assert stats.kstest(np.exp(lower), stats.beta(1, 2).cdf).pvalue > 1e-6
    assert stats.kstest(np.exp(upper), stats.beta(2, 1).cdf).pvalue > 1e-6
    np.testing.assert_allclose(lower + upper, np.log(uniforms).sum(axis=1), rtol=1e-12)
