"""Pickles what a run was made of, target and explorer, so that another process can load it.

Functions and classes of `__main__` and of local modules go by value; those of installed packages by
name. This is the one part of a checkpoint that is code: open only what you trust.
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import sys
import sysconfig
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import cloudpickle

from numpygeons.target.path import JaxTarget, NumPyroPath, TemperedPath
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.precision import run_precision

BY_NAME = ("numpygeons", "cloudpickle", "numpyro", "jax", "jaxlib", "numpy", "scipy", "funsor")
INSTALLED = ("site-packages", "dist-packages")
MOVED = {  # modules that runs written by earlier versions name
    "numpygeons.path": "numpygeons.target.path",
    "numpygeons.potential": "numpygeons.target.potential",
    "numpygeons.ranks": "numpygeons.parallel.ranks",
}


@one_thread()
def pickled(target: Any, explorer: Any) -> bytes:
    """Return target and explorer, for `unpickled` in any process.

    Raises
    ------
    TypeError
        When one of them cannot be pickled; the message names it.
    """
    if isinstance(target, TemperedPath) or target is None:
        raise TypeError(
            "a TemperedPath cannot be written to a checkpoint: give the model, the NumPyroPath or "
            "the JaxTarget that it was made of"
        )
    for name, part in (
        (f"the target {_name(target)}", target),
        (f"the explorer {type(explorer).__name__}", explorer),
    ):
        try:
            _dumps(part)
        except Exception as error:
            raise TypeError(
                f"{name} cannot be written to a checkpoint, because it cannot be pickled: "
                f"{type(error).__name__}: {error}; make what it uses inside the function, or "
                "hand it over as an argument of plain arrays"
            ) from error
    return _dumps((target, explorer))


def unpickled(data: bytes, dtype: Any) -> tuple[Any, Any]:
    """Return (target, explorer); `dtype` is the run's, whose arrays JAX must not cut."""
    with run_precision(dtype):
        target, explorer = _Unpickler(BytesIO(data)).load()
    return target, explorer


class _Unpickler(pickle.Unpickler):
    """Finds the package's classes where they are now."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(MOVED.get(module, module), name)


def _name(target: Any) -> str:
    function = target.model if isinstance(target, NumPyroPath) else target
    if isinstance(function, JaxTarget):
        function = function.log_target
    return str(getattr(function, "__name__", type(function).__name__))


def _dumps(value: Any) -> bytes:
    before = cloudpickle.list_registry_pickle_by_value()
    local = [module for module in _local_modules() if module.__name__ not in before]
    for module in local:
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(value)
    finally:
        for module in local:
            cloudpickle.unregister_pickle_by_value(module)
    return data


def _local_modules() -> list[ModuleType]:
    """Return the modules that another process may not be able to import: not installed, not
    Python's own."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    roots = tuple(str(Path(place).resolve()) + "/" for place in places)
    candidates = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or getattr(module, "__name__", None) != name:
            continue
        if name.partition(".")[0] in BY_NAME or name == "__main__":  # main goes by value anyhow
            continue
        path = Path(file)
        if any(part in path.parts for part in INSTALLED):
            continue
        if not file.startswith(roots) and not str(path.resolve()).startswith(roots):
            candidates.append(module)
    installed = _installed_elsewhere() if candidates else ()
    return [m for m in candidates if not str(Path(str(m.__file__)).resolve()).startswith(installed)]


@lru_cache
def _installed_elsewhere() -> tuple[str, ...]:
    """Return how paths begin of what is installed, but not in site-packages: with `pip install -e`,
    or `--target`."""
    found = set()
    for distribution in importlib.metadata.distributions():
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            found.add(url2pathname(urlparse(origin["url"]).path) + "/")
        root = Path(str(distribution.locate_file(""))).resolve()
        if not any(part in root.parts for part in INSTALLED):
            for path in distribution.files or ():
                found.add(str(root / path.parts[0]) + ("/" if len(path.parts) > 1 else ""))
    return tuple(found)
