"""Runs the scans of one round, in blocks that share a batch of reference draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from numpygeons._core.engine import Coordinator
from numpygeons._core.random import Purpose
from numpygeons.arrays import Integers
from numpygeons.drivers.base import Block, Driver
from numpygeons.drivers.exploration import at_least_two
from numpygeons.explorers.base import Explorer
from numpygeons.parallel.team import Interrupts, Stopped, Team
from numpygeons.rounds.draws_on_disk import DiskDraws
from numpygeons.rounds.reference_draws import Batch, ReferenceDraws
from numpygeons.rounds.run_state import Between, Midway
from numpygeons.rounds.traces import Traces
from numpygeons.settings import Settings
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Replicas
from numpygeons.xla.callback_errors import callbacks_may_raise

Progress = Callable[[int, int, int], None]  # round, scans done, scans in the round


class Keeper(Protocol):
    """Who wants to see a long round now and then while it runs."""

    def is_due(self) -> bool:
        """Return whether now is the time; only the first rank is asked."""
        ...

    def keep(self, midway: Midway) -> None:
        """Take note; on the first rank alone."""
        ...


class Scanned(NamedTuple):
    """What the scans of a round leave."""

    parts: list[Replicas]  # of each worker
    traces: Traces
    drawn: Integers  # sums of the counts of `reference_draws.Batch`, shape (3,)


class Watch(NamedTuple):
    """Who looks on while scans run."""

    progress: Progress
    keeper: Keeper | None
    interrupts: Interrupts


class Scans:
    """Does the scans of the rounds of a run."""

    def __init__(
        self,
        path: TemperedPath,
        explorer: Explorer,
        settings: Settings,
        team: Team,
        coordinator: Coordinator,
        reference: ReferenceDraws,
    ) -> None:
        self._path, self._explorer, self._settings = path, explorer, settings
        self._team, self._coordinator, self._reference = team, coordinator, reference
        self._batch: tuple[int, Batch] | None = None  # the reference draws made last

    def run(
        self, before: Between, driver: Driver, watch: Watch, draws_folder: Path | None
    ) -> Scanned:
        """Do those of the next round; `draws_folder`: of the recorder "disk".

        Raises
        ------
        Stopped
            When the run is asked to stop; the keeper has seen the scans that were done.
        """
        number, interrupts = before.round + 1, watch.interrupts
        coordinator, n_scans = self._coordinator, 2**number
        traces = Traces(
            self._path, n_scans, self._settings.record, self._disk(number, draws_folder)
        )
        betas, own = self._begin(before)
        replicas, drawn = before.replicas, np.zeros(3, np.int64)
        if before.midway is not None:
            replicas, drawn = before.midway.replicas, before.midway.drawn
            coordinator.resume(before.midway.scans)
            traces.take_up(before.midway.traces)
        parts = self._team.split(coordinator, replicas)
        for block, of_block in self._blocks(number, coordinator.n_scans_done):
            drawn = drawn + of_block
            stopped: Stopped | None = None
            try:
                # Other ranks are told the callback's own exception.
                with interrupts.agreed(), callbacks_may_raise(f"in round {number}"):
                    parts = driver.run(
                        coordinator,
                        parts,
                        betas,
                        own,
                        block,
                        lambda done: watch.progress(number, done, n_scans),
                    )
            except Stopped as caught:
                stopped = caught
                if not driver.stops_anywhere:
                    raise
            self._record(traces, interrupts)
            if watch.keeper is not None and coordinator.n_scans_done < n_scans:
                so_far = Scanned(parts, traces, drawn)
                self._show(watch.keeper, so_far, is_last=stopped is not None)
            if stopped is not None:
                raise stopped
        if traces.disk is not None:
            with interrupts.agreed(stops=False):
                traces.disk.close()
        return Scanned(parts, traces, drawn)

    def _begin(self, before: Between) -> tuple[Any, Any]:
        """Tell the coordinator of the next round; return its betas and the explorer's operands, as
        programs take them."""
        path, number = self._path, before.round + 1
        self._coordinator.chains = before.chains
        self._coordinator.begin_round(
            round=number,
            n_scans=2**number,
            betas=before.betas,
            centre=before.centres,
            scale=before.scales,
            real_bytes=path.dtype.itemsize,
            most_draws=self._reference.size,
        )

        def cast(a: Any) -> Any:
            a = np.asarray(a)
            return a.astype(path.dtype if a.dtype.kind == "f" else np.int32)

        def operand(a: Any) -> Any:
            return at_least_two(cast(a))

        tuning = jax.tree.map(cast, before.tuning)
        self._coordinator.set_proposals(self._explorer.proposals(tuning))
        own = jax.tree.map(operand, self._explorer.operands(tuning))
        result: tuple[Any, Any] = jax.device_put((operand(before.betas), own))
        return result

    def _blocks(self, number: int, done: int) -> Iterator[tuple[Block, Integers]]:
        """Return the scans of a round after those `done`, cut where the batches of reference draws
        end, each with the number of draws in it that were made again."""
        size = self._reference.size
        earlier = 2**number - 2  # scans of all rounds before
        while done < 2**number:
            wanted, first = divmod(earlier + done, size)
            if self._batch is None or self._batch[0] != wanted:
                self._batch = wanted, self._reference.batch(Purpose.reference_draw, wanted)
            n_scans = min(2**number - done, size - first)
            states, counts = self._batch[1]
            has_reference = self._settings.n_chains > 1
            used = counts[first : first + n_scans if has_reference else first]
            following = partial(self._reference.prepare, Purpose.reference_draw, wanted + 1)
            is_last = done + n_scans == 2**number
            yield (
                Block(
                    n_scans=n_scans,
                    draws=states,
                    first=first,
                    meanwhile=(lambda: None) if is_last else following,
                ),
                np.sum(used, axis=0),
            )
            done += n_scans

    def _record(self, traces: Traces, interrupts: Interrupts) -> None:
        """Take the draws of a block from the coordinator."""
        rank = self._team.ranks.rank
        if traces.leaves_draws_apart:
            with interrupts.agreed(stops=False):
                traces.write(self._coordinator, rank)
            return
        x, log_reference = self._coordinator.take_draws()
        traces.append(x, log_reference)
        if traces.disk is not None:
            with interrupts.agreed(stops=False):
                if rank == 0:
                    traces.write_all(x, log_reference)

    def _disk(self, number: int, folder: Path | None) -> DiskDraws | None:
        """Return where the draws of a round go, if they go to a disk."""
        if folder is None or "disk" not in self._settings.record:
            return None
        return DiskDraws(folder, number, self._path.dimension, self._path.dtype)

    def _show(self, keeper: Keeper, so_far: Scanned, *, is_last: bool) -> None:
        """Show the round under way to the keeper, if it is time, or the last chance."""
        ranks = self._team.ranks
        if not is_last and not ranks.broadcast(ranks.rank == 0 and keeper.is_due()):
            return
        if so_far.traces.disk is not None:
            so_far.traces.disk.sync()
        midway = Midway(
            replicas=self._team.gathered(self._coordinator, so_far.parts),
            scans=self._coordinator.unfinished(),
            traces=so_far.traces,
            drawn=so_far.drawn,
        )
        self._team.on_first_rank(lambda: keeper.keep(midway))
