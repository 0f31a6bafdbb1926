"""Holds the portable logarithm to two units in the last place, and to its bits."""

import numpy as np

from numpygeons._core.math import portable_log


def test_the_logarithm_is_right_to_two_units_in_the_last_place():
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.random(100_000), 1 + 1e-3 * rng.normal(size=100_000), 2.0 ** -np.arange(1, 1023)]
    )
    exact = np.log(x.astype(np.longdouble))
    error = np.abs(portable_log(x) - exact) / np.spacing(np.abs(exact.astype(float)))
    assert np.max(error) <= 2
    assert portable_log(1.0) == 0


def test_the_logarithm_has_these_bits():
    """Every draw beyond the ziggurat's first test depends on them."""
    got = [portable_log(x).hex() for x in (0.1, 0.5, 0.75, 0.999, 2.0**-53, 1e-300)]
    assert got == BITS


BITS = [
    "-0x1.26bb1bbb55515p+1",
    "-0x1.62e42fefa39efp-1",
    "-0x1.269621134db92p-2",
    "-0x1.064670d979b73p-10",
    "-0x1.25e4f7b2737fap+5",
    "-0x1.5963447f87fb5p+9",
]
