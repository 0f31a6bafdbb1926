"""Shared fixtures: precision, and the folder of reference problems.

Tests keep what they compile in a folder of their own, unless NUMPYGEONS_CACHE says where.
"""

import gc
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

_X64 = getattr(jax, "enable_x64", None)
if _X64 is None:  # before JAX 0.8
    from jax.experimental import enable_x64 as _X64


FILES_WITH_RANKS = ("test_child_process.py", "test_jobs.py", "test_supervisor.py")


def pytest_configure(config: pytest.Config) -> None:
    if "NUMPYGEONS_CACHE" not in os.environ:  # the processes that tests start inherit it
        folder = tempfile.mkdtemp(prefix="numpygeons-tests-")
        os.environ["NUMPYGEONS_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is slow unless `-m` asks for it, and says to pytest-xdist which tests one
    process runs: those of a file, which share fixtures, and those that start ranks, which wait for
    each other and want the processors."""
    asked = config.option.markexpr
    skip = pytest.mark.skip(reason="minutes: run with -m slow")
    for item in items:
        if item.get_closest_marker("slow") and not re.search(r"\b(slow|reference)\b", asked):
            item.add_marker(skip)
        starts_ranks = item.path.parent.name == "mpi" or item.path.name in FILES_WITH_RANKS
        group = "ranks" if starts_ranks else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True, scope="module")
def programs_end_with_their_file() -> Iterator[None]:
    """JAX keeps what it has compiled as long as it lives: gigabytes by the end."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(params=["float64", "float32"])
def precision(request: pytest.FixtureRequest) -> Iterator[np.dtype]:
    """Run the test in both of JAX's precisions; x64 is put back afterwards."""
    with _X64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64."""
    with _X64(True):
        yield


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference problems: NUMPYGEONS_REFERENCE, or ../shared/reference."""
    default = Path(__file__).resolve().parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("NUMPYGEONS_REFERENCE", default))
    if not (folder / "problems" / "models.py").is_file():
        pytest.skip(f"no reference problems in {folder}; set NUMPYGEONS_REFERENCE")
    return folder


@pytest.fixture
def reference_module(reference: Path) -> Callable[[str], ModuleType]:
    """Load `problems/<name>.py` anew, so that its arrays have the precision of the test."""

    def load(name: str) -> ModuleType:
        source = reference / "problems" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"reference_{name}", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
