"""Asks after and ends the supervisor of a run on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from numpygeons.errors import RunError

KIND = "child"
_started: dict[int, subprocess.Popen[bytes]] = {}  # by this process, and perhaps to be reaped


def job_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return what another process needs to find it."""
    _started[process.pid] = process
    host = socket.gethostname()
    return {"kind": KIND, "id": process.pid, "host": host, "born": _born(process.pid)}


def ask(job: dict[str, Any]) -> str | None:
    """Return "running", or None if it is not there any more."""
    _check_host(job)
    pid = int(job["id"])
    if pid in _started and _started[pid].poll() is not None:
        del _started[pid]
    return "running" if _born(pid) == job["born"] else None


def end(job: dict[str, Any]) -> None:
    """Ask the supervisor to end it."""
    if ask(job) == "running":
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(job["id"]), signal.SIGTERM)


def _born(pid: int) -> str | None:
    """Return when the process started, in ticks since boot; None if it is gone. A number of a
    process is used again, the two together are not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _check_host(job: dict[str, Any]) -> None:
    if job["host"] != socket.gethostname():
        raise RunError(f"the run goes on, or went, on {job['host']}: ask there")
