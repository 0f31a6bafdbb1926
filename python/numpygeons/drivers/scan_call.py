"""Calls the coordinator from inside a compiled program of the CPU.

As `jax.ffi.ffi_call` with a side effect does, and XLA is told of it likewise: a call is neither
removed nor repeated. JAX is not told, because it starts programs with effects by a slow path, from
Python: a millisecond per block, as long as a hundred scans of a small model. JAX would leave out a
call whose results nobody uses; those of a scan decide whether the loop goes on.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from numpygeons._core import engine
from numpygeons.arrays import Array
from numpygeons.xla.interface import check_interface, version_here

Results = tuple[jax.ShapeDtypeStruct, ...]
check_interface(version_here())


def _call_of(name: str, handlers: dict[str, Any]) -> Primitive:
    """A primitive that calls the handler of the model's number type."""
    targets = {dtype: f"{name}_{dtype}" for dtype in handlers}
    for dtype, target in targets.items():
        jax.ffi.register_ffi_target(target, handlers[dtype], platform="cpu")

    def shapes(*operands: Any, results: Results, dtype: str) -> list[Any]:
        return [jax.core.ShapedArray(a.shape, a.dtype) for a in results]

    def lower(context: Any, *operands: Any, results: Results, dtype: str) -> Any:
        return jax.ffi.ffi_lowering(targets[dtype], has_side_effect=True)(context, *operands)

    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_abstract_eval(shapes)
    mlir.register_lowering(primitive, lower, platform="cpu")
    return primitive


_prepare = _call_of(
    "numpygeons_prepare",
    {
        "float32": engine.xla_prepare_handler_f32(),
        "float64": engine.xla_prepare_handler_f64(),
    },
)
_scan = _call_of(
    "numpygeons_scan",
    {
        "float32": engine.xla_scan_handler_f32(),
        "float64": engine.xla_scan_handler_f64(),
    },
)


def prepare(results: Results, dtype: str, handle: Array) -> tuple[Array, ...]:
    """What `Coordinator::prepare` fills in: arrays of these shapes. `dtype` is the model's number
    type; see `xla_handler.cpp` for the operands."""
    return tuple(_prepare.bind(handle, results=results, dtype=dtype))


def scan(results: Results, dtype: str, handle: Array, *explored: Array) -> tuple[Array, ...]:
    """What `Coordinator::scan` returns and fills in, likewise."""
    return tuple(_scan.bind(handle, *explored, results=results, dtype=dtype))
