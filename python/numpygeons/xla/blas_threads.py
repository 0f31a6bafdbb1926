"""Holds the BLAS and LAPACK that XLA calls to one thread while a run computes.

Their last bits depend on the number of threads, and that on the machine and on the cores that a
launcher ties a rank to; the replicas are what a run splits over threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

_lock = threading.Lock()
_n_runs = 0  # of this process, in all its threads, that compute now
_limits: Any = None


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread within; after the last run that is, as many as before, unless that
    run was in another thread than the first: OpenBLAS then stays as it is."""
    global _n_runs, _limits
    from threadpoolctl import threadpool_limits

    with _lock:
        if _n_runs == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _n_runs += 1
    try:
        yield
    finally:
        with _lock:
            _n_runs -= 1
            if _n_runs == 0:
                _limits.restore_original_limits()
