"""Takes the fields of NumPyro's distributions in one order while a model is traced.

NumPyro takes them from a set. Python orders that anew in each process (PYTHONHASHSEED), and with it
the outputs of every `scan` with sites inside: XLA then compiles another program, whose last bits
are others. Two processes, or two ranks, would not have the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from numpyro.distributions import Distribution

GATHERERS = ("gather_pytree_data_fields", "gather_pytree_aux_fields")
MARK = "_in_order_of_names"  # a field without a value, in what JAX compares pytrees by


class _Depth(threading.local):
    value = 0


_depth = _Depth()


@contextmanager
def ordered_fields() -> Iterator[None]:
    """Take fields by name, in this thread and within. Everywhere else NumPyro does what it does.

    What JAX has compiled for distributions outside is not taken inside, nor the other way round:
    their pytrees differ by a mark.
    """
    _install()
    _depth.value += 1
    try:
        yield
    finally:
        _depth.value -= 1


def _install() -> None:
    """Let distributions ask whether to sort; once in a process."""
    for name in GATHERERS:
        original = Distribution.__dict__[name].__func__
        if not hasattr(original, "__wrapped__"):
            mark = (MARK,) if "aux" in name else ()
            setattr(Distribution, name, classmethod(_sorting(original, mark)))


def _sorting(
    original: Callable[[Any], tuple[str, ...]], mark: tuple[str, ...]
) -> Callable[[Any], tuple[str, ...]]:
    @wraps(original)
    def gathered(cls: Any) -> tuple[str, ...]:
        fields = original(cls)
        return (*sorted(fields), *mark) if _depth.value else fields

    return gathered
