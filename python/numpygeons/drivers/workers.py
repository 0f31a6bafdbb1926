"""Runs the workers of this process, each in a thread of its own, and listens while they run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import jax

from numpygeons._core.engine import Coordinator
from numpygeons.drivers.base import Progress

HEAD_START_SECONDS = 0.0005  # for the workers to leave Python, before others want it
POLL_SECONDS = 0.1
# Workers that wait for each other must all be running, and XLA has a thread for each core: of
# several runs in one process, one at a time may have several workers.
ONE_TEAM = threading.Lock()

T = TypeVar("T")


class Workers:
    """Threads that outlive a block: the main one hears Ctrl-C and shows progress meanwhile."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0

    def run(
        self,
        coordinator: Coordinator,
        work: Callable[[int], T],
        meanwhile: Callable[[], None],
        progress: Progress,
    ) -> list[T]:
        """`work(worker)` of every worker of the coordinator, which must take part in its scans;
        `meanwhile()` once beside them, in the calling thread.

        Where one raises, the coordinator stops the others, and the error is raised here.
        """
        double = bool(jax.config.read("jax_enable_x64"))  # a thread does not inherit it

        def explore(worker: int) -> T:
            try:
                with jax.enable_x64(double):
                    return work(worker)
            except BaseException:
                coordinator.fail(worker)
                raise

        n = coordinator.n_workers
        if self._pool is None or self._size != n:
            self._pool = ThreadPoolExecutor(n, thread_name_prefix="numpygeons")
            self._size = n
        with ONE_TEAM if n > 1 else contextlib.nullcontext():
            futures: list[Future[T]] = [self._pool.submit(explore, w) for w in range(n)]
            try:
                wait(futures, timeout=HEAD_START_SECONDS)
                meanwhile()
                while wait(futures, timeout=POLL_SECONDS).not_done:
                    progress(coordinator.n_scans_done)
                progress(coordinator.n_scans_done)
            except BaseException:
                coordinator.request_stop()
                wait(futures)  # they still use the coordinator
                raise
        coordinator.rethrow()
        return [future.result() for future in futures]
