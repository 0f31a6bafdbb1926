"""What every test has: its cost, precision, and the folder of reference problems.

Tests keep what they compile in a folder of their own, unless NUMPYGEONS_CACHE says where.
"""

import gc
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
from jax import monitoring

TESTS = Path(__file__).parent
# What tests cost, by file, in one place. All other files run `pigeons`, in this process: "run".
COSTS = {
    "unit": """
        core/adaptation core/barrier core/comm core/coordinator core/deo core/evidence_curve
        core/evidence_estimates core/evidence_flags core/evidence_variance core/exact_moments
        core/index_process core/monotone_cubic core/normal_distribution core/philox
        core/philox_batch core/portable_log core/proposals core/round_trips core/schedule
        core/schedule_tuning core/streams core/stubs core/swap_rule core/ziggurat
        distributed/quantities front/version parallel/launchers architecture workshop
    """,  # no program is compiled
    "compile": """
        explorers/auto_mala explorers/enumeration explorers/hmc explorers/selectors
        explorers/slice_sampler explorers/tables
    """,  # programs, but no run
    "process": """
        benchmarks/efficiency_table benchmarks/overhead_table benchmarks/speed_tables
        checkpoint/killed checkpoint/load core/bindings distributed/call distributed/child_process
        distributed/command_line distributed/jobs distributed/supervisor mpi/child_processes
        mpi/example mpi/faults mpi/lost_ranks mpi/ranks mpi/same_bits mpi/supervised_ranks
        target/field_order
    """,  # other processes: ranks, kills, caches, scripts
}
COST_OF = {file: cost for cost, files in COSTS.items() for file in files.split()}
WITH_RANKS = re.compile(r"tests/mpi/|distributed/test_(child_process|jobs|supervisor)")


def cost_of(path: Path) -> str:
    """One of "unit", "compile", "run" and "process"."""
    return COST_OF.get(_name(path), "run")


def _name(path: Path) -> str:
    return path.relative_to(TESTS).with_suffix("").as_posix().replace("test_", "")


def pytest_configure(config: pytest.Config) -> None:
    if "NUMPYGEONS_CACHE" not in os.environ:  # the processes that tests start inherit it
        folder = tempfile.mkdtemp(prefix="numpygeons-tests-")
        os.environ["NUMPYGEONS_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m unit` does not even read the other files, which import NumPyro and make models."""
    is_file = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    others = config.option.markexpr == "unit" and is_file and cost_of(collection_path) != "unit"
    return True if others else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what tests cost, leaves out what is slow unless `-m` asks for it, and puts first what
    takes longest."""
    asked = config.option.markexpr
    if not any("::" in argument for argument in config.args):
        refuse_stale_patterns(items)
    skip = pytest.mark.skip(reason="slow: run with -m slow")
    for item in items:
        item.add_marker(cost_of(item.path))
        if not is_usual(item):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and not re.search(r"\b(slow|reference)\b", asked):
            item.add_marker(skip)
    order = ["process", "run", "compile", "unit"]
    items.sort(key=lambda item: order.index(cost_of(item.path)))


def refuse_stale_patterns(items: list[pytest.Item]) -> None:
    """A pattern of a mark `usual` that names none of the test's parameters would skip them all."""
    ids: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for item in items:
        if mark := item.get_closest_marker("usual"):
            ids.setdefault((item.nodeid.partition("[")[0], mark.args), []).append(_id(item))
    stale = [
        f"{test}: {pattern!r}"
        for (test, patterns), own in ids.items()
        for pattern in patterns
        if not any(fnmatchcase(one, pattern) for one in own)
    ]
    if stale:
        raise pytest.UsageError("no parameters are named so: " + "; ".join(stale))


def _id(item: pytest.Item) -> str:
    return str(item.callspec.id)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs the tests of a file, which share fixtures, and one those that start ranks,
    which wait for each other and want the processors.

    (The groups of pytest-xdist 3.8 do nothing beside pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ranks" if WITH_RANKS.search(file) else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def is_usual(item: pytest.Item) -> bool:
    """Whether plain pytest runs it: of a test's parameters those that its mark `usual` names, by
    patterns of ids; `-m slow` runs the others too."""
    mark = item.get_closest_marker("usual")
    return mark is None or any(fnmatchcase(_id(item), pattern) for pattern in mark.args)


class Compiled:
    """Programs that JAX asked XLA for, in this process."""

    number = 0


def _count(event: str, _seconds: float, **_: object) -> None:
    Compiled.number += event == "/jax/core/compile/backend_compile_duration"


monitoring.register_event_duration_secs_listener(_count)


@pytest.fixture(autouse=True)
def unit_tests_compile_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Holds the cost `unit` to its word."""
    before = Compiled.number
    yield
    if cost_of(request.path) == "unit" and Compiled.number > before:
        pytest.fail("a unit test compiled a program: name its file under another cost")


@pytest.fixture(autouse=True, scope="module")
def programs_end_with_their_file() -> Iterator[None]:
    """JAX keeps what it has compiled as long as it lives: gigabytes by the end."""
    before = Compiled.number
    yield
    if Compiled.number > before:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(params=["float64", "float32"])
def precision(request: pytest.FixtureRequest) -> Iterator[np.dtype]:
    """Run the test in both of JAX's precisions; x64 is put back afterwards."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64."""
    with jax.enable_x64(True):
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
