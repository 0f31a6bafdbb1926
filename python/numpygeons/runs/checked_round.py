"""Runs one round again in one process with one thread, and names the first difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from typing import Any

import jax
import numpy as np

from numpygeons.errors import ReproducibilityError
from numpygeons.records import RoundRecord
from numpygeons.rounds.rounds import Rounds
from numpygeons.rounds.run_state import Between
from numpygeons.settings import as_integer

CAUSES = (
    "a model or an explorer does that which draws random numbers itself, reads a clock or a file, "
    "or keeps state in a callback"
)
TIMES = ("seconds", "compile_seconds")
BY_CHAIN = ("counts", "means", "squared_deviations")  # of the round's data


def as_checked_round(value: Any, n_done: int, n_rounds: int) -> int:
    """Return the number of the round to check; 0 for none.

    Raises
    ------
    TypeError, ValueError
        For what is no integer, or no round of those that are to come.
    """
    if value is None:
        return 0
    number = as_integer("checked_round", value)
    if number != 0 and not n_done < number <= n_rounds:
        raise ValueError(
            f"checked_round must lie between {n_done + 1} and {n_rounds}, the rounds to come, or "
            f"be None: got {number}"
        )
    return number


def check_round(run: Rounds, before: Between) -> None:
    """Compare the round that a run has just finished with the same one done alone.

    `before` is how the run stood when it began. Every rank calls it; the first does the work.

    Raises
    ------
    ReproducibilityError
        On all ranks, when a bit differs.
    """
    run.team.on_first_rank(lambda: _check(run, before))


def _check(run: Rounds, before: Between) -> None:
    settings = replace(run.settings, record=_in_memory(run.settings.record))
    again = Rounds.loaded(
        run.path, run.explorer, settings, run.target, replace(before, midway=None, pilot=None)
    )
    again.prepare()
    with again.interrupts() as interrupts:
        again.advance(lambda *_: None, None, interrupts)
    found = next(differences(run, again), None)
    if found is None:
        return
    n_ranks, n_workers = run.team.ranks.size, run.team.n_workers(run.settings.n_chains)
    raise ReproducibilityError(
        f"round {before.round + 1} has other bits when it is run again alone, in one process with "
        f"one thread; the first is at {found.where}: {found.got!r} in the run, with {n_ranks} rank"
        f"{'s' * (n_ranks > 1)} of {n_workers} thread{'s' * (n_workers > 1)}, {found.alone!r} "
        f"alone; {CAUSES}"
    )


def _in_memory(record: tuple[str, ...]) -> tuple[str, ...]:
    """Return the recorders without the disk, whose files are the run's."""
    return tuple(name for name in record if name != "disk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two numbers that should be one."""

    where: str
    got: Any
    alone: Any


def differences(run: Rounds, again: Rounds) -> Iterator[Difference]:
    """Return what differs between two runs after the same round, in the order in which it came to
    be: the first is the cause of the others."""
    got, alone = run.state, again.state
    assert got.data is not None
    assert alone.data is not None
    yield from _of_scans(got, alone)
    yield from _of_draws(run, again)
    statistics = run.explorer.statistics
    yield from _of_arrays(
        got.data.statistic_sums,
        alone.data.statistic_sums,
        lambda place: f"chain {place[0]}: the sum of the statistic {statistics[place[1]]}",
    )
    names = run.path.coordinate_names
    for name in BY_CHAIN:
        yield from _of_arrays(
            getattr(got.data, name), getattr(alone.data, name), _at(f"{name} of visits", names)
        )
    yield from _of_arrays(got.data.snapshots, alone.data.snapshots, _at("snapshots"))
    yield from _of_records(got.records[-1], alone.records[-1])
    for name in ("betas", "centres", "scales", "chains", "tuning", "replicas"):
        pairs = zip(_leaves(getattr(got, name)), _leaves(getattr(alone, name)), strict=True)
        for (where, a), (_, b) in pairs:
            yield from _of_arrays(a, b, _at(f"{name}{where} of the next round"))


def _of_scans(got: Between, alone: Between) -> Iterator[Difference]:
    """Return V and the replicas, scan by scan."""
    assert got.data is not None
    assert alone.data is not None
    v = _differ(got.data.v, alone.data.v)
    replicas = _differ(got.data.replicas, alone.data.replicas)
    betas = got.records[-1].schedule
    for scan in np.flatnonzero(np.any(v | replicas, axis=1)):
        for chain in np.flatnonzero(v[scan]):
            yield Difference(
                where=(
                    f"scan {scan + 1}, chain {chain} (beta {betas[chain]:g}), replica "
                    f"{got.data.replicas[scan, chain]}: V"
                ),
                got=float(got.data.v[scan, chain]),
                alone=float(alone.data.v[scan, chain]),
            )
        for chain in np.flatnonzero(replicas[scan]):
            yield Difference(
                where=f"scan {scan + 1}, chain {chain} (beta {betas[chain]:g}): the replica",
                got=int(got.data.replicas[scan, chain]),
                alone=int(alone.data.replicas[scan, chain]),
            )


def _of_draws(run: Rounds, again: Rounds) -> Iterator[Difference]:
    """Return the target's states, and their log densities under the reference."""
    got, alone = run.state.traces, again.state.traces
    if got is None or alone is None or not got.keeps_draws:
        return
    names = run.path.coordinate_names
    yield from _of_arrays(
        got.x, alone.x, lambda place: f"scan {place[0] + 1}: the draw's {names[place[1]]}"
    )
    yield from _of_arrays(
        got.log_reference,
        alone.log_reference,
        lambda place: f"scan {place[0] + 1}: the draw's log density under the reference",
    )


def _of_records(got: RoundRecord, alone: RoundRecord) -> Iterator[Difference]:
    for name in (f.name for f in fields(RoundRecord) if f.name not in TIMES):
        pairs = zip_longest(_leaves(getattr(got, name)), _leaves(getattr(alone, name)))
        for one, other in pairs:
            a, b = (pair and pair[1] for pair in (one, other))
            where = f"{name}{(one or other)[0]} of the record"
            if isinstance(a, np.ndarray | float) and isinstance(b, np.ndarray | float):
                yield from _of_arrays(np.asarray(a), np.asarray(b), _at(where))
            elif a != b:
                yield Difference(where=where, got=a, alone=b)


def _leaves(value: Any) -> list[tuple[str, Any]]:
    """Return the leaves of a pytree with where they are in it."""
    pairs = jax.tree_util.tree_flatten_with_path(value)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in pairs]


def _at(what: str, names: tuple[str, ...] | list[str] = ()) -> Callable[[tuple[int, ...]], str]:
    def where(place: tuple[int, ...]) -> str:
        if not place:
            return what
        if names and len(place) == 2:
            return f"chain {place[0]}: {what}, {names[place[1]]},"
        return f"{what} at {list(place)}"

    return where


def _of_arrays(
    got: Any, alone: Any, where: Callable[[tuple[int, ...]], str]
) -> Iterator[Difference]:
    got, alone = np.asarray(got), np.asarray(alone)
    if got.shape != alone.shape or got.dtype != alone.dtype:
        both = [f"{a.dtype} of shape {a.shape}" for a in (got, alone)]
        yield Difference(where=where(()), got=both[0], alone=both[1])
        return
    for place in np.argwhere(_differ(got, alone)):
        index = tuple(int(i) for i in place)
        yield Difference(where=where(index), got=got[index].item(), alone=alone[index].item())


def _differ(a: Any, b: Any) -> Any:
    """Return where two arrays of one shape and type have other bits."""
    a, b = (np.ascontiguousarray(array) for array in (a, b))
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return (a.view(bits) != b.view(bits)).reshape(a.shape)
