"""Lets these tests import what stands beside them; slow ones run only with `pytest -m slow`."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def pytest_collection_modifyitems(config, items):
    if "slow" in config.option.markexpr:
        return
    skip = pytest.mark.skip(reason="minutes of sampling: run with -m slow")
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(skip)
