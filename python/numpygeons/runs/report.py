"""Writes the table of rounds, live and as text: the one place that prints."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np

from numpygeons.arrays import Floats
from numpygeons.records import RoundRecord
from numpygeons.runs.evidence import pooled_evidence, student_interval
from numpygeons.runs.flags import flags_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COLUMNS: tuple[tuple[str, int], ...] = (
    ("round", 5),
    ("scans", 7),
    ("restarts", 8),
    ("Λ", 6),
    ("time(s)", 7),
    ("log Z ± error", 18),
    ("min α", 5),
    ("mean α", 6),
    ("max|ρ|", 6),
    ("mean|ρ|", 7),
)


def _reduced(function: Callable[[Floats], float], values: Floats) -> str:
    finite = np.abs(values[np.isfinite(values)])
    return f"{function(finite):.3f}" if len(finite) else ""


def evidence_text(log_z: float, error: float) -> str:
    """Return an estimate with as many digits as its error bears: −31.312 ± 0.014."""
    if not np.isfinite(log_z):
        return ""
    if not np.isfinite(error):
        return f"{log_z:.3f} ± {'?' if np.isnan(error) else 'inf'}"
    digits = 3 if error == 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    return f"{log_z:.{digits}f} ± {error:.{digits}f}"


def header(width: int | None = None) -> str:
    """Return the first line of the table; of its columns those that fit into `width` characters."""
    return _line([name for name, _ in COLUMNS], width)


def row(record: RoundRecord, width: int | None = None) -> str:
    """Return one line of the table. Λ is the barrier of many chains; log Z stands where it has an
    error."""
    has_error = np.isfinite(record.log_z_error)
    cells = (
        str(record.round),
        str(record.n_scans),
        str(record.n_restarts),
        f"{record.extrapolated_barrier:.3f}",
        f"{record.seconds:.3f}",
        evidence_text(record.log_z, record.log_z_error) if has_error else "",
        _reduced(np.min, record.swap_acceptance),
        _reduced(np.mean, record.swap_acceptance),
        _reduced(np.max, record.energy_ac1),
        _reduced(np.mean, record.energy_ac1),
    )
    return _line(cells, width)


def _line(cells: Sequence[str], width: int | None) -> str:
    line, end = "", 0
    for cell, (_, least) in zip(cells, COLUMNS, strict=True):
        end += least + (1 if line else 0)
        if width is not None and end > width:
            break
        line += cell.rjust(end - len(line))  # a long cell takes from what is free beside it
    return line


def verdict(records: Sequence[RoundRecord]) -> str:
    """Return the lines under the table: the pooled evidence, and every flag with its reason."""
    if not records:
        return "no round is finished"
    lines = []
    evidence = pooled_evidence(records)
    if evidence is not None:
        interval = student_interval(evidence)
        span = (
            f"   95 % interval [{interval[0]:.3f}, {interval[1]:.3f}]"
            if np.all(np.isfinite(interval))
            else ""
        )
        text = evidence_text(evidence.log_z, float(np.sqrt(evidence.variance)))
        lines.append(f"log Z = {text}{span}")
    lines += effort(records[-1])
    lines += [f"flag: {flag}" for flag in flags_of(records)]
    return "\n".join(lines)


def effort(record: RoundRecord) -> list[str]:
    """Return what the explorer chose by itself, as ranges over the explored chains; no line if
    nothing."""
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


def table(records: Sequence[RoundRecord]) -> str:
    """Return the whole report as text."""
    return "\n".join([header(), *(row(record) for record in records), verdict(records)])


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
        # What a terminal cannot show in a line it would break, and the table with it.
        self.width = shutil.get_terminal_size().columns if self._stream.isatty() else None

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
        """Print a line, above the bar where there is one."""
        if not self._show or not line:
            return
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def scans(self, number: int, done: int, n_scans: int) -> None:
        """Move the bar: `done` of the `n_scans` scans of round `number`."""
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task,
                description=f"round {number}: {done}/{n_scans} scans",
                completed=self._done_before + done,
            )

    def finished(self, record: RoundRecord) -> None:
        """Print the row of a finished round."""
        self._done_before += record.n_scans
        self.say(row(record, self.width))
