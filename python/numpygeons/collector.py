"""Keeps Python's garbage collector from stopping work that makes many objects at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Without collections of cyclic garbage: what tracing makes sets off several, each of which
    looks through every object of JAX and NumPyro. A collector that is off stays off."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
