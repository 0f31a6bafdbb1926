"""The modules of the benchmarks, each for one test."""

import importlib
import sys
from pathlib import Path

import pytest

from support import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports a module of `benchmarks/`, by name; all of them are forgotten after the test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(BENCHMARKS):
            del sys.modules[name]
