"""Wires a run together: the one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast, overload

from numpygeons.checkpoint.description import describe
from numpygeons.checkpoint.folder import Folder, check_argument
from numpygeons.distributed.result import Result
from numpygeons.distributed.start import Place, check_place, start
from numpygeons.explorers.base import Explorer
from numpygeons.explorers.checks import check_members, check_sizes
from numpygeons.explorers.hmc import HMC
from numpygeons.parallel.ranks import find_ranks
from numpygeons.parallel.signals import listening
from numpygeons.parallel.team import Team
from numpygeons.result import PT
from numpygeons.runs.checked_round import as_checked_round
from numpygeons.runs.going_on import refuse_arguments, refuse_changes
from numpygeons.runs.run import Checkpoint, Run
from numpygeons.settings import (
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
    """Run non-reversible parallel tempering from the reference (the prior) to the target.

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
        What to keep beyond the records of the rounds; default `record_default()`, which keeps the
        draws. "traces": the draws, in memory. "disk": the draws, in files of the run's folder.
        "online": their mean and variance, for `PT.mean` and `PT.var`. "index_process": which
        replica was at which chain, for `PT.index_process`. Scripts for Pigeons may also name
        "log_sum_ratio", "timing", "round_trip" and "energy_ac1": these are always on, in
        `PT.rounds`, and naming them changes nothing.
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
    check_workers(driver, team.ranks.size if on is None else on.n_processes, team.n_threads)
    how = _How(team, on, checkpoint, checked_round, show_report)
    with team.one_voice(), team.one_run(), listening(ends=False):
        team.require_the_same_call(
            checkpoint=checkpoint if isinstance(checkpoint, bool) else os.fspath(checkpoint),
            checked_round=checked_round,
            show_report=show_report,
            settings=settings,
            explorer=explorer,
            rounds=len(target.rounds) if isinstance(target, PT) else 0,
        )
        if isinstance(target, PT):
            asked = {
                "n_chains": n_chains,
                "seed": seed,
                "driver": driver,
                "lanes": lanes,
                "record": record,
            }
            run = target._run
            refuse_arguments(model_args=model_args, model_kwargs=model_kwargs)
            refuse_changes(run, settings, asked, explorer)
            return _go_on(target, settings.n_rounds, how)
        return _begin(target, model_args, model_kwargs, explorer, settings, how)


class _How(NamedTuple):
    """Where and how rounds are done; none of it changes their results."""

    team: Team
    on: Place | None
    checkpoint: Checkpoint
    checked_round: int | None
    show_report: bool

    def do_rounds(self, run: Run, total: int, checked: int) -> None:
        run.go_on(total, show_report=self.show_report, checked_round=checked)


def _begin(
    target: Any,
    model_args: tuple[Any, ...],
    model_kwargs: Mapping[str, Any] | None,
    explorer: Explorer | None,
    settings: Settings,
    how: _How,
) -> PT | Result:
    """Begin a new run."""
    checked = as_checked_round(how.checked_round, 0, settings.n_rounds)
    if explorer is not None:
        check_members(explorer)
    if callable(target):
        target = NumPyroPath(target, model_args, model_kwargs)
        model_args, model_kwargs = (), None
    path = as_path(target, model_args, model_kwargs)
    explorer = explorer or HMC()
    check_sizes(explorer, settings.n_chains, path.dimension)
    if how.on is not None:
        made = Folder.make(how.checkpoint or True, describe(target, explorer, settings, path))
        return start(how.on, made.path, settings.n_rounds, how.show_report, checked)
    run = Run.begun(
        target,
        path,
        explorer,
        settings,
        how.team,
        checkpoint=how.checkpoint,
        show_report=how.show_report,
    )
    how.do_rounds(run, settings.n_rounds, checked)
    return PT(run)


def _go_on(pt: PT, n_rounds: int, how: _How) -> PT | Result:
    """Go on with a run that there is, here or elsewhere."""
    run = pt._run
    total = max(n_rounds, run.rounds.settings.n_rounds)
    checked = as_checked_round(how.checked_round, len(pt.rounds), total)
    if how.on is not None:
        folder = run.place_to_go_on(how.checkpoint)
        return start(how.on, folder, total, how.show_report, checked)
    if how.checkpoint is not False:
        run.keep(how.checkpoint, how.team)
    run.rounds.work_with(how.team)
    how.do_rounds(run, total, checked)
    return pt
