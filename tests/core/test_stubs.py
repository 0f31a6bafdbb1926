"""The stubs of the core name the arguments that the compiled functions take.

That each has its stub, and no stub stands for nothing, `stubtest` checks, which cannot see the
arguments of compiled functions: pybind11 writes them into the docstrings.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

import numpygeons

STUBS = Path(numpygeons.__file__).parent / "_core"
LAYERS = sorted(path.stem for path in STUBS.glob("[!_]*.pyi"))


def taken(function):
    """The names of a compiled function's arguments, in order; "*" before those given by name."""
    head = (function.__doc__ or "").splitlines()[0]
    inside = head[head.index("(") + 1 :].rpartition(") ->")[0]
    return re.findall(r"(?:^|, )(\*(?=,)|\w+(?=: ))", inside)


def stated(function):
    """The same of a function in a stub."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    by_name = [a.arg for a in arguments.kwonlyargs]
    return [*names, *(["*"] if by_name else []), *by_name]


def of_stub(layer, text):
    """(what it is called, the compiled function, the stub's) of each function and method; not of
    properties, of overloads, whose arguments have one docstring, or of Python's own operators."""
    module = importlib.import_module("numpygeons._core").__dict__[layer]
    for node in ast.parse(text).body:
        owner = getattr(module, node.name) if isinstance(node, ast.ClassDef) else module
        for item in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(item, ast.FunctionDef) and not item.decorator_list:
                if item.name.startswith("__") and item.name != "__init__":
                    continue
                compiled = getattr(owner, item.name)
                if (compiled.__doc__ or "").startswith(f"{item.name}("):
                    yield f"{layer}.{node.name}.{item.name}", compiled, item


def differences(layer, text):
    found = [(name, taken(compiled), stated(stub)) for name, compiled, stub in of_stub(layer, text)]
    return [row for row in found if row[1] != row[2]]


@pytest.mark.parametrize("layer", LAYERS)
def test_stubs_name_the_arguments_that_functions_take(layer):
    text = (STUBS / f"{layer}.pyi").read_text()
    assert len(list(of_stub(layer, text))) > 1
    assert differences(layer, text) == []


def test_a_planted_name_is_caught():
    text = (STUBS / "tempering.pyi").read_text()
    assert differences("tempering", text.replace("def deo_partner(chain:", "def deo_partner(x:"))
    assert differences("tempering", text.replace("scan: int, acceptances", "scans: int, a"))
