"""Ends a rank that waits for MPI to start, where another rank of this machine has left already.

MPI starts once all ranks have come. Where one leaves before, by an error of its imports say,
MPICH lets the others wait for ever, and they hold Python's lock meanwhile: who watches must be a
process of its own. Runs beside each rank until MPI has started, as a script.

    python waiting_room.py <process> <rank> <lowest rank of this machine> <ranks of this machine>

Its standard input is closed once MPI has started, or the rank is gone. Linux alone: reads /proc.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

LOOK = 0.25  # seconds between looks
GRACE = 2.0  # seconds that a rank is missed before it counts as gone: it may not have begun yet
TURN = 1.0  # seconds that the next rank waits for the one before it to speak
LAUNCHER = "hydra_pmi_proxy"


def status(process: int) -> tuple[str, str, int] | None:
    """Name, state and parent of a process; None where it is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    state, parent = tail.split()[:2]
    return head.partition("(")[2], state, int(parent)


def present(launcher: int) -> set[int] | None:
    """Return the ranks that the launcher has on this machine; None where one cannot know."""
    found = set()
    for entry in os.listdir("/proc"):
        known = status(int(entry)) if entry.isdigit() else None
        if known is None or known[1] in "ZX" or known[2] != launcher:
            continue
        try:
            variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        except OSError:
            return None
        found |= {int(v.partition(b"=")[2]) for v in variables if v.startswith(b"PMI_RANK=")}
    return found


def watch(process: int, rank: int, wanted: set[int]) -> str:
    """Wait until MPI has started; return what to say where it never will, or nothing."""
    own = status(process)
    launcher = own and status(own[2])
    if own is None or launcher is None or launcher[0] != LAUNCHER:
        return ""
    missed_since, turns, gone = 0.0, 0, ""
    while not select.select([0], [], [], LOOK)[0]:
        here = present(own[2])
        if here is None:
            return ""
        now = time.monotonic()
        if wanted <= here:
            gone = ""
            continue
        if not gone:
            missed_since, gone = now, ", ".join(map(str, sorted(wanted - here)))
            turns = sum(other < rank for other in here)  # the first that is left speaks
        if now - missed_since > GRACE + TURN * turns:
            return f"rank {gone} on {os.uname().nodename} ended before MPI had started"
    return ""


def main() -> None:
    process, rank, first, n_ranks = map(int, sys.argv[1:])
    message = watch(process, rank, set(range(first, first + n_ranks)))
    if message:
        os.write(2, f"numpygeons: {message}, and the others cannot: the run ends\n".encode())
        time.sleep(0.2)  # for the launcher to hand it on
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main()
