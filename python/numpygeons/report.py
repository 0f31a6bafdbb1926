"""Writes the table of rounds, live and as text: the one place that prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np

from numpygeons.arrays import Floats
from numpygeons.records import Flag, RoundRecord

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from numpygeons.result import PT

COLUMNS: tuple[tuple[str, int], ...] = (
    ("round", 5),
    ("scans", 8),
    ("restarts", 8),
    ("Λ", 7),
    ("time(s)", 8),
    ("log Z ± error", 20),
    ("min α", 6),
    ("mean α", 6),
    ("max|ρ|", 6),
    ("mean|ρ|", 7),
)
LOW_ACCEPTANCE = 0.1  # below, a pair of chains hardly talks


def _reduced(function: Callable[[Floats], float], values: Floats) -> str:
    finite = np.abs(values[np.isfinite(values)])
    return f"{function(finite):.3f}" if len(finite) else ""


def evidence_text(log_z: float, error: float) -> str:
    """An estimate with as many digits as its error bears: −31.312 ± 0.014."""
    if not np.isfinite(log_z):
        return ""
    if not np.isfinite(error):
        return f"{log_z:.3f} ± {'?' if np.isnan(error) else 'inf'}"
    digits = 3 if error == 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    return f"{log_z:.{digits}f} ± {error:.{digits}f}"


def header() -> str:
    """The first line of the table."""
    return "  ".join(name.rjust(width) for name, width in COLUMNS)


def row(record: RoundRecord) -> str:
    """One line of the table."""
    cells = (
        str(record.round),
        str(record.n_scans),
        str(record.n_restarts),
        f"{record.global_barrier:.3f}",
        f"{record.seconds:.3f}",
        evidence_text(record.log_z, record.log_z_error),
        _reduced(np.min, record.swap_acceptance),
        _reduced(np.mean, record.swap_acceptance),
        _reduced(np.max, record.energy_ac1),
        _reduced(np.mean, record.energy_ac1),
    )
    return "  ".join(cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True))


def remarks(pt: PT) -> tuple[Flag, ...]:
    """What to think of the run besides its evidence: too few chains, no restarts, lost mass."""
    last = pt.rounds[-1]
    n = len(last.schedule)
    found: list[Flag] = []
    if n > 1 and last.n_restarts == 0:
        found.append(
            Flag(
                "no restarts",
                "no replica travelled from the reference to the target in the last round: the "
                "draws may miss modes; ask for more rounds, or more chains",
            )
        )
    if n > 1 and float(np.min(last.swap_acceptance)) < LOW_ACCEPTANCE:
        found.append(
            Flag(
                "few chains",
                f"Λ = {last.global_barrier:.2f} with {n} chains leaves a pair with acceptance "
                f"{float(np.min(last.swap_acceptance)):.3f}; about "
                f"{int(np.ceil(2 * last.global_barrier)) + 1} chains are a good number",
            )
        )
    if last.n_zero_likelihood:
        first = last.first_zero_likelihood
        where = (
            ""
            if first is None
            else (
                f"; the first at replica {first.replica}, chain {first.chain}, "
                f"beta {first.beta:g}, scan {first.scan}"
            )
        )
        found.append(
            Flag(
                "zero likelihood",
                f"{last.n_zero_likelihood} of {last.n_scans} draws from the reference had "
                f"likelihood zero (V = -inf or not a number) and count as that{where}",
            )
        )
    if last.n_redrawn:
        n = last.n_redrawn + last.n_scans
        unlikely = last.n_redrawn - last.n_redrawn_likely
        reason = (
            f"{last.n_redrawn} of {n} draws from the reference had no finite density in this "
            "precision (a number that overflows, for instance) and were made again"
        )
        if unlikely:
            reason += (
                f"; {unlikely} of them have no likelihood, for which log Z is corrected by "
                f"{np.log1p(-unlikely / n):.2g}"
            )
        if last.n_redrawn_likely:
            reason += (
                f"; {last.n_redrawn_likely} have a likelihood: log Z and the draws are those "
                f"without {last.n_redrawn_likely / n:.2g} of the prior"
            )
        found.append(Flag("redrawn", f"{reason}. Double precision, or a less extreme prior, helps"))
    return tuple(found)


def verdict(pt: PT) -> str:
    """The lines under the table: the pooled evidence, and every flag with its reason."""
    if not pt.rounds:
        return "no round is finished"
    lines = []
    if pt.log_z is not None and pt.log_z_error is not None:
        interval = pt.log_z_interval()
        assert interval is not None
        span = (
            f"   95 % interval [{interval[0]:.3f}, {interval[1]:.3f}]"
            if np.all(np.isfinite(interval))
            else ""
        )
        lines.append(f"log Z = {evidence_text(pt.log_z, pt.log_z_error)}{span}")
    lines += effort(pt.rounds[-1])
    lines += [f"flag: {name}: {reason}" for name, reason in (*pt.flags, *remarks(pt))]
    return "\n".join(lines)


def effort(record: RoundRecord) -> list[str]:
    """What the explorer chose by itself, as ranges over the explored chains; no line if nothing."""
    parts = []
    for name, values in record.chosen.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = np.min(finite), np.max(finite)
            parts.append(f"{name} {low:g}" + (f" to {high:g}" if high > low else ""))
    if not parts:
        return []
    explored = max(int(np.sum(record.schedule > 0)), 1)
    gradients = record.n_gradients / record.n_scans / explored
    return [f"explorer: {', '.join(parts)}; {gradients:.1f} gradients per scan and chain"]


def table(pt: PT) -> str:
    """The whole report as text."""
    return "\n".join([header(), *(row(record) for record in pt.rounds), verdict(pt)])


class Reporter:
    """Prints a row per round as it finishes; on a terminal also a bar with the time left."""

    def __init__(self, *, show: bool, n_scans: int, stream: TextIO | None = None) -> None:
        """`n_scans`: how many scans the rounds to come have in all."""
        self._show = show
        self._stream = sys.stdout if stream is None else stream
        self._n_scans = n_scans
        self._done_before = 0
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Reporter:
        if self._show and self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._progress.add_task("", total=self._n_scans)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, line: str) -> None:
        """Prints a line, above the bar where there is one."""
        if not self._show or not line:
            return
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def scans(self, number: int, done: int, n_scans: int) -> None:
        """Moves the bar: `done` of the `n_scans` scans of round `number`."""
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task,
                description=f"round {number}: {done}/{n_scans} scans",
                completed=self._done_before + done,
            )

    def finished(self, record: RoundRecord) -> None:
        """Prints the row of a finished round."""
        self._done_before += record.n_scans
        self.say(row(record))
