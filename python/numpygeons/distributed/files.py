"""Writes and reads small files in the folder of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from numpygeons.private_files import write_whole


def write_text(path: Path, text: str) -> None:
    """Write the file whole or not at all, for its owner alone."""
    write_whole(path, text.encode())


def read_number(path: Path) -> int | None:
    """Return the number in the file; None while there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return None
