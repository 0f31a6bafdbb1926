"""Splits the work of a run over ranks and threads, and sees to it that all of them go together.

What the ranks ask for is compared before anything is made, and each exchange of objects carries a
tag of its place (`ranks`), so that ranks that got out of step are told where. The bits do not
depend on the partition: noise is keyed by replica, round and scan, proposals by chain, uniforms of
swaps by pair; one program serves every partition (`drivers/exploration.py`); sums over replicas are
sums of integers, or run over chains in scan order. At the end of a round moments, snapshots and
states are gathered, and the first rank's adaptation is everybody's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeVar

import jax
import numpy as np

from numpygeons._core.comm import largest_block
from numpygeons._core.engine import Coordinator
from numpygeons.errors import CommunicationError, NumpygeonsWarning
from numpygeons.parallel.ranks import Ranks, alone, no_silent_exit
from numpygeons.parallel.signals import stopping
from numpygeons.target.potential import Replicas

T = TypeVar("T")
ONE_RUN = threading.RLock()  # of several ranks
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in what Python says of an object that says nothing


class Stopped(KeyboardInterrupt):
    """All ranks have stopped after the same scan, in good order."""


class Interrupts:
    """Ctrl-C and errors in a round, which all ranks must meet at the same scan."""

    def __init__(self, ranks: Ranks, coordinator: Coordinator) -> None:
        self._ranks, self._coordinator = ranks, coordinator
        self._asked = False

    def stop(self) -> None:
        """Let the scan under way be the last one, on all ranks."""
        self._asked = True
        self._coordinator.request_stop()

    def listen(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal on one rank of several."""
        self.stop()

    @contextlib.contextmanager
    def agreed(self, *, stops: bool = True) -> Iterator[None]:
        """Let what ends the scans of a block within on one rank end them on all. Without `stops`
        errors alone do.

        Raises
        ------
        Stopped
            When any rank was interrupted.
        """
        if self._asked:  # between two blocks, or two rounds
            self._coordinator.request_stop()
        if self._ranks.size == 1:
            yield
        else:
            error: BaseException | None = None
            try:
                yield
            except BaseException as caught:
                error = caught
            self._ranks.agree(error)
        if stops and self._coordinator.stopped:
            raise Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who does the work of a run. Results do not depend on it."""

    ranks: Ranks = field(default_factory=alone)
    n_threads: int = 1

    def n_workers(self, n_chains: int) -> int:
        """Say how many threads explore in this process: no more than it has replicas and cores. A
        thread that waits for a core would only keep the others waiting, once per scan."""
        largest = largest_block(n_chains, self.ranks.size)
        return max(1, min(self.n_threads, largest, len(os.sched_getaffinity(0))))

    def split(self, coordinator: Coordinator, replicas: Replicas) -> list[Replicas]:
        """Return the rows of each worker of this rank, from those of all replicas."""
        n_rows, n = coordinator.n_rows, len(replicas.x)
        if n_rows == n and coordinator.replicas_of(0) == (0, n):
            return [replicas]

        def part(worker: int) -> Replicas:
            first, _ = coordinator.replicas_of(worker)
            rows = np.minimum(first + np.arange(n_rows), n - 1)  # idle rows hold anything
            own: Replicas = jax.tree.map(lambda a: np.asarray(a)[rows], replicas)
            return own

        return [part(worker) for worker in range(coordinator.n_workers)]

    def gathered(self, coordinator: Coordinator, parts: list[Replicas]) -> Replicas:
        """Return all replicas, from the rows of each worker of each rank."""
        counts = [coordinator.replicas_of(worker)[1] for worker in range(coordinator.n_workers)]

        def joined(*rows: Any) -> Any:
            return np.concatenate([np.asarray(a)[:n] for a, n in zip(rows, counts, strict=True)])

        if self.ranks.size == coordinator.n_workers == 1 and counts[0] == coordinator.n_rows:
            return parts[0]
        own = jax.tree.map(joined, *parts)
        everyone = self.ranks.gather_all(own)
        replicas: Replicas = jax.tree.map(lambda *a: np.concatenate(a), *everyone)
        return replicas

    @contextlib.contextmanager
    def interrupts(self, coordinator: Coordinator) -> Iterator[Interrupts]:
        """Let Ctrl-C end rounds in good order, all ranks after the same scan."""
        interrupts = Interrupts(self.ranks, coordinator)
        if self.ranks.size == 1 or threading.current_thread() is not threading.main_thread():
            with stopping(interrupts.stop):
                yield interrupts
            return
        old = signal.signal(signal.SIGINT, interrupts.listen)
        try:
            with stopping(interrupts.stop):
                yield interrupts
        finally:
            signal.signal(signal.SIGINT, old)

    @contextlib.contextmanager
    def one_voice(self) -> Iterator[None]:
        """Let the first rank alone warn: the others would repeat it."""
        if self.ranks.rank == 0:  # leaving the filters alone, which are those of all threads
            yield
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NumpygeonsWarning)
            yield

    def on_first_rank(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns, on the first rank; None on the others, which wait for it, and
        raise its error too."""
        if self.ranks.size == 1:
            return work()
        result: T | None = None
        error: BaseException | None = None
        if self.ranks.rank == 0:
            try:
                result = work()
            except BaseException as caught:
                error = caught
        self.ranks.agree(error)
        return result

    def require_the_same(self, settings: Any, explorer: Any, *draws: Any) -> None:
        """Compare what the ranks are about to run.

        Raises
        ------
        ValueError
            When the settings, or draws from the references and their V, differ between ranks:
            then the models or their data do, and all ranks would explore different targets.
        """
        if self.ranks.size == 1:
            return
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in draws))
        self.require_the_same_call(settings=settings, explorer=explorer)
        digests = self.ranks.gather_all(digest.hexdigest())
        rank = next((r for r, own in enumerate(digests) if own != digests[0]), None)
        if rank is not None:
            raise ValueError(
                f"ranks 0 and {rank} have different models or data: draws from their references, "
                "or the likelihood there, differ; seed what makes the data, or make it on one rank "
                "and broadcast it"
            )

    def require_the_same_call(self, **asked: Any) -> None:
        """Compare what the ranks ask for, as it prints, before anything is made.

        Raises
        ------
        ValueError
            When it differs between ranks.
        """
        if self.ranks.size == 1:
            return
        own = {name: ADDRESS.sub("", repr(value)) for name, value in asked.items()}
        everyone = self.ranks.gather_all(own)
        for name in own:
            values = [theirs.get(name) for theirs in everyone]
            rank = next((r for r, value in enumerate(values) if value != values[0]), None)
            if rank is not None:
                raise ValueError(
                    f"all ranks must ask for the same run: rank 0 has {name} = {values[0]}, rank "
                    f"{rank} has {values[rank]}"
                )

    @contextlib.contextmanager
    def one_run(self) -> Iterator[None]:
        """Mark what several ranks do together; whoever ends in it has failed.

        Raises
        ------
        CommunicationError
            When another thread of this rank does so at the moment.
        """
        if self.ranks.size == 1:
            yield
            return
        if not ONE_RUN.acquire(blocking=False):
            raise CommunicationError(
                f"rank {self.ranks.rank} has a run going on in another thread: ranks must agree on "
                "the order of what they send, so let one thread make all runs under mpirun"
            )
        try:
            with no_silent_exit():
                yield
        finally:
            ONE_RUN.release()
