"""Runs rounds: scans with one schedule, then everything that is measured and adapted."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numpygeons._core.engine import RoundData
from numpygeons._core.evidence import RoundEvidence
from numpygeons._core.random import Purpose
from numpygeons.arrays import Floats
from numpygeons.drivers.base import Driver
from numpygeons.explorers.base import Explorer, step_sizes
from numpygeons.parallel.team import Interrupts, Team
from numpygeons.records import RoundRecord
from numpygeons.rounds.adaptation import adapted
from numpygeons.rounds.coarseness import with_coarseness, without_coarseness
from numpygeons.rounds.measurement import measure
from numpygeons.rounds.programs import RoundPrograms, first_operands
from numpygeons.rounds.reference_draws import ReferenceDraws, with_reference_draws
from numpygeons.rounds.run_state import Between, nowhere
from numpygeons.rounds.same_model import check_same_model, pilot_of
from numpygeons.rounds.scan_round import Keeper, Progress, Scanned, Scans, Watch
from numpygeons.rounds.setup import before_the_first_round, coordinator_of
from numpygeons.rounds.starting_points import starting_points
from numpygeons.rounds.traces import target_states
from numpygeons.settings import Settings, check_workers
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Replicas, make_evaluate
from numpygeons.xla.blas_threads import one_blas_thread
from numpygeons.xla.callback_errors import callbacks_may_raise
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.precision import run_precision


class Rounds:
    """A run: where it stands, and how to do the next round."""

    def __init__(
        self,
        path: TemperedPath,
        explorer: Explorer,
        settings: Settings,
        target: Any = None,
        team: Team | None = None,
    ) -> None:
        """Compile, draw from the reference, and find starting points. `target`: what the path
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
        cls,
        path: TemperedPath,
        explorer: Explorer,
        settings: Settings,
        target: Any,
        state: Between | None,
    ) -> Rounds:
        """Return a run that was written down, without compiling anything before it goes on; `state`
        is None where no round was finished."""
        rounds = cls.__new__(cls)
        rounds._describe(path, explorer, settings, target)
        rounds.is_started = state is not None
        if state is not None:
            rounds.state = state
        return rounds

    def _describe(
        self, path: TemperedPath, explorer: Explorer, settings: Settings, target: Any
    ) -> None:
        self.path, self.explorer, self.settings, self.target = path, explorer, settings, target
        self.is_prepared = self.is_started = False
        self.draws_folder: Path | None = None  # of the recorder "disk"
        self.team = Team()
        self.state = nowhere(settings.n_chains, path.dimension)

    def copied(self) -> Rounds:
        """Return the same run, to go on by itself: alone in its process, with the same path."""
        state = self.state if self.is_started else None
        return Rounds.loaded(self.path, self.explorer, self.settings, self.target, state)

    def work_with(self, team: Team) -> None:
        """Let others do the work from now on; the results do not change."""
        if team != self.team:
            self.team, self.is_prepared = team, False

    def prepare(self) -> None:
        """Compile what rounds need, and start a run that has not begun. Once is enough.

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
        path, explorer, settings, team = self.path, self.explorer, self.settings, self.team
        check_workers(settings.driver, team.ranks.size, team.n_threads)
        evaluate = make_evaluate(path, with_gradients=explorer.needs_gradients)
        self._coordinator = coordinator_of(path, explorer, settings, team)
        self.programs = RoundPrograms(path, evaluate, explorer, settings, self._coordinator.n_rows)
        if self.is_started:
            self.programs.prepare(explorer.operands(self.state.tuning))
        else:
            self.programs.prepare(first_operands(explorer, settings.n_chains, path.dimension))
        reference = ReferenceDraws(self.programs.reference(), path.dimension, settings.seed)
        self._scans = Scans(path, explorer, settings, team, self._coordinator, reference)
        with callbacks_may_raise("at draws from the reference, before round 1"):
            pilot = reference.batch(Purpose.initial_state, 0).states
        self._reference_v: Floats = np.sort(np.asarray(pilot.v, np.float64))[::-1]
        team.require_the_same(settings, explorer, np.asarray(pilot.x), np.asarray(pilot.v))
        was, now = self.state.pilot, pilot_of(pilot)
        if was is None:
            self.state = replace(self.state, pilot=now)
        else:
            team.on_first_rank(partial(check_same_model, was, now))
        if not self.is_started:
            with callbacks_may_raise("in search of starting points, before round 1"):
                replicas = starting_points(path, evaluate, reference, pilot, settings.n_chains)
            draws = np.asarray(pilot.x, np.float64)
            self.state = before_the_first_round(
                replicas, draws, self._reference_v, explorer, self.state.pilot
            )

    @property
    def driver(self) -> Driver:
        """Who does the next round."""
        return self.programs.driver(self.explorer.operands(self.state.tuning))

    def interrupts(self) -> AbstractContextManager[Interrupts]:
        """Let Ctrl-C on one rank end the rounds within on all, at the same scan."""
        return self.team.interrupts(self._coordinator)

    def advance(
        self,
        progress: Progress,
        keeper: Keeper | None = None,
        interrupts: Interrupts | None = None,
    ) -> RoundRecord:
        """Run the next round, adapt, and return its record. Interrupted, it changes nothing.

        `keeper` sees the round in its middle when it is due; all ranks have one, or none.
        `interrupts` are those that the rounds are within.
        """
        # In the path's precision, also where the caller has left it.
        with run_precision(self.path.dtype), one_blas_thread():
            interrupts = interrupts or Interrupts(self.team.ranks, self._coordinator)
            return self._advance(Watch(progress, keeper, interrupts))

    def _advance(self, watch: Watch) -> RoundRecord:
        """Explore and swap, measure, adapt; then the state is that before the next round."""
        before, driver = self.state, self.driver  # compiled before the clock starts
        start = time.perf_counter()
        with callbacks_may_raise(f"in round {before.round + 1}"):
            scanned = self._scans.run(before, driver, watch, self.draws_folder)
        data = self._coordinator.end_round()
        replicas = self.team.gathered(self._coordinator, scanned.parts)
        record, evidence = self._measured(before, data, scanned)
        after = adapted(
            before, data, record, evidence, self.explorer, self._reference_v, self.path.dtype
        )
        record = replace(record, seconds=time.perf_counter() - start)
        record = self._checked_last(record, data, scanned, replicas)
        record, after = self._agreed(record, after)
        self.state = replace(
            after,
            replicas=replicas,
            chains=self._coordinator.chains,
            records=(*map(without_coarseness, before.records), record),
            traces=scanned.traces,
            data=data,
            evidence=evidence,
            midway=None,
        )
        self.programs.seconds = 0.0  # they belonged to this round's record
        return record

    def _measured(
        self, before: Between, data: RoundData, scanned: Scanned
    ) -> tuple[RoundRecord, RoundEvidence]:
        """Return what the round says, before it is known how long it took."""
        steps = step_sizes(before.tuning, self.settings.n_chains)
        record, evidence = measure(data, before.betas, self.explorer.statistics, steps)
        record = with_reference_draws(record, scanned.drawn)
        numbers = self.explorer.chosen(before.tuning)
        explored = {name: np.where(before.betas > 0, a, np.nan) for name, a in numbers.items()}
        record = replace(record, compile_seconds=self.programs.seconds, chosen=explored)
        return record, evidence

    def _checked_last(
        self, record: RoundRecord, data: RoundData, scanned: Scanned, replicas: Replicas
    ) -> RoundRecord:
        """Add what rounding does to V after the last round that was asked for."""
        if record.round != self.settings.n_rounds or self.team.ranks.rank > 0:
            return record
        states = target_states(scanned.traces, data, self._coordinator.chains, replicas)
        return with_coarseness(record, self.path, *states)

    def _agreed(self, record: RoundRecord, after: Between) -> tuple[RoundRecord, Between]:
        """Take the first rank's on all: what other machines compute may differ in the last bits."""
        record, betas, tuning, centres, scales = self.team.ranks.broadcast(
            (record, after.betas, after.tuning, after.centres, after.scales)
        )
        after = replace(after, betas=betas, tuning=tuning, centres=centres, scales=scales)
        return replace(record), after  # what arrived from another rank can be written to
