"""A run: how it begins, goes on round by round, is written down, and stops."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from numpygeons.checkpoint.description import Description, describe
from numpygeons.checkpoint.folder import DRAWS, Folder, keep, save
from numpygeons.checkpoint.loading import load_run
from numpygeons.checkpoint.value import Packed, pack, unpack
from numpygeons.errors import NumericalError, warn_user
from numpygeons.explorers.base import Explorer
from numpygeons.explorers.checks import is_trusted
from numpygeons.parallel.signals import is_ending, listening, raise_if_interrupted
from numpygeons.parallel.team import Interrupts, Team
from numpygeons.rounds.rounds import Rounds
from numpygeons.runs.checked_round import check_round
from numpygeons.runs.flags import flags_of
from numpygeons.runs.last_round import LastRound, Sites
from numpygeons.runs.report import Reporter, header, verdict
from numpygeons.settings import Settings
from numpygeons.target.path import TemperedPath
from numpygeons.xla.compilation_cache import kept_programs

Checkpoint = bool | str | os.PathLike[str]


class Run:
    """Rounds, the folder they are written to, if there is one, and whether they were interrupted.

    All ranks hold the same run; the first one writes and speaks.
    """

    def __init__(
        self,
        rounds: Rounds,
        folder: Folder | None = None,
        description: Description | None = None,
        *,
        interrupted: bool = False,
    ) -> None:
        self.rounds = rounds
        self.folder = folder
        self.description = folder.description if folder is not None else description
        self.interrupted = interrupted
        self._last_round: LastRound | None = None

    @classmethod
    def begun(
        cls,
        target: Any,
        path: TemperedPath,
        explorer: Explorer,
        settings: Settings,
        team: Team,
        *,
        checkpoint: Checkpoint,
        show_report: bool,
    ) -> Run:
        """Return a run before its first round, with its folder if it is to have one."""
        folder: Folder | None = None
        if checkpoint is not False:
            made = team.on_first_rank(
                lambda: Folder.make(checkpoint, describe(target, explorer, settings, path))
            )
            folder = team.ranks.broadcast(made)
        elif "disk" in settings.record:
            raise ValueError(
                "the recorder 'disk' writes to the folder of checkpoint=: got checkpoint=False; "
                "ask for checkpoint=True or name a folder"
            )
        if show_report and team.ranks.rank == 0:
            print("compiling ...", flush=True)
        try:
            rounds = Rounds(path, explorer, settings, target, team)
        except Exception:
            if folder is not None and team.ranks.rank == 0:
                folder.discard()
            raise
        return cls(rounds, folder)

    @classmethod
    def loaded(cls, path_or_result: Any) -> Run:
        """Return a run from its folder (`checkpoint.loading.load_run`)."""
        rounds, description, folder = load_run(path_or_result)
        is_whole = rounds.state.round >= rounds.settings.n_rounds
        return cls(rounds, folder, description, interrupted=not is_whole)

    # Reading

    @property
    def last_round(self) -> LastRound:
        """The last finished round.

        Raises
        ------
        RuntimeError
            When there is none.
        """
        state = self.rounds.state
        if not state.records:
            raise RuntimeError("no round is finished: nothing was measured; ask for n_rounds >= 1")
        if self._last_round is None or self._last_round.record is not state.records[-1]:
            self._last_round = LastRound(self.rounds.path, state)
        return self._last_round

    # Going on

    @kept_programs()
    def go_on(self, total: int, *, show_report: bool = True, checked_round: int = 0) -> None:
        """Do rounds until there are `total`, and the round of number `checked_round` again alone.

        Ctrl-C ends it, leaving the finished ones. SIGTERM does so too where there is a folder, and
        the process ends.
        """
        rounds = self.rounds
        with listening(ends=self.folder is not None):
            rounds.settings = replace(
                rounds.settings, n_rounds=max(total, rounds.settings.n_rounds)
            )
            if rounds.state.round >= total:
                return
            self._take_folder()
            rounds.prepare()
            raise_if_interrupted()
            self._do_rounds(total, show_report, checked_round)
            if self.interrupted:
                warn_user(
                    f"interrupted in round {rounds.state.round + 1} of {total}: the result holds "
                    f"the {rounds.state.round} finished rounds; pigeons(pt, n_rounds={total}) goes "
                    "on"
                )
            if not show_report and rounds.team.ranks.rank == 0:
                for flag in flags_of(rounds.state.records):
                    if flag.severity == "wrong":
                        warn_user(str(flag))

    def _do_rounds(self, total: int, show_report: bool, checked_round: int) -> None:
        rounds, team = self.rounds, self.rounds.team
        self.interrupted = False
        with (
            team.one_run(),
            rounds.interrupts() as interrupts,
            Reporter(
                show=show_report and team.ranks.rank == 0,
                n_scans=2 ** (total + 1) - 2 ** (rounds.state.round + 1),
            ) as reporter,
            _hint_for(rounds.explorer),
        ):
            self._introduce(reporter)
            try:
                while rounds.state.round < total:
                    self._do_round(reporter, interrupts, checked_round)
            except KeyboardInterrupt:
                if rounds.state.round == 0:
                    raise
                self.interrupted = True
                # The interrupt may have met the writing.
                self._write(lambda folder: folder.write(rounds.state))
            if not is_ending():
                self._write(self._write_samples)
            reporter.say(verdict(rounds.state.records))

    def _do_round(self, reporter: Reporter, interrupts: Interrupts, checked_round: int) -> None:
        rounds, before = self.rounds, self.rounds.state
        keeper = None if self.folder is None else self.folder.keeper(before.round + 1)
        record = rounds.advance(reporter.scans, keeper, interrupts)
        self._last_round = None  # its draws need not stay in memory
        self._write(lambda folder: folder.write(rounds.state))
        reporter.finished(record)
        if record.round == checked_round:
            check_round(rounds, before)
            reporter.say(f"round {record.round} has the same bits in one process of one thread")

    def _introduce(self, reporter: Reporter) -> None:
        seconds = self.rounds.programs.seconds
        if self.rounds.state.round == 0 or seconds > 0:
            reporter.say(f"compiled in {seconds:.1f} s")
        if self.folder is not None:
            reporter.say(f"checkpoints in {self.folder.path}")
        reporter.say(header(reporter.width))

    # Writing down

    def keep(self, checkpoint: Checkpoint, team: Team) -> None:
        """Write the run down as it is, and from now on after every round; True keeps a folder
        that it has. `team`: the ranks that call this."""
        if self.folder is not None and checkpoint is True:
            return
        made = team.on_first_rank(lambda: keep(self.rounds, self.description, checkpoint))
        self.folder = folder = team.ranks.broadcast(made)
        assert folder is not None
        self.description = folder.description

    def place_to_go_on(self, checkpoint: Checkpoint) -> Any:
        """Return the folder from which other processes go on: the run's own, unless `checkpoint`
        names another."""
        if self.folder is not None and isinstance(checkpoint, bool):
            return self.folder.path
        return keep(self.rounds, self.description, checkpoint or True).path

    def save(self, path: Any) -> None:
        """Write the run as it is to a folder (`PT.save`)."""
        if self.rounds.team.ranks.rank > 0:
            return
        self.description = save(self.rounds, self.description, path, self._kept_sites())

    def _take_folder(self) -> None:
        """Write down how many rounds there are to be, and send recorders to the folder."""
        rounds = self.rounds
        if self.folder is not None:
            self._write(lambda folder: folder.ask_for(rounds.settings))
            rounds.draws_folder = self.folder.path / DRAWS
        elif "disk" in rounds.settings.record:
            raise ValueError(
                "the recorder 'disk' writes to the run's folder, and this run has none: name one "
                "by pigeons(pt, checkpoint=...)"
            )

    def _write(self, how: Callable[[Folder], None]) -> None:
        """Write on the first rank, where the run has a folder."""
        if self.folder is not None:
            self.rounds.team.on_first_rank(partial(how, self.folder))

    def _write_samples(self, folder: Folder) -> None:
        """Leave the draws by site beside the checkpoints."""
        sites = self._kept_sites()
        if sites is not None:
            folder.write_samples(self.rounds.state.round, sites)

    def _kept_sites(self) -> Sites | None:
        """Return the draws by site, where memory holds the draws."""
        has_draws = self.rounds.state.records and self.last_round.keeps_draws
        return self.last_round.sites if has_draws else None

    # A run as a value

    def copied(self) -> Run:
        """Return a run that goes on by itself, without a folder; what is finished is shared, and
        cannot be changed."""
        return Run(self.rounds.copied(), interrupted=self.interrupted)

    def packed(self) -> tuple[Packed, bool, Any]:
        """Pack it for `unpacked` in any process. Raises TypeError where the model or the explorer
        cannot be pickled."""
        made = None if self._last_round is None else self._last_round.made_sites
        return pack(self.rounds, self.description), self.interrupted, made

    @staticmethod
    def unpacked(packed: Packed, interrupted: bool, sites: Any) -> Run:
        """Return what was packed: it has no folder, so that two runs do not write to one."""
        run = Run(unpack(packed), interrupted=interrupted)
        if sites is not None:
            run.last_round.take_sites(sites)
        return run


@contextmanager
def _hint_for(explorer: Explorer) -> Iterator[None]:
    """Add to a numerical error what a user's own explorer must see to."""
    try:
        yield
    except NumericalError as error:
        if not is_trusted(explorer):
            error.add_note(
                f"where beta > 0, {type(explorer).__name__}.explore returned that state: it must "
                "give finite coordinates, densities and statistics, and keep the old state where "
                "a move ends elsewhere"
            )
        raise
