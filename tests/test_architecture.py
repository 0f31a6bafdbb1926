"""Holds the layers: what may include or import what. Planted violations must be caught."""

import ast
import re
from pathlib import Path

import pytest

from support import ROOT

CORE = ROOT / "cpp" / "numpygeons"
PACKAGE = ROOT / "python" / "numpygeons"

MANUAL = ROOT / "docs" / "architecture.md"

# A layer may include the layers below it, and itself. The manual prints this table.
CORE_LAYERS = {
    "base": set(),
    "math": {"base"},
    "random": {"base", "math"},
    "tempering": {"base", "math", "random"},
    "evidence": {"base", "math", "random", "tempering"},
    "tuning": {"base", "math", "random"},
    "comm": {"base", "math", "random"},
    "engine": {"base", "math", "random", "tempering", "evidence", "tuning", "comm"},
}
FOREIGN = re.compile(r"Python\.h|pybind11|xla/|jax|mpi\.h")

WHOLE = "numpygeons"
# Rooms and modules of the package; each may import what stands in a later row, and itself. The
# manual prints this table.
PYTHON_LAYERS = (
    ("__main__",),
    ("api",),
    ("distributed",),
    ("result",),
    ("runs", "to_arviz"),
    ("checkpoint",),
    ("rounds",),
    ("drivers",),
    ("explorers", "parallel"),
    ("target",),
    ("xla",),
    ("records", "settings"),
    ("arrays", "errors", "private_files", "version"),
)

BENCHMARKS = ROOT / "benchmarks"
# Which folders of `benchmarks/` a file there may import; "" is where the scripts are.
BENCHMARK_FOLDERS = {"common": {"common"}, "peers": {"common", "peers"}, "": {"common", "peers"}}


def include_violations(layer: str, text: str) -> list[str]:
    allowed = CORE_LAYERS[layer] | {layer}
    found = []
    for header in re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', text, re.MULTILINE):
        ours = re.match(r"numpygeons/(\w+)/", header)
        if (ours and ours[1] not in allowed) or (not ours and FOREIGN.search(header)):
            found.append(header)
    return found


def python_layer(module: str) -> int:
    for depth, row in enumerate(PYTHON_LAYERS):
        if module in row:
            return depth
    raise AssertionError(f"{module} has no layer: give it one in PYTHON_LAYERS")


def imported(node: ast.AST) -> list[str]:
    """Modules and folders of the package that a statement imports, and `WHOLE` where it imports the
    package, whose `__init__` imports everything."""
    if isinstance(node, ast.ImportFrom):
        name = node.module or ""
        if node.level or name == "numpygeons":
            return [WHOLE]
        return [name.split(".")[1]] if name.startswith("numpygeons.") else []
    if isinstance(node, ast.Import):
        names = [a.name.split(".") for a in node.names]
        return [name[1] if name[1:] else WHOLE for name in names if name[0] == "numpygeons"]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
        ("import_module", "__import__")
    ):
        return [WHOLE]
    return []


def import_violations(module: str, text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        names = imported(node)
        found += [name for name in names if name == WHOLE]
        for name in set(names) - {WHOLE}:
            if name == "_core" or name == module:
                continue
            if python_layer(name) <= python_layer(module):
                found.append(name)
    return found


def benchmark_violations(folder: str, text: str) -> list[str]:
    """Modules of `benchmarks/` that a file in that folder must not import."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
    ours = {"common", "peers"} | {path.stem for path in BENCHMARKS.glob("*.py")}
    return sorted((found & ours) - BENCHMARK_FOLDERS[folder])


def printed_rows(title: str) -> list[list[list[str]]]:
    """The rows of the table under a title of the manual: for each cell the names in backticks."""
    section = MANUAL.read_text().split(f"\n### {title}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)
    return [[re.findall(r"`(\w+)`", cell) for cell in row.split("|")] for row in rows]


def benchmark_files() -> list[Path]:
    return [p.relative_to(BENCHMARKS) for p in BENCHMARKS.rglob("*.py")]


def core_files() -> list[Path]:
    return [p for p in CORE.rglob("*.[hc]pp") if p.parent != CORE]


def python_files() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(CORE)))
def test_the_core_includes_only_what_stands_below(path):
    assert include_violations(path.relative_to(CORE).parts[0], path.read_text()) == []


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_only_what_stands_below(path):
    module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert import_violations(module, path.read_text()) == []


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("tempering", '#include "numpygeons/engine/coordinator.hpp"'),
        ("tempering", '#include "numpygeons/evidence/mbar.hpp"'),
        ("tuning", '#include "numpygeons/engine/coordinator.hpp"'),
        ("base", '#include "numpygeons/math/log_sum.hpp"'),
        ("engine", "#include <pybind11/pybind11.h>"),
        ("engine", '#include "xla/ffi/api/ffi.h"'),
        ("comm", "#include <mpi.h>"),
    ],
)
def test_a_planted_include_is_caught(layer, line):
    assert include_violations(layer, f"#pragma once\n{line}\n#include <vector>\n")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("explorers", "from numpygeons.drivers.fused import FusedDriver"),
        ("xla", "import numpygeons.target.path"),
        ("runs", "from numpygeons.result import PT"),
        ("target", "def f():\n    from numpygeons.rounds.rounds import Rounds"),
        ("explorers", "from numpygeons import pigeons"),
        ("explorers", "from numpygeons import _core"),
        ("explorers", "import numpygeons"),
        ("explorers", "import numpygeons as n"),
        ("explorers", "from . import pigeons"),
        ("explorers", "from ..pigeons import load"),
        ("distributed", "def f():\n    from numpygeons.api import pigeons"),
        ("explorers", "import importlib\nimportlib.import_module('numpygeons.api')"),
    ],
)
def test_a_planted_import_is_caught(module, line):
    assert import_violations(module, line)


@pytest.mark.parametrize("path", benchmark_files(), ids=str)
def test_no_benchmark_imports_the_script_of_another(path):
    folder = path.parent.name
    assert benchmark_violations(folder, (BENCHMARKS / path).read_text()) == []


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("", "from overhead import main"),
        ("", "def f():\n    import efficiency as other"),
        ("common", "from peers.methods import METHODS"),
        ("common", "import lanes"),
        ("peers", "from overhead import row"),
    ],
)
def test_a_planted_import_of_a_script_is_caught(folder, line):
    assert benchmark_violations(folder, f"import json\n{line}\n")


def test_the_manual_prints_the_layers_of_the_package():
    rows = printed_rows("Layers of the package")
    assert tuple(tuple(row[0]) for row in rows) == PYTHON_LAYERS


def test_the_manual_prints_the_layers_of_the_core():
    rows = printed_rows("Layers of the core")
    assert {row[0][0]: set(row[1]) for row in rows} == CORE_LAYERS


def test_the_core_says_what_each_file_is_for():
    silent = [p for p in core_files() if not p.read_text().startswith("/// ")]
    assert silent == []
