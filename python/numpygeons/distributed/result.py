"""Follows a run in other processes, from this one or a later one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpygeons.distributed import processes
from numpygeons.distributed.files import read_number, write_text
from numpygeons.distributed.queues import QUEUES
from numpygeons.distributed.ranks_log import gone, notes, what_went_wrong
from numpygeons.errors import RunError
from numpygeons.result import PT, load

TICK = 0.2  # seconds between looks at the folder
LAST_LINES = 20  # of the log, in an error
LAG = 1.0  # seconds in which a file that another machine wrote appears on this one
PATIENCE = 20  # times in a row that a queue may fail to answer while a run is waited for
QUEUE_PAUSE = 15.0  # seconds between two questions to a queue, which others use too


class Result:
    """A run in other processes: what `pigeons(..., on=...)` returns.

    Parameters
    ----------
    folder : path
        The run's folder, from which it can be followed in any process.

    Attributes
    ----------
    folder : pathlib.Path
        Absolute.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.abspath(folder)).resolve()
        path = self.folder / "job.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder} holds no run in other processes: there is no job.json in it"
            )
        self._job: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    def __repr__(self) -> str:
        status = self.status()
        if status == "failed" and self._interrupted():
            status = "stopped before its end"
        return f"<Result: {status}; open with numpygeons.load({str(self.folder)!r})>"

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def _keeper(self) -> Any:
        """Who knows of the run: a queue, or this machine."""
        return processes if self._job["kind"] == processes.KIND else QUEUES[self._job["kind"]]

    @property
    def id(self) -> str:
        """The job's number in the queue, or the process' id."""
        return str(self._job["id"])

    def status(self) -> str:
        """Return "queued", "running", "finished" or "failed", which a run stopped early is too."""
        code = read_number(self.folder / "exit")
        if code is None:
            answer = self._keeper.ask(self._job)
            if answer is None and self._job["kind"] != processes.KIND:
                time.sleep(LAG)
            code = read_number(self.folder / "exit")  # which may have come meanwhile
        if code is None:
            return answer or "failed"
        return "failed" if code else "finished"

    def watch(self) -> None:
        """Write what the run says to sys.stdout, from its start, until it ends."""
        path, done = self.folder / "log.txt", 0
        for over in self._looks():
            if path.is_file():
                with path.open("rb") as log:
                    log.seek(done)
                    new = log.read()
                if not over:  # whole lines, so that no character is cut in two
                    new = new[: new.rfind(b"\n") + 1]
                done += len(new)
                write_out(new.decode(errors="replace"))
            if over:
                return

    def wait(self, timeout: float | None = None) -> Result:
        """Wait until the run ends, and return this result.

        Raises
        ------
        RunError
            When it failed.
        TimeoutError
            When it goes on after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for over in self._looks():
            if over:
                break
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:g} s the run in {self.folder} still goes on")
        self.check()
        return self

    def check(self) -> None:
        """Raise RunError if the run failed."""
        if self.status() == "failed":
            raise RunError(self._failure())

    def kill(self) -> None:
        """End the run, as Ctrl-C would; its folder keeps what it has done."""
        if self.status() in ("queued", "running"):
            self._keeper.end(self._job)

    def load(self) -> PT:
        """Return `numpygeons.load(self)`: the finished rounds, on this process."""
        return load(self)

    def _looks(self) -> Iterator[bool]:
        """Look whether the run is over, again and again, until it is."""
        pause = TICK if self._job["kind"] == processes.KIND else QUEUE_PAUSE
        ask_at, failures = time.monotonic(), 0
        while True:
            over = False
            if (self.folder / "exit").is_file() or time.monotonic() >= ask_at:
                ask_at = time.monotonic() + pause
                try:
                    over, failures = self.status() in ("finished", "failed"), 0
                except RunError:  # queues are restarted now and then
                    failures += 1
                    if failures > PATIENCE:
                        raise
            yield over
            if over:
                return
            time.sleep(TICK)

    def _interrupted(self) -> bool:
        return any(note.end == "interrupted" for note in notes(self.folder))

    def _failure(self) -> str:
        log = self.folder / "log.txt"
        said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        code = read_number(self.folder / "exit")
        ranks = notes(self.folder)
        happened = f"the run {'was stopped before its end' if self._interrupted() else 'failed'}"
        how = "ended without an exit code" if code is None else f"exit code {code}"
        wrong = what_went_wrong(ranks, gone(self.folder), said)
        message = f"{happened}: {how}{f'; {wrong}' if wrong else ''}; folder {self.folder}"
        last = "\n".join(f"    {line}" for line in said.splitlines()[-LAST_LINES:])
        return f"{message}\nlast lines of {log}:\n{last}" if last else message


def open_result(folder: Path, job: dict[str, Any]) -> Result:
    """Return the result of a run that was just started, findable from its folder."""
    write_text(folder / "job.json", json.dumps(job, indent=1))
    return Result(folder)


def watch(result: Result | str | os.PathLike[str]) -> None:
    """Call `result.watch()`, for a result or its folder."""
    (result if isinstance(result, Result) else Result(result)).watch()


def kill(result: Result | str | os.PathLike[str]) -> None:
    """Call `result.kill()`, for a result or its folder."""
    (result if isinstance(result, Result) else Result(result)).kill()


def write_out(text: str, stream: Any = None) -> None:
    """Write to sys.stdout or `stream`, whatever characters it can show."""
    stream = sys.stdout if stream is None else stream
    if text:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode())
        stream.flush()
