"""Runs a command and ends it with its starter: a script of its own, with nothing but the standard
library, started as `python -I supervisor.py FOLDER STARTER N_PROCESSES COMMAND...`.

It copies what the command says to `FOLDER/log.txt` and to its own streams, and writes the exit code
to `FOLDER/exit`. When it gets SIGINT or SIGTERM, or when the process STARTER is gone, the ranks get
SIGINT, some seconds later SIGTERM, then SIGKILL. `FOLDER/gone` lists the ranks' process ids in the
order in which they ended: a launcher ends the others within a millisecond, and not every one can
tell who was first. Linux alone: it reads /proc.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of <linux/prctl.h>
LADDER = ((0.0, signal.SIGINT), (5.0, signal.SIGTERM), (7.0, signal.SIGKILL))  # seconds, signal
TICK = 0.2  # seconds
DRAIN = 2.0  # seconds in which what is left in the pipes is read after the end


def descendants(root: int) -> list[int]:
    """Return the process ids below `root`, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, wanted = [], [root]
    while wanted:
        below = children.get(wanted.pop(0), [])
        found += below
        wanted += below
    return found


def is_rank(pid: int) -> bool:
    """Return whether the process is one of `python -m numpygeons run`, not what started it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    if b"python" not in os.path.basename(words[0]) or b"-m" not in words:
        return False
    at = words.index(b"-m")
    options = all(word.startswith(b"-") for word in words[1:at])
    return options and words[at + 1 : at + 3] == [b"numpygeons", b"run"]


def rank_pids(folder: Path) -> list[int]:
    """Return the process ids that the ranks have noted."""
    found = []
    for path in (folder / "ranks").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            found.append(int(json.loads(path.read_text())["pid"]))
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class Rank(NamedTuple):
    """One of the processes that do the run."""

    pid: int


class Supervisor:
    """Starts the command, and stays with it until its end."""

    def __init__(self, folder: Path, starter: int, n_processes: int, command: list[str]) -> None:
        self._folder, self._starter, self._n_processes = folder, starter, n_processes
        self._watched: set[int] = set()  # ranks
        self._stopped_at: float | None = None
        self._sent = 0
        self._deaf: set[int] = set()  # own streams that nobody reads any more
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        # Should this process be killed: a launcher needs its time to end what it started.
        farewell = signal.SIGKILL if n_processes == 1 else signal.SIGTERM
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop())
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, farewell),
        )

    def _stop(self) -> None:
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()

    def _climb(self) -> None:
        """Send the next signal of the ladder, if it is time."""
        if self._stopped_at is None or self._sent == len(LADDER):
            return
        after, number = LADDER[self._sent]
        if time.monotonic() - self._stopped_at < after:
            return
        self._sent += 1
        below = descendants(os.getpid())
        if number == signal.SIGINT:  # the launcher would answer it by killing the ranks
            ranks = [pid for pid in below if is_rank(pid)]
            below = ranks or below
        send(below, number)

    def run(self) -> int:
        """Return the command's exit code, as a shell tells it: 128 + number for a signal."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        ended, open_streams = None, 2
        # An epoll lists what happened in the order in which it happened.
        with selectors.EpollSelector() as selector, self._open("log.txt") as log:
            selector.register(self._process.stdout, selectors.EVENT_READ, 1)
            selector.register(self._process.stderr, selectors.EVENT_READ, 2)
            while open_streams or self._process.poll() is None:
                self._watch_ranks(selector)
                for key, _ in selector.select(TICK):
                    if isinstance(key.data, Rank):
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        with self._open("gone") as gone:
                            gone.write(f"{key.data.pid}\n".encode())
                    elif data := os.read(key.fd, 65536):
                        self._copy(data, log, key.data)
                    else:
                        selector.unregister(key.fileobj)
                        open_streams -= 1
                if os.getppid() != self._starter:
                    self._stop()
                self._climb()
                if self._process.poll() is not None:
                    ended = ended or time.monotonic()
                    if time.monotonic() - ended > DRAIN:
                        break
        code = self._process.wait()
        self._sweep()
        return code if code >= 0 else 128 - code

    def _open(self, name: str) -> IO[bytes]:
        """Open a file of the folder, to append to; the owner's alone, and not through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self._folder / name, flags, 0o600), "ab")

    def _watch_ranks(self, selector: selectors.BaseSelector) -> None:
        """Let the selector see the end of the ranks that have noted themselves meanwhile."""
        if len(self._watched) == self._n_processes:
            return
        for pid in set(rank_pids(self._folder)) - self._watched:
            self._watched.add(pid)
            with contextlib.suppress(OSError):
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, Rank(pid))

    def _copy(self, data: bytes, log: IO[bytes], stream: int) -> None:
        log.write(data)
        log.flush()
        if stream not in self._deaf:
            try:
                while data:
                    data = data[os.write(stream, data) :]
            except OSError:
                self._deaf.add(stream)

    def _sweep(self) -> None:
        """End what the command left behind."""
        deadline = time.monotonic() + 2
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            send(left, signal.SIGKILL)
            time.sleep(0.05)


def main() -> int:
    folder, starter, n_processes, *command = sys.argv[1:]
    code = Supervisor(Path(folder), int(starter), int(n_processes), command).run()
    descriptor, part = tempfile.mkstemp(prefix=".exit.", dir=folder)  # for the owner alone
    with os.fdopen(descriptor, "w") as file:
        print(code, file=file)
    os.replace(part, Path(folder) / "exit")
    return code


if __name__ == "__main__":
    sys.exit(main())
