"""Calls the coordinator from inside a compiled program of the CPU.

As `jax.ffi.ffi_call` with a side effect does, and XLA is told of it likewise: a call is neither
removed nor repeated. JAX is not told, because it starts programs with effects by a slow path, from
Python: a millisecond per block, as long as a hundred scans of a small model. JAX would leave out a
call whose results nobody uses; those of a scan decide whether the loop goes on.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

from numpygeons._core import engine
from numpygeons._core.engine import Explored, NextScan
from numpygeons.arrays import Array
from numpygeons.xla.interface import check_interface, version_here

Results = tuple[jax.ShapeDtypeStruct, ...]
check_interface(version_here())


for _target, _handler in engine.registrations().items():
    jax.ffi.register_ffi_target(_target, _handler, platform="cpu")


def _call_of(name: str) -> Primitive:
    """Make a primitive that calls the handler of the model's number type."""

    def shapes(*operands: Any, results: Results, dtype: str) -> list[Any]:
        return [jax.core.ShapedArray(a.shape, a.dtype) for a in results]

    def lower(context: Any, *operands: Any, results: Results, dtype: str) -> Any:
        call = jax.ffi.ffi_lowering(f"{name}_{dtype}", has_side_effect=True)
        return call(context, *operands)

    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_abstract_eval(shapes)
    mlir.register_lowering(primitive, lower, platform="cpu")
    return primitive


_prepare = _call_of("numpygeons_prepare")
_scan = _call_of("numpygeons_scan")


def prepare(given: NextScan, dtype: str, handle: Array) -> NextScan:
    """Ask for what `Coordinator::prepare` fills in: arrays of these shapes. `dtype` is the model's
    number type; see `xla_handler.cpp` for the operands."""
    return NextScan(*_prepare.bind(handle, results=tuple(given), dtype=dtype))


def scan(given: NextScan, dtype: str, handle: Array, explored: Explored) -> tuple[Array, NextScan]:
    """Ask for what `Coordinator::scan` returns, whether to go on, and fills in, likewise."""
    results = (jax.ShapeDtypeStruct((), np.bool_), *given)
    goes_on, *following = _scan.bind(handle, *explored, results=results, dtype=dtype)
    return goes_on, NextScan(*following)
