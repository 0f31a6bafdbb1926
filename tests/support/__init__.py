"""What several tests use: models, explorers, exact starts, mutants, digests, programs that are run.

A program is a module here that a test runs as a process, or several, of its own.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """The file of a program."""
    return str(ROOT / "tests" / "support" / f"{name}.py")


def environment(**variables: str) -> dict[str, str]:
    """This process' environment, and what it can import, for a process that it starts."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
