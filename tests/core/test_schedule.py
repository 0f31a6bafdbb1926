"""Tests that a schedule is checked where it enters."""

import numpy as np
import pytest

from numpygeons._core.tempering import check_schedule, equally_spaced


@pytest.mark.parametrize("n_chains", [1, 2, 3, 10, 1000])
def test_equal_spacing_goes_from_0_to_1(n_chains):
    betas = equally_spaced(n_chains)
    wanted = np.arange(n_chains) / (n_chains - 1) if n_chains > 1 else [1.0]
    np.testing.assert_array_equal(betas, wanted)
    np.testing.assert_array_equal(check_schedule(betas), betas)


def test_a_schedule_may_begin_above_0():
    assert check_schedule([0.1, 1.0]).tolist() == [0.1, 1.0]


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ([], "at least one beta, got none"),
        (
            [0, 0.4, 0.4, 1],
            r"schedule must increase strictly: betas\[2\] = 0.4 does not exceed betas\[1\] = 0.4",
        ),
        ([0, 0.5, 0.4, 1], r"betas\[2\] = 0.4 does not exceed betas\[1\] = 0.5"),
        ([-0.1, 1], r"must not be negative: got betas\[0\] = -0.1"),
        ([0, 0.5], r"must end at the target, beta = 1: got betas\[1\] = 0.5"),
        ([0, 2], r"must end at the target, beta = 1: got betas\[1\] = 2"),
        ([0], r"must end at the target, beta = 1: got betas\[0\] = 0"),
        ([0, np.nan, 1], r"must be finite: got betas\[1\] = nan"),
        ([0, np.inf, 1], r"must be finite: got betas\[1\] = inf"),
    ],
)
def test_a_bad_schedule_is_an_error_that_says_where(betas, message):
    with pytest.raises(ValueError, match=message):
        check_schedule(betas)


def test_no_chains_are_an_error():
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        equally_spaced(0)
