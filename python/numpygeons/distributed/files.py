"""Writes and reads small files in the folder of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read_number(path: Path) -> int | None:
    """The number in the file; None while there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return None
