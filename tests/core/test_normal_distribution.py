"""Holds the normal distribution function and its inverse to 1e-14."""

import numpy as np
from scipy import special

from numpygeons._core.math import erf_inverse, erfc_inverse, normal_cdf, normal_quantile

SMALL = 10.0 ** -np.arange(0, 307, 0.37)


def test_the_inverses_agree_with_independent_ones():
    x = np.concatenate([np.linspace(-1, 1, 2001)[1:-1], SMALL[1:], -SMALL[1:]])
    np.testing.assert_allclose(erf_inverse(x), special.erfinv(x), rtol=1e-14)
    p = np.concatenate([SMALL[1:], np.linspace(0, 1, 2001)[1:-1]])
    np.testing.assert_allclose(normal_quantile(p), special.ndtri(p), rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(erfc_inverse(2 * p), -special.ndtri(p) / np.sqrt(2), rtol=1e-14)


def test_the_distribution_function_keeps_its_digits_in_the_lower_tail():
    x = np.linspace(-37, 8, 901)
    error = np.abs(normal_cdf(x) / special.ndtr(x) - 1)
    assert np.all(error < 1e-15 * (1 + x**2))


def test_the_ends_are_infinite_and_what_lies_outside_is_nan():
    assert erf_inverse(1.0) == normal_quantile(1.0) == erfc_inverse(0.0) == np.inf
    assert erf_inverse(-1.0) == normal_quantile(0.0) == erfc_inverse(2.0) == -np.inf
    assert erf_inverse(0.0) == normal_quantile(0.5) == 0
    for bad in (erf_inverse(1.1), normal_quantile(-0.1), erfc_inverse(2.1), erf_inverse(np.nan)):
        assert np.isnan(bad)
