"""Runs rounds: scans with one schedule, then everything that is measured and adapted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Protocol

import jax
import numpy as np

from numpygeons._core.engine import Coordinator, RoundData
from numpygeons._core.evidence import RoundEvidence
from numpygeons._core.random import Purpose
from numpygeons._core.tempering import initial_schedule, tuned_schedule
from numpygeons.arrays import Floats, Integers
from numpygeons.drivers.base import Block, Driver
from numpygeons.drivers.exploration import at_least_two
from numpygeons.explorers.base import (
    Explorer,
    RoundOutcome,
    Snapshots,
    Start,
    chosen,
    operands,
    proposals,
    step_sizes,
)
from numpygeons.explorers.checks import check_adapted
from numpygeons.explorers.scale import carried_over, neighbour_variances
from numpygeons.parallel.team import Interrupts, Stopped, Team
from numpygeons.records import RoundRecord
from numpygeons.rounds.coarseness import with_coarseness, without_coarseness
from numpygeons.rounds.draws_on_disk import DiskDraws
from numpygeons.rounds.measurement import ideal_restarts, measure
from numpygeons.rounds.programs import Programs, first_operands
from numpygeons.rounds.reference_draws import Batch, ReferenceDraws, truncation
from numpygeons.rounds.run_state import Between, Midway, nowhere
from numpygeons.rounds.same_model import check_same_model, pilot_of
from numpygeons.rounds.starting_points import robust_location_and_scale, starting_points
from numpygeons.rounds.traces import Traces, target_states
from numpygeons.settings import Settings, check_workers
from numpygeons.target.path import Path
from numpygeons.target.potential import Replicas, make_evaluate
from numpygeons.xla.blas_threads import one_blas_thread
from numpygeons.xla.callback_errors import callbacks_may_raise
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.precision import run_precision

READ_DRAWS = ("traces", "online", "disk")  # recorders that look at the target's states
ENOUGH_VISITS = 8  # scans from which on the moments of a round are worth using
Progress = Callable[[int, int, int], None]  # round, scans done, scans in the round


class Keeper(Protocol):
    """Who wants to see a long round now and then while it runs."""

    def is_due(self) -> bool:
        """Whether now is the time; only the first rank is asked."""
        ...

    def keep(self, midway: Midway) -> None:
        """Takes note; on the first rank alone."""
        ...


class Rounds:
    """A run: where it stands, and how to do the next round."""

    def __init__(
        self,
        path: Path,
        explorer: Explorer,
        settings: Settings,
        target: Any = None,
        team: Team | None = None,
    ) -> None:
        """Compiles, draws from the reference, and finds starting points. `target`: what the path
        was made of, for who wants to write the run down; `team`: who does the work.

        Raises
        ------
        NumericalError
            When no draw from the reference has a finite V: there is nowhere to start.
        """
        self._describe(path, explorer, settings, target)
        self.team = team or Team()
        self.prepare()

    @classmethod
    def loaded(
        cls, path: Path, explorer: Explorer, settings: Settings, target: Any, state: Between | None
    ) -> Rounds:
        """A run that was written down, without compiling anything before it goes on; `state` is
        None where no round was finished."""
        rounds = cls.__new__(cls)
        rounds._describe(path, explorer, settings, target)
        rounds.is_started = state is not None
        if state is not None:
            rounds.state = state
        return rounds

    def _describe(self, path: Path, explorer: Explorer, settings: Settings, target: Any) -> None:
        self.path, self.explorer, self.settings, self.target = path, explorer, settings, target
        self.is_prepared = self.is_started = False
        self.draws_folder: FilePath | None = None  # of the recorder "disk"
        self.team = Team()
        self.state = nowhere(settings.n_chains, path.dimension)

    def copied(self) -> Rounds:
        """The same run, to go on by itself: alone in its process, with the same path."""
        state = self.state if self.is_started else None
        return Rounds.loaded(self.path, self.explorer, self.settings, self.target, state)

    def work_with(self, team: Team) -> None:
        """Lets others do the work from now on; the results do not change."""
        if team != self.team:
            self.team, self.is_prepared = team, False

    def prepare(self) -> None:
        """Compiles what rounds need, and starts a run that has not begun. Once is enough.

        Raises
        ------
        ValueError
            When the ranks do not all have the same run before them.
        CheckpointError
            When the model is not the one that the run was made with.
        """
        if not self.is_prepared:
            with one_thread(), run_precision(self.path.dtype), one_blas_thread():
                self._prepare()
            self.is_prepared = self.is_started = True

    def _prepare(self) -> None:
        path, explorer, settings = self.path, self.explorer, self.settings
        n = settings.n_chains
        check_workers(settings.driver, self.team.ranks.size, self.team.n_threads)
        evaluate = make_evaluate(path, with_gradients=explorer.needs_gradients)
        noise = explorer.noise(path.dimension)
        self._coordinator = Coordinator(
            seed=settings.seed,
            n_chains=n,
            dimension=path.dimension,
            n_normals=noise.n_normals,
            n_uniforms=noise.n_uniforms,
            n_statistics=len(explorer.statistics),
            hands_out_keys=noise.key,
            n_proposals=noise.n_proposals,
            n_snapshots=explorer.n_snapshots(n, path.dimension),
            records_draws=any(name in settings.record for name in READ_DRAWS),
            ranks=self.team.ranks.communicator,
            n_workers=self.team.n_workers(n),
        )
        self.programs = Programs(path, evaluate, explorer, settings, self._coordinator.n_rows)
        if self.is_started:
            self.programs.prepare(operands(explorer, self.state.tuning))
        else:
            self.programs.prepare(first_operands(explorer, n, path.dimension))
        self._reference = ReferenceDraws(self.programs.reference(), path.dimension, settings.seed)
        self._batch: tuple[int, Batch] | None = None  # the reference draws made last
        with callbacks_may_raise("at draws from the reference, before round 1"):
            pilot = self._reference.batch(Purpose.initial_state, 0).states
        self._reference_v: Floats = np.sort(np.asarray(pilot.v, np.float64))[::-1]
        self.team.require_the_same(settings, explorer, np.asarray(pilot.x), np.asarray(pilot.v))
        was, now = self.state.pilot, pilot_of(pilot)
        if was is None:
            self.state = replace(self.state, pilot=now)
        else:
            self.team.on_first_rank(partial(check_same_model, was, now))
        if not self.is_started:
            with callbacks_may_raise("in search of starting points, before round 1"):
                replicas = starting_points(path, evaluate, self._reference, pilot, n)
            self.state = self._start(replicas, np.asarray(pilot.x, np.float64))

    def _start(self, replicas: Replicas, draws: Floats) -> Between:
        """Before the first round; `draws` from the reference, shape (n, dimension)."""
        n = self.settings.n_chains
        betas = self._in_model_precision(initial_schedule(n, self._reference_v))
        centre, scale = robust_location_and_scale(draws)
        return Between(
            replicas=replicas,
            chains=np.arange(n, dtype=np.uint32),
            betas=betas,
            tuning=self.explorer.start(Start(betas=betas, centre=centre, scale=scale)),
            centres=np.tile(centre, (n, 1)),
            scales=np.tile(scale, (n, 1)),
            pilot=self.state.pilot,
        )

    @property
    def driver(self) -> Driver:
        """Who does the next round."""
        return self.programs.driver(operands(self.explorer, self.state.tuning))

    def interrupts(self) -> AbstractContextManager[Interrupts]:
        """Around rounds: Ctrl-C on one rank ends them on all, at the same scan."""
        return self.team.interrupts(self._coordinator)

    def advance(
        self,
        progress: Progress,
        keeper: Keeper | None = None,
        interrupts: Interrupts | None = None,
    ) -> RoundRecord:
        """Runs the next round, adapts, and returns its record. Interrupted, it changes nothing.

        `keeper` sees the round in its middle when it is due; all ranks have one, or none.
        `interrupts` are those that the rounds are within.
        """
        # In the path's precision, also where the caller has left it.
        with run_precision(self.path.dtype), one_blas_thread():
            interrupts = interrupts or Interrupts(self.team.ranks, self._coordinator)
            return self._advance(progress, keeper, interrupts)

    def _advance(
        self, progress: Progress, keeper: Keeper | None, interrupts: Interrupts
    ) -> RoundRecord:
        before = self.state
        driver = self.driver  # compiled before the clock starts
        start = time.perf_counter()
        with callbacks_may_raise(f"in round {before.round + 1}"):
            parts, traces, drawn = self._scans(before, driver, progress, keeper, interrupts)
        data = self._coordinator.end_round()
        replicas = self.team.gathered(self._coordinator, parts)
        steps = step_sizes(before.tuning, self.settings.n_chains)
        record, evidence = measure(data, before.betas, self.explorer.statistics, steps)
        after = self._adapted(before, data, record, evidence)
        missing, missing_variance = truncation(drawn, record.n_scans)
        record = replace(
            record,
            seconds=time.perf_counter() - start,
            compile_seconds=self.programs.seconds,
            chosen={
                name: np.where(before.betas > 0, a, np.nan)
                for name, a in chosen(self.explorer, before.tuning).items()
            },
            n_redrawn=int(drawn[0]),
            n_redrawn_likely=int(drawn[1]),
            n_not_a_number=int(drawn[2]),
            log_z=record.log_z + missing,
            log_z_variance=record.log_z_variance + missing_variance,
        )
        if record.round == self.settings.n_rounds and self.team.ranks.rank == 0:
            states = target_states(traces, data, self._coordinator.chains, replicas)
            record = with_coarseness(record, self.path, *states)
        # What other machines compute may differ in the last bits: all take the first rank's.
        record, betas, tuning, centres, scales = self.team.ranks.broadcast(
            (record, after.betas, after.tuning, after.centres, after.scales)
        )
        record = replace(record)  # what arrived from another rank can be written to
        self.state = Between(
            replicas=replicas,
            chains=self._coordinator.chains,
            betas=betas,
            tuning=tuning,
            centres=centres,
            scales=scales,
            records=(*map(without_coarseness, before.records), record),
            traces=traces,
            data=data,
            evidence=evidence,
            pilot=before.pilot,
        )
        self.programs.seconds = 0.0  # they belonged to this round's record
        return record

    def _scans(
        self,
        before: Between,
        driver: Driver,
        progress: Progress,
        keeper: Keeper | None,
        interrupts: Interrupts,
    ) -> tuple[list[Replicas], Traces, Integers]:
        """The scans of the next round: the replicas of each worker after it, what it traced, and
        how many reference draws were made again, all and the likely."""
        number, midway = before.round + 1, before.midway
        path, coordinator = self.path, self._coordinator
        traces = Traces(path, 2**number, self.settings.record, self._disk(number))
        coordinator.chains = before.chains
        coordinator.begin_round(
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
        coordinator.set_proposals(proposals(self.explorer, tuning))
        own = jax.tree.map(operand, operands(self.explorer, tuning))
        betas, own = jax.device_put((operand(before.betas), own))
        replicas, drawn = before.replicas, np.zeros(3, np.int64)
        if midway is not None:
            replicas, drawn = midway.replicas, midway.drawn
            coordinator.resume(midway.scans)
            traces.take_up(midway.traces)
        parts = self.team.split(coordinator, replicas)
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
                        lambda done: progress(number, done, 2**number),
                    )
            except Stopped as caught:
                stopped = caught
                if not driver.stops_anywhere:
                    raise
            self._record(traces, interrupts)
            if keeper is not None and coordinator.n_scans_done < 2**number:
                self._show(keeper, parts, traces, drawn, is_last=stopped is not None)
            if stopped is not None:
                raise stopped
        if traces.disk is not None:
            with interrupts.agreed(stops=False):
                traces.disk.close()
        return parts, traces, drawn

    def _record(self, traces: Traces, interrupts: Interrupts) -> None:
        """Takes the draws of a block from the coordinator."""
        rank = self.team.ranks.rank
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

    def _disk(self, number: int) -> DiskDraws | None:
        """Where the draws of a round go, if they go to a disk."""
        if self.draws_folder is None or "disk" not in self.settings.record:
            return None
        return DiskDraws(self.draws_folder, number, self.path.dimension, self.path.dtype)

    def _show(
        self,
        keeper: Keeper,
        parts: list[Replicas],
        traces: Traces,
        drawn: Integers,
        *,
        is_last: bool,
    ) -> None:
        """Shows the round under way to the keeper, if it is time, or the last chance."""
        ranks = self.team.ranks
        if not is_last and not ranks.broadcast(ranks.rank == 0 and keeper.is_due()):
            return
        if traces.disk is not None:
            traces.disk.sync()
        midway = Midway(
            replicas=self.team.gathered(self._coordinator, parts),
            scans=self._coordinator.unfinished(),
            traces=traces,
            drawn=drawn,
        )
        self.team.on_first_rank(lambda: keeper.keep(midway))

    def _blocks(self, number: int, done: int) -> Iterator[tuple[Block, Integers]]:
        """The scans of a round after those `done`, cut where the batches of reference draws end,
        each with the number of draws in it that were made again."""
        size = self._reference.size
        earlier = 2**number - 2  # scans of all rounds before
        while done < 2**number:
            wanted, first = divmod(earlier + done, size)
            if self._batch is None or self._batch[0] != wanted:
                self._batch = wanted, self._reference.batch(Purpose.reference_draw, wanted)
            n_scans = min(2**number - done, size - first)
            states, counts = self._batch[1]
            has_reference = self.settings.n_chains > 1
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

    def _adapted(
        self,
        before: Between,
        data: RoundData,
        record: RoundRecord,
        evidence: RoundEvidence,
    ) -> Between:
        """With the schedule, the explorer's tuning and the units of moments of the next round."""
        betas = before.betas
        new_betas = self._in_model_precision(
            tuned_schedule(betas, 1 - record.swap_acceptance, record.n_scans, self._reference_v)
        )
        outcome = RoundOutcome(
            round=record.round,
            n_scans=record.n_scans,
            betas=betas,
            new_betas=new_betas,
            statistics=record.explorer,
            counts=data.counts,
            means=data.means,
            squared_deviations=data.squared_deviations,
            snapshots=_snapshots(data, evidence),
            energy_ac1=record.energy_ac1,
            restarts=record.n_restarts / record.n_scans,
            ideal_restarts=ideal_restarts(record.swap_acceptance),
        )
        centres, scales = before.centres, before.scales
        if record.n_scans >= ENOUGH_VISITS:
            explored = (betas > 0)[:, None]
            variances = neighbour_variances(scales**2, outcome)
            centres = carried_over(np.where(explored, data.means, centres), outcome)
            scales = np.sqrt(carried_over(variances, outcome))
        return replace(
            before,
            betas=new_betas,
            tuning=check_adapted(
                self.explorer, before.tuning, self.explorer.adapt(before.tuning, outcome), outcome
            ),
            centres=centres,
            scales=scales,
        )

    def _in_model_precision(self, betas: Floats) -> Floats:
        """Betas that the model's number type holds exactly, so that explorers, which compute in
        that type, keep the very densities that the swaps compare."""
        rounded = np.asarray(betas).astype(self.path.dtype).astype(np.float64)
        return rounded if np.all(np.diff(rounded) > 0) else np.asarray(betas)


def _snapshots(data: RoundData, evidence: RoundEvidence) -> Snapshots | None:
    """The states that the explorer asked to see, or None."""
    stride = data.snapshot_stride
    if stride == 0:
        return None
    return Snapshots(
        x=data.snapshots,
        v=data.v[stride - 1 :: stride],
        log_z=np.nan_to_num(evidence.log_z_by_chain),
    )
