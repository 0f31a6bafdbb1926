"""Runs a benchmark's script again in a process of its own, and reads the results it prints."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARK = "RESULT "  # before each line of results, among what packages print


def give(result: Any) -> None:
    """Prints a result for the process that waits."""
    print(MARK + json.dumps(result), flush=True)


def run_apart(
    arguments: list[str], timeout: float | None = None, settings: Mapping[str, str] | None = None
) -> tuple[list[Any], str | None]:
    """The results of `python *arguments START`, START its time of start, in seconds since the
    epoch, and what went wrong, if anything did. `settings` are environment variables to add."""
    environment = {**os.environ, **(settings or {})}
    for name in ("PYTHONPATH", "NUMPYGEONS_REFERENCE"):  # may be relative to this folder
        if name in environment:
            parts = environment[name].split(os.pathsep)
            environment[name] = os.pathsep.join(os.path.abspath(part) for part in parts)
    with tempfile.TemporaryDirectory() as folder:  # some packages leave a log where they run
        out, err = Path(folder) / "out", Path(folder) / "err"
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, *arguments, repr(time.time())],
                stdout=stdout,
                stderr=stderr,
                env=environment,
                cwd=folder,
            )
            try:
                trouble = None
                if process.wait(timeout):
                    trouble = f"failed with code {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                trouble = f"not finished in {timeout:.0f} s"
        lines = out.read_text().splitlines()
        if trouble and trouble.startswith("failed"):
            print(f"{' '.join(arguments)}:\n{err.read_text()[-3000:]}", file=sys.stderr)
    return [json.loads(line.removeprefix(MARK)) for line in lines if line.startswith(MARK)], trouble


def cold_and_warm(
    arguments: list[str], runs: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str | None]:
    """The results of `runs` processes without a cache of compiled programs, of as many with a full
    one, and what went wrong, if anything did; in turn, so that both meet the same load."""
    cold: list[dict[str, Any]] = []
    warm: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(runs + 1):
            for results, cache in ((cold, "off"), (warm, folder)):
                if turn == 0 and results is cold:
                    continue  # the first only fills the cache
                one, trouble = run_apart(arguments, settings={"NUMPYGEONS_CACHE": cache})
                if trouble:
                    return cold, warm, trouble
                results += one if turn else []
    return cold, warm, None
