"""Wires a run together: the one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, overload

from numpygeons.checkpoint.folder import DRAWS, Folder, check_argument, describe, keep
from numpygeons.checkpoint.loading import load_run
from numpygeons.distributed.result import Result
from numpygeons.distributed.start import Place, check_place, start
from numpygeons.errors import NumericalError, warn_user
from numpygeons.explorers.base import Explorer
from numpygeons.explorers.checks import check_members, check_sizes, is_trusted
from numpygeons.explorers.hmc import HMC
from numpygeons.parallel.ranks import find_ranks
from numpygeons.parallel.signals import is_ending, listening, raise_if_interrupted
from numpygeons.parallel.team import Team
from numpygeons.result import PT
from numpygeons.rounds.rounds import Rounds
from numpygeons.runs.checked_round import as_checked_round, check_round
from numpygeons.runs.report import Reporter, header, verdict
from numpygeons.settings import (
    Default,
    DefaultInteger,
    DefaultName,
    Lanes,
    Settings,
    as_count,
    as_integer,
    as_lanes,
    as_recorders,
    as_switch,
    check_workers,
)
from numpygeons.target.path import JaxTarget, NumPyroPath, as_path
from numpygeons.target.path import Path as Tempered
from numpygeons.xla.compilation_cache import kept_programs

Target = Callable[..., Any] | NumPyroPath | JaxTarget | PT
N_CHAINS, SEED = DefaultInteger(10), DefaultInteger(1)
DRIVER, LANES = DefaultName("fused"), cast(Literal["auto"], DefaultName("auto"))


@overload
def pigeons(
    target: Target,
    *,
    model_args: tuple[Any, ...] = ...,
    model_kwargs: Mapping[str, Any] | None = None,
    n_chains: int = 10,
    n_rounds: int = 10,
    seed: int = 1,
    explorer: Explorer | None = None,
    record: Iterable[Any] | None = None,
    n_threads: int = 1,
    checkpoint: Any = False,
    checked_round: int | None = None,
    on: None = None,
    show_report: bool = True,
    driver: str = "fused",
    lanes: Lanes = "auto",
) -> PT: ...


@overload
def pigeons(
    target: Target,
    *,
    model_args: tuple[Any, ...] = ...,
    model_kwargs: Mapping[str, Any] | None = None,
    n_chains: int = 10,
    n_rounds: int = 10,
    seed: int = 1,
    explorer: Explorer | None = None,
    record: Iterable[Any] | None = None,
    n_threads: int = 1,
    checkpoint: Any = False,
    checked_round: int | None = None,
    on: Place,
    show_report: bool = True,
    driver: str = "fused",
    lanes: Lanes = "auto",
) -> Result: ...


@kept_programs()
def pigeons(
    target: Target,
    *,
    model_args: tuple[Any, ...] = (),
    model_kwargs: Mapping[str, Any] | None = None,
    n_chains: int = N_CHAINS,
    n_rounds: int = 10,
    seed: int = SEED,
    explorer: Explorer | None = None,
    record: Iterable[Any] | None = None,
    n_threads: int = 1,
    checkpoint: Any = False,
    checked_round: int | None = None,
    on: Place | None = None,
    show_report: bool = True,
    driver: str = DRIVER,
    lanes: Lanes = LANES,
) -> PT | Result:
    """Runs non-reversible parallel tempering from the reference (the prior) to the target.

    Parameters
    ----------
    target : callable, NumPyroPath, JaxTarget or PT
        A NumPyro model, with `model_args` and `model_kwargs`; or a path; or a run to go on with
        until it has `n_rounds` rounds, or those it was asked for if that is more.
    n_chains : int
        Number of chains; 1 is plain MCMC on the target, without evidence.
    n_threads : int
        Threads that explore, at most: no more than there are replicas and cores. Under mpirun each
        rank has so many. Neither changes the results.
    n_rounds : int
        Round r has 2**r scans; the draws come from the last round. 0 only initialises.
    seed : int
        The same seed gives the same bits.
    explorer : Explorer, optional
        Default `HMC()`.
    record : iterable of str, optional
        Recorders by name; default `record_default()`.
    checkpoint : bool or folder
        Write the run down after every round, so that `load` can open it whatever happens: True
        makes results/all/<time>-<id>, to which results/latest leads; a folder must be new or
        empty. A run that was loaded from such a folder goes on writing to it.
    checked_round : int, optional
        Run this round again, in one process with one thread, and compare every bit: raises
        `ReproducibilityError` with the first difference where the model is not a function of its
        arguments. Costs the time of that round done alone. Default None, or 0: no round.
    on : ChildProcess, SlurmJob, PBSJob or LSFJob, optional
        Where to run; default this process, or the ranks that mpirun started. The model need not
        import anything: functions of a notebook, of `__main__` and of modules beside it are sent
        along.
    show_report : bool
        Print one row per round as it finishes.
    driver : {"fused", "stepwise", "device"}
        "fused" runs each round as one compiled program; "stepwise" calls the compiled exploration
        once per scan, for debugging. The draws are the same. "device" is for an accelerator that
        computes in double precision, with one process and one thread: many scans in one call, all
        replicas explored together, swaps decided there and checked here. Its draws agree to
        rounding, which a long run magnifies.
    lanes : int > 0 or "auto"
        Replicas that are explored in step, as one batch: "auto" is one on a CPU, all on an
        accelerator and for the driver "device". The width shows in the last bits of the draws;
        threads and ranks do not.

    Returns
    -------
    PT
        Draws, evidence and records. Interrupted by Ctrl-C after the first round, it holds the
        finished rounds (`interrupted` is True), and can be continued.
    Result
        With `on`: follows the run; `numpygeons.load(result)` is its PT.

    Raises
    ------
    TypeError, ValueError
        For bad arguments.
    ModelError
        For a model that cannot be tempered, naming the site.
    NumericalError
        Where numbers leave no way on, naming replica, chain, beta and scan.
    CheckpointError
        Where the folder cannot be written to: before anything is compiled, or when a disk is full.
    ReproducibilityError
        With `checked_round`: the same round has other bits when it is run again. With
        driver="device": the device decided a swap otherwise than the coordinator.
    RunError
        With `on`: the run failed, or could not be submitted.

    References
    ----------
    Syed, Bouchard-Cote, Deligiannidis & Doucet (2022), Non-reversible parallel tempering: a
    scalable highly parallel MCMC scheme, JRSS B 84(2), doi:10.1111/rssb.12464.
    """
    if on is not None:
        check_place(on, n_threads)
        n_threads = on.n_threads
    check_argument(checkpoint)
    show_report = as_switch("show_report", show_report)
    team = Team(ranks=find_ranks(), n_threads=as_count("n_threads", n_threads))
    settings = Settings(
        n_chains=as_integer("n_chains", n_chains),
        n_rounds=as_integer("n_rounds", n_rounds),
        seed=as_integer("seed", seed),
        record=as_recorders(record),
        driver=str(driver) if isinstance(driver, str) else driver,
        lanes=as_lanes(lanes),
    )
    n_processes = team.ranks.size if on is None else on.n_processes
    check_workers(driver, n_processes, team.n_threads)
    with team.one_voice(), team.one_run(), listening(ends=False):
        team.require_the_same_call(
            checkpoint=checkpoint if isinstance(checkpoint, bool) else os.fspath(checkpoint),
            checked_round=checked_round,
            show_report=bool(show_report),
            settings=settings,
            explorer=explorer,
            rounds=len(target.rounds) if isinstance(target, PT) else 0,
        )
        if isinstance(target, PT):
            arguments = {"model_args": model_args, "model_kwargs": model_kwargs}
            asked = {
                "n_chains": n_chains,
                "seed": seed,
                "driver": driver,
                "lanes": lanes,
                "record": record,
            }
            _refuse_changes(target, settings, arguments, asked, explorer)
            total = max(settings.n_rounds, target._rounds.settings.n_rounds)
            checked = as_checked_round(checked_round, len(target.rounds), total)
            if on is not None:
                return start(on, _folder_of(target, checkpoint), total, show_report, checked)
            if checkpoint is not False:
                team.on_first_rank(partial(target._keep, checkpoint))
                target._folder = team.ranks.broadcast(target._folder)
            target._rounds.work_with(team)
            _continue(target, total, show_report, checked)
            return target
        checked = as_checked_round(checked_round, 0, settings.n_rounds)
        if explorer is not None:
            check_members(explorer)
        if callable(target):
            target = NumPyroPath(target, model_args, model_kwargs)
            model_args, model_kwargs = (), None
        path = as_path(target, model_args, model_kwargs)
        explorer = explorer or HMC()
        check_sizes(explorer, settings.n_chains, path.dimension)
        if on is not None:
            made = Folder.make(checkpoint or True, describe(target, explorer, settings, path))
            return start(on, made.path, settings.n_rounds, show_report, checked)
        pt = _started(target, path, explorer, settings, team, checkpoint, show_report)
        _continue(pt, settings.n_rounds, show_report, checked)
        return pt


def _started(
    target: Any,
    path: Tempered,
    explorer: Explorer,
    settings: Settings,
    team: Team,
    checkpoint: Any,
    show_report: bool,
) -> PT:
    """A run before its first round, with its folder if it has one."""
    folder: Folder | None = None
    if checkpoint is not False:
        made = team.on_first_rank(
            lambda: Folder.make(checkpoint, describe(target, explorer, settings, path))
        )
        folder = team.ranks.broadcast(made)
    elif "disk" in settings.record:
        raise ValueError(
            "the recorder 'disk' writes to the folder of checkpoint=: got checkpoint=False; ask "
            "for checkpoint=True or name a folder"
        )
    if show_report and team.ranks.rank == 0:
        print("compiling ...", flush=True)
    try:
        rounds = Rounds(path, explorer, settings, target, team)
    except Exception:
        if folder is not None and team.ranks.rank == 0:
            folder.discard()
        raise
    return PT(rounds, partial(_continue, show_report=show_report), folder)


def _write_samples(pt: PT, folder: Folder) -> None:
    """Leaves the draws by site beside the checkpoints."""
    samples = pt._kept_samples()
    if samples is not None:
        folder.write_samples(len(pt.rounds), samples)


def _folder_of(pt: PT, checkpoint: Any) -> Path:
    """Where the run is written down, to go on in other processes: its own folder, unless
    `checkpoint` names another."""
    if pt._folder is not None and isinstance(checkpoint, bool):
        return pt._folder.path
    return keep(pt._rounds, pt._run, checkpoint or True).path


@kept_programs()
def load(path_or_result: Any) -> PT:
    """Opens a run that `checkpoint=` or `PT.save` has written, as it was after its last round.

    Everything can be read at once; nothing is compiled before it goes on, by `pigeons(pt)` or
    `pt.extend()`, with the same bits as a run that was never stopped. What it was made of is
    pickled: open only what you trust.

    Parameters
    ----------
    path_or_result : folder, or an object whose `folder` is one
        For instance "results/latest".

    Raises
    ------
    CheckpointError
        When there is no run, it is damaged, or its model has changed its shape. Where the last
        round alone is damaged, a warning says so and the round before it is taken.
    """
    loaded = load_run(path_or_result)
    pt = PT(loaded.rounds, partial(_continue, show_report=True), loaded.folder, loaded.run)
    pt.interrupted = len(pt.rounds) < loaded.rounds.settings.n_rounds
    return pt


def _refuse_changes(
    pt: PT,
    settings: Settings,
    arguments: Mapping[str, Any],
    asked: Mapping[str, Any],
    explorer: Explorer | None,
) -> None:
    """A run that goes on keeps its target and its settings: what is given is not ignored, but must
    agree. `arguments` are those of a model, `asked` are settings as they were asked for."""
    for name, value in arguments.items():
        if value:
            raise ValueError(
                f"{name} cannot be given when a run goes on, which has its model and its data: got "
                f"{value!r}; for other data start a new run, pigeons(model, {name}=...)"
            )
    given = (name for name, value in asked.items() if not isinstance(value, Default | None))
    for name in sorted(given):
        got, had = getattr(settings, name), getattr(pt._rounds.settings, name)
        if got != had:
            raise ValueError(f"{name} cannot change when a run goes on: got {got!r}, had {had!r}")
    if explorer is not None and explorer != pt._rounds.explorer:
        raise ValueError(
            f"explorer cannot change when a run goes on: got {explorer!r}, "
            f"had {pt._rounds.explorer!r}"
        )


@kept_programs()
def _continue(pt: PT, total: int, show_report: bool, checked: int = 0) -> None:
    """Runs rounds until there are `total`, and the round `checked` again alone. Ctrl-C ends it,
    leaving the finished ones. SIGTERM does so too where there is a folder, and the process ends."""
    with listening(ends=pt._folder is not None):
        _run_rounds(pt, total, show_report, checked)


def _run_rounds(pt: PT, total: int, show_report: bool, checked: int) -> None:
    rounds = pt._rounds
    rounds.settings = replace(rounds.settings, n_rounds=max(total, rounds.settings.n_rounds))
    if rounds.state.round >= total:
        return
    folder, team = pt._folder, rounds.team
    if folder is not None:
        team.on_first_rank(lambda: folder.ask_for(rounds.settings))
        rounds.draws_folder = folder.path / DRAWS
    elif "disk" in rounds.settings.record:
        raise ValueError(
            "the recorder 'disk' writes to the run's folder, and this run has none: name one by "
            "pigeons(pt, checkpoint=...)"
        )
    rounds.prepare()
    raise_if_interrupted()
    pt.interrupted = False
    with (
        team.one_run(),
        rounds.interrupts() as interrupts,
        Reporter(
            show=show_report and team.ranks.rank == 0,
            n_scans=2 ** (total + 1) - 2 ** (rounds.state.round + 1),
        ) as reporter,
    ):
        seconds = rounds.programs.seconds
        if rounds.state.round == 0 or seconds > 0:
            reporter.say(f"compiled in {seconds:.1f} s")
        if folder is not None:
            reporter.say(f"checkpoints in {folder.path}")
        reporter.say(header(reporter.width))
        try:
            while rounds.state.round < total:
                watch = None if folder is None else folder.watch(rounds.state.round + 1)
                before = rounds.state
                record = rounds.advance(reporter.scans, watch, interrupts)
                pt.forget_samples()
                if folder is not None:
                    team.on_first_rank(lambda: folder.write(rounds.state))
                reporter.finished(record)
                if record.round == checked:
                    check_round(rounds, before)
                    reporter.say(f"round {checked} has the same bits in one process of one thread")
        except NumericalError as error:
            if not is_trusted(rounds.explorer):
                error.add_note(
                    f"where beta > 0, {type(rounds.explorer).__name__}.explore returned that "
                    "state: it must give finite coordinates, densities and statistics, and keep "
                    "the old state where a move ends elsewhere"
                )
            raise
        except KeyboardInterrupt:
            if rounds.state.round == 0:
                raise
            pt.interrupted = True
            if folder is not None:  # the interrupt may have met the writing
                team.on_first_rank(lambda: folder.write(rounds.state))
        if folder is not None and not is_ending():
            team.on_first_rank(lambda: _write_samples(pt, folder))
        reporter.say(verdict(pt.rounds))
    if pt.interrupted:
        warn_user(
            f"interrupted in round {rounds.state.round + 1} of {total}: the result holds the "
            f"{rounds.state.round} finished rounds; pigeons(pt, n_rounds={total}) goes on"
        )
    if not show_report and team.ranks.rank == 0:
        for flag in pt.flags:
            if flag.severity == "wrong":
                warn_user(str(flag))
