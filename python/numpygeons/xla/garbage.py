"""Keeps Python's garbage collector from stopping work that makes many objects at once.

Its oldest generation takes a tenth of a second where JAX and NumPyro are loaded, and finds nothing.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_n_pauses = 0  # of this process, in all its threads
_was_on = False


@contextmanager
def paused_collector() -> Iterator[None]:
    """Pause collections of cyclic garbage: what tracing makes sets off several, each of which looks
    through every object of JAX and NumPyro. They go on after the last pause of all threads; a
    collector that is off stays off."""
    global _n_pauses, _was_on
    with _lock:
        if _n_pauses == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _n_pauses += 1
    try:
        yield
    finally:
        with _lock:
            _n_pauses -= 1
            if _n_pauses == 0 and _was_on:
                gc.enable()
