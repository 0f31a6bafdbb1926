"""Walltimes and memory are read as users write them, or refused."""

from datetime import timedelta

import pytest

from numpygeons.distributed.quantities import as_mebibytes, as_seconds, clock


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("0:30:00", 1800),
        ("00:00:01", 1),
        ("100:00:00", 360000),
        ("2-03:04:05", 183845),
        (timedelta(hours=1, milliseconds=1), 3601),
    ],
)
def test_walltimes_are_read(walltime, seconds):
    assert as_seconds(walltime) == seconds


@pytest.mark.parametrize(
    ("walltime", "error"),
    [
        ("30:00", ValueError),  # minutes or hours?
        ("1:60:00", ValueError),
        ("0:00:00", ValueError),
        ("-1:00:00", ValueError),
        ("1h", ValueError),
        ("1:00:00\n#SBATCH --x", ValueError),
        (timedelta(0), ValueError),
        (30, TypeError),
        (None, TypeError),
    ],
)
def test_other_walltimes_are_refused(walltime, error):
    with pytest.raises(error, match="walltime must"):
        as_seconds(walltime)


@pytest.mark.parametrize(
    ("memory", "mebibytes"),
    [("8G", 8192), ("500M", 500), ("8 gb", 8192), ("1.5GiB", 1536), ("1T", 2**20), ("0.1G", 103)],
)
def test_memory_is_read(memory, mebibytes):
    assert as_mebibytes(memory) == mebibytes


@pytest.mark.parametrize(
    ("memory", "error"),
    [
        ("8", ValueError),
        ("8K", ValueError),
        ("0G", ValueError),
        ("-1G", ValueError),
        ("8G; rm", ValueError),
        (8, TypeError),
    ],
)
def test_other_memory_is_refused(memory, error):
    with pytest.raises(error, match="memory must be"):
        as_mebibytes(memory)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "0:00:01"), (3600, "1:00:00"), (359999, "99:59:59"), (360000, "100:00:00")],
)
def test_a_clock_counts_hours_without_days(seconds, text):
    assert clock(seconds) == text
