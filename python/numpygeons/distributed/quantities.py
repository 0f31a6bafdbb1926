"""Reads times and amounts of memory as users write them."""

from __future__ import annotations

import re
from datetime import timedelta

WALLTIME = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)")
MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([MGT])(?:i?B)?", re.IGNORECASE)
MEBIBYTES = {"M": 1, "G": 2**10, "T": 2**20}


def as_seconds(walltime: str | timedelta) -> int:
    """Return the seconds of "H:MM:SS", "D-HH:MM:SS" or a timedelta; at least one."""
    if isinstance(walltime, timedelta):
        seconds = -int(-walltime.total_seconds() // 1)
    elif isinstance(walltime, str):
        found = WALLTIME.fullmatch(walltime.strip())
        if found is None:
            raise ValueError(
                f"walltime must read H:MM:SS or D-HH:MM:SS: got {walltime!r}; half an hour is "
                '"0:30:00"'
            )
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        raise TypeError(f"walltime must be text or a timedelta: got {walltime!r}")
    if seconds < 1:
        raise ValueError(f"walltime must be at least a second: got {walltime!r}")
    return seconds


def as_mebibytes(memory: str) -> int:
    """Return the mebibytes of "500M", "8G", "8 GB" or "1.5TiB", rounded up; units are powers of
    1024."""
    if not isinstance(memory, str):
        raise TypeError(f'memory must be text with a unit, such as "8G": got {memory!r}')
    found = MEMORY.fullmatch(memory.strip())
    if found is None:
        raise ValueError(
            f'memory must be a number with unit M, G or T, such as "8G": got {memory!r}'
        )
    amount = -int(-float(found[1]) * MEBIBYTES[found[2].upper()] // 1)
    if amount < 1:
        raise ValueError(f"memory must be positive: got {memory!r}")
    return amount


def clock(seconds: int) -> str:
    """Return H:MM:SS, with as many hours as it takes."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
