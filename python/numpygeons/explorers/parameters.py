"""Checks what an explorer is made of: numbers, and parts such as selectors."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from numpyro.infer.mcmc import MCMCKernel

from numpygeons.settings import as_count, as_integer, as_real

MOST = 10**6  # of anything that is counted within one scan


def take_counts(explorer: Any, *names: str, least: int = 1) -> None:
    """Make these parameters ints of at least `least`, or raise TypeError or ValueError."""
    for name in names:
        value = getattr(explorer, name)
        count = as_integer(name, value) if least < 1 else as_count(name, value)
        if count < least:
            raise ValueError(f"{name} must not be negative: got {count}")
        if count > MOST:
            raise ValueError(f"{name} must be at most {MOST}: got {count}")
        object.__setattr__(explorer, name, count)


def take_reals(explorer: Any, *names: str) -> None:
    """Make these parameters floats, or raise TypeError."""
    for name in names:
        object.__setattr__(explorer, name, as_real(name, getattr(explorer, name)))


def is_auto(name: str, value: Any) -> bool:
    """Return whether a parameter is "auto"; raises ValueError for any other text."""
    if isinstance(value, str) and value != "auto":
        raise ValueError(f'{name} must be a number, or "auto": got {value!r}')
    return isinstance(value, str)


def check_part(name: str, part: Any, members: tuple[str, ...], example: str) -> None:
    """Raise TypeError unless a part of an explorer has these members and can be hashed."""
    missing = [member for member in members if not hasattr(part, member)]
    if isinstance(part, type):
        hint = f"write {part.__name__}()" if not missing else f"write {example}"
        raise TypeError(f"{name} must be an object, not the class {part.__name__}; {hint}")
    if missing:
        raise TypeError(
            f"{name} must be one such as {example}: got {part!r} of type {type(part).__name__}, "
            f"which lacks {', '.join(missing)}"
        )
    if not isinstance(part, Hashable):
        raise TypeError(
            f"{name} must be hashable, because compiled programs are found by it: got "
            f"{type(part).__name__}; make it a frozen dataclass"
        )


def as_explorer_hint(value: Any) -> str:
    """Return what to write in the place of what is no explorer."""
    kernel = value if isinstance(value, type) else type(value)
    if issubclass(kernel, MCMCKernel):
        return (
            f"got a kernel of NumPyro; write NumPyroKernel({kernel.__name__}), with the kernel's "
            "options but without the model"
        )
    if isinstance(value, type):
        return f"not a class; write {value.__name__}()"
    return f"got {value!r} of type {type(value).__name__}; write HMC() or AutoMALA()"
