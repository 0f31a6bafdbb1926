"""Lets one thread at a time trace and compile, and refuses JAX to a forked process.

NumPyro keeps one stack of handlers for the whole process: two models that run in two threads see
each other's sites. So whatever runs a model, and whatever else changes the process for a moment,
takes turns. What is compiled runs side by side.

No thread that holds the turn waits for one that wants it: the threads that compile, explore and
draw from the reference never do, and nothing within a block of scans does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TURN = threading.RLock()
_was_used = False  # whether this process has asked JAX for anything, through this package
_is_forked = False  # whether this process is a copy of one that had


@contextmanager
def one_thread() -> Iterator[None]:
    """Let no other thread be within at the same time.

    Raises
    ------
    RuntimeError
        In a forked process: as `refuse_forked`.
    """
    refuse_forked()
    with _TURN:
        yield


def refuse_forked() -> None:
    """Refuse to use JAX in a process that was forked after its first use.

    Raises
    ------
    RuntimeError
        In the copy, which does not have JAX's threads and would wait for them for ever.
    """
    global _was_used
    if _is_forked:
        raise RuntimeError(
            f"process {os.getpid()} was forked from one that had used JAX already, and JAX cannot "
            'go on in a copy of a process: start processes by "spawn" or "forkserver" instead, as '
            'in multiprocessing.get_context("spawn").Pool() or '
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")), or let '
            "pigeons(..., on=ChildProcess()) start them"
        )
    _was_used = True


def _jax_has_started() -> bool:
    """Return whether JAX has started its threads; where it does not tell, whether it was asked for
    any."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    return _was_used if started is None else bool(started())


def _mark() -> None:
    global _is_forked, _TURN
    _is_forked = _is_forked or _jax_has_started()
    _TURN = threading.RLock()  # whoever held it is not in this process


os.register_at_fork(after_in_child=_mark)
