"""Tests the monotone cubic: through the points, no overshoot, smooth, accurate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpygeons._core.math import monotone_cubic, monotone_cubic_derivative

ends = st.floats(0, 1)
steps = st.lists(st.tuples(st.floats(1e-3, 10), st.floats(0, 10)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps, ends)
def test_rising_points_give_a_rising_curve_through_them(steps, start):
    x, y = np.cumsum([(0.0, start), *steps], axis=0).T
    np.testing.assert_allclose(monotone_cubic(x, y, x), y, rtol=1e-14)
    at = np.sort(np.concatenate([x, np.linspace(x[0], x[-1], 400)]))
    at = np.clip(at, x[0], x[-1])
    scale = np.max(np.abs(y)) + 1e-300
    assert np.min(np.diff(monotone_cubic(x, y, at))) >= -1e-14 * scale
    assert np.min(monotone_cubic_derivative(x, y, at)) >= -1e-12 * np.max(np.diff(y) / np.diff(x))


def test_two_points_give_a_line():
    at = np.linspace(1, 3, 9)
    np.testing.assert_allclose(monotone_cubic([1, 3], [5, 9], at), 2 * at + 3, rtol=1e-15)
    np.testing.assert_allclose(monotone_cubic_derivative([1, 3], [5, 9], at), 2.0, rtol=1e-14)


def test_points_on_a_line_give_the_line():
    x = np.array([0.0, 0.1, 0.5, 2.0, 3.0])
    at = np.linspace(0, 3, 50)
    np.testing.assert_allclose(monotone_cubic(x, 1 - 3 * x, at), 1 - 3 * at, atol=1e-14)


def test_flat_stretches_stay_flat_and_turns_do_not_overshoot():
    x = [0, 1, 2, 3, 4]
    y = [0, 1, 1, 0, 5]
    at = np.linspace(1, 2, 20)
    np.testing.assert_allclose(monotone_cubic(x, y, at), 1.0, rtol=1e-15)
    whole = monotone_cubic(x, y, np.linspace(0, 4, 401))
    assert whole.min() >= -1e-15
    assert whole.max() <= 5


def test_the_derivative_is_that_of_the_curve():
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.random(8))
    y = np.cumsum(rng.random(8) ** 3)
    at = np.linspace(x[0] + 1e-3, x[-1] - 1e-3, 201)
    h = 1e-6
    slope = (monotone_cubic(x, y, at + h) - monotone_cubic(x, y, at - h)) / (2 * h)
    np.testing.assert_allclose(monotone_cubic_derivative(x, y, at), slope, atol=1e-5)
    below = monotone_cubic_derivative(x, y, x[1:-1] - 1e-9)
    above = monotone_cubic_derivative(x, y, x[1:-1] + 1e-9)
    np.testing.assert_allclose(below, above, atol=1e-6)


def test_the_error_in_the_interior_falls_with_the_third_power_of_the_spacing():
    at = np.linspace(0.3, 0.7, 501)
    errors = []
    for n in (21, 41, 81):
        x = np.linspace(0, 1, n)
        errors.append(np.max(np.abs(monotone_cubic(x, np.exp(2 * x), at) - np.exp(2 * at))))
    assert errors[0] / errors[1] > 7
    assert errors[1] / errors[2] > 7


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, 1.0, 1.0], [0, 1, 2], r"increase strictly: x\[2\] = 1 does not exceed x\[1\] = 1"),
        ([0.0, np.nan], [0, 1], r"x must be finite: got x\[1\] = nan"),
        ([0.0, 1.0], [0, np.inf], r"y must be finite: got y\[1\] = inf"),
        ([0.0], [0.0], "at least 2: got 1 and 1"),
        ([0.0, 1.0], [0.0], "got 2 and 1"),
    ],
)
def test_bad_points_are_an_error(x, y, message):
    with pytest.raises(ValueError, match=message):
        monotone_cubic(x, y, 0.5)


def test_a_place_outside_is_an_error():
    for at in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got"):
            monotone_cubic([0, 1], [0, 1], at)
