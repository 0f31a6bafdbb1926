"""Runs stored calls and prints reports: `python -m numpygeons`."""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from pathlib import Path

from numpygeons.api import pigeons
from numpygeons.checkpoint.loading import read_records
from numpygeons.distributed.call import read_call
from numpygeons.distributed.ranks_log import own_rank, rank_log
from numpygeons.errors import CheckpointError, NumpygeonsWarning
from numpygeons.result import load
from numpygeons.runs.report import table
from numpygeons.version import __version__

INTERRUPTED = 130  # as shells call what SIGINT ended
WRONG = 2  # what was asked for cannot be done


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m numpygeons", description="Parallel tempering for NumPyro models."
    )
    parser.add_argument("--version", action="version", version=f"numpygeons-core {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run_parser = commands.add_parser(
        "run", help="do the run that is written in a folder, as one rank of those started together"
    )
    run_parser.set_defaults(command=run)
    report_parser = commands.add_parser("report", help="print the table of a stored run")
    report_parser.set_defaults(command=report)
    for one in (run_parser, report_parser):
        one.add_argument("folder", type=Path, metavar="FOLDER")
    parsed = parser.parse_args(arguments)
    code: int = parsed.command(parsed.folder)
    return code


def run(folder: Path) -> int:
    """Do the run whose call is in the folder."""
    if not folder.is_dir():
        print(f"numpygeons: there is no folder {folder}", file=sys.stderr)
        return WRONG
    first = own_rank() == 0
    # Queues end jobs with SIGTERM, and shells hide SIGINT from the background. One rank that is
    # interrupted tells the others; two at once would each wait for the other.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if first else signal.SIG_IGN)
    if not first:
        warnings.simplefilter("ignore", NumpygeonsWarning)
    with rank_log(folder) as log:
        call = read_call(folder)
        pt = load(folder)
        checks = call.checked_round > len(pt.rounds)  # not when the call is repeated later
        pt = pigeons(
            pt,
            n_rounds=call.n_rounds,
            n_threads=call.n_threads,
            show_report=call.show_report,
            checked_round=call.checked_round if checks else None,
        )
        log.end("interrupted" if pt.interrupted else "finished")
    return INTERRUPTED if pt.interrupted else 0


def report(folder: Path) -> int:
    """Print the table of the run in the folder; run no code of it."""
    try:
        records = read_records(folder)
    except (CheckpointError, OSError) as error:
        print(f"numpygeons: {error}", file=sys.stderr)
        return WRONG
    print(table(records))
    return 0


if __name__ == "__main__":
    sys.exit(main())
