"""Calls the coordinator's scan from inside a compiled program of the CPU.

As `jax.ffi.ffi_call` with a side effect does, and XLA is told of it likewise: the call is neither
removed nor repeated. JAX is not told, because it starts programs with effects by a slow path, which
took as long as a hundred scans of a small model. It would leave out a call whose results nobody
uses; those of a scan decide whether the loop goes on.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from numpygeons import _core
from numpygeons.arrays import Array

TARGETS = {"float32": "numpygeons_scan_f32", "float64": "numpygeons_scan_f64"}

jax.ffi.register_ffi_target(TARGETS["float32"], _core.engine.xla_scan_handler_f32(), platform="cpu")
jax.ffi.register_ffi_target(TARGETS["float64"], _core.engine.xla_scan_handler_f64(), platform="cpu")

Results = tuple[jax.ShapeDtypeStruct, ...]


def _shapes(*operands: Any, results: Results, dtype: str) -> list[Any]:
    return [jax.core.ShapedArray(a.shape, a.dtype) for a in results]


def _lower(context: Any, *operands: Any, results: Results, dtype: str) -> Any:
    return jax.ffi.ffi_lowering(TARGETS[dtype], has_side_effect=True)(context, *operands)


_scan = Primitive("numpygeons_scan")
_scan.multiple_results = True
_scan.def_abstract_eval(_shapes)
mlir.register_lowering(_scan, _lower, platform="cpu")


def scan(results: Results, dtype: str, *operands: Array) -> tuple[Array, ...]:
    """What `Coordinator::scan` returns and fills in: arrays of these shapes. `dtype` is the model's
    number type; see `xla_handler.cpp` for the operands."""
    given: list[Array] = _scan.bind(*operands, results=results, dtype=dtype)
    return tuple(given)
