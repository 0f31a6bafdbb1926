"""Checks what a place to run on is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpygeons.settings import as_integer

NAME = re.compile(r"[\w.@+:/=,-]+")


def check_positive(name: str, value: Any) -> None:
    """Raise unless the value is an integer of at least 1."""
    if as_integer(name, value) < 1:
        raise ValueError(f"{name} must be at least 1: got {value}")


def check_text(name: str, value: Any) -> None:
    """Raise unless the value is None or one line of text."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text: got {value!r}")
    if not value.strip() or "\n" in value:
        raise ValueError(f"{name} must be one line of text: got {value!r}")


def check_name(name: str, value: Any) -> None:
    """Raise unless the value is None or a name that a queue's directives can hold."""
    check_text(name, value)
    if value is not None and not NAME.fullmatch(value):
        raise ValueError(f"{name} must be a name without spaces or quotes: got {value!r}")


def check_lines(name: str, value: Any) -> None:
    """Raise unless the value is a tuple or list of lines of text."""
    if not isinstance(value, tuple | list):
        raise TypeError(f"{name} must be a tuple of text: got {value!r}")
    for line in value:
        check_text(f"each of {name}", line if line is not None else 0)


def check_environment(value: Any) -> None:
    """Raise unless the value is None or maps text to text."""
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    ):
        raise TypeError(f"environment must map names to text: got {value!r}")
