"""Compiles programs once, ahead of time, and as one machine function where XLA can.

XLA on the CPU runs a program as a list of small kernels; for a small model the time between them
is most of the time. A call marked `xla_cpu_small_call` is compiled as a single function instead.
It can hold neither library calls (matrix factorisations, sorting, FFT) nor large products of two
matrices, which are faster as kernels of their own. Products of a matrix and a vector, and sums over
large data, are faster inside it: they wait for memory, and kernels also for each other.

Large sums, and products of a matrix and a vector, run on the calling thread there. Handing pieces
to XLA's other threads costs more than it saves: the gradient of a regression, 8,000 x 50, took
75 µs with it and 54 without. Ranks that share a machine would wait for each other's pieces too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata

from numpygeons.xla.compilation_cache import in_another_thread
from numpygeons.xla.compiler_options import compile_with
from numpygeons.xla.jaxprs import equations
from numpygeons.xla.pruning import pruned

logger = logging.getLogger(__name__)

# Primitives that become calls of a library, which a single function cannot make.
LIBRARY_CALLS = frozenset({
    "approx_top_k", "cholesky", "conv_general_dilated", "debug_callback", "eig", "eigh",
    "ffi_call", "fft", "geqp3", "geqrf", "hessenberg", "householder_product",
    "io_callback", "lu", "pure_callback", "qr", "schur", "sort", "svd",
    "symmetric_product", "top_k", "triangular_solve", "tridiagonal", "tridiagonal_solve",
})  # fmt: skip
# The older emitters know every operation inside a single function, scatter too.
OLDER_EMITTERS: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False}
# Passes that put into loops over large arrays what a single function cannot hold: forks to other
# threads, and calls of a library for sums and products.
SINGLE_FUNCTION_OPTIONS = {
    **OLDER_EMITTERS,
    "xla_disable_hlo_passes": "cpu-parallel-task-assigner,dot-library-rewriter",
}
# Programs that run once in a while: less time to compile, hardly more to run.
OCCASIONAL_OPTIONS = {**OLDER_EMITTERS, "xla_backend_optimization_level": 1}
OCCASIONAL_SINGLE_OPTIONS = {**SINGLE_FUNCTION_OPTIONS, **OCCASIONAL_OPTIONS}
# On a GPU: loops and branches as graphs of kernels, which go on without asking the CPU each time.
GRAPH_OPTIONS = {
    "xla_gpu_enable_command_buffer": (
        "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE,DYNAMIC_SLICE_FUSION"
    ),
    "xla_gpu_graph_min_graph_size": 1,
}
LARGEST_PRODUCT = 32_768  # multiplications in one product of two matrices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """A compiled program."""

    call: Callable[..., Any]
    as_one_function: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lowered:
    """A traced program: how to compile it, and how to trace it anew if XLA refuses."""

    compile: Callable[[], Program]  # needs no Python, so it may run in any thread
    otherwise: Callable[[], Lowered] | None = None


def _is_large_product(equation: Any) -> bool:
    """Return whether an equation multiplies two matrices, of a size that is worth a library's
    call."""
    if equation.primitive.name != "dot_general":
        return False
    (contracted, batched), left, right = (
        equation.params["dimension_numbers"],
        *(variable.aval.shape for variable in equation.invars),
    )
    free = [
        prod(n for axis, n in enumerate(shape) if axis not in (*one, *other))
        for shape, one, other in zip((left, right), contracted, batched, strict=True)
    ]
    length = prod(left[axis] for axis in contracted[0])
    multiplications: int = prod(equation.outvars[0].aval.shape) * length
    return min(free) > 1 and multiplications > LARGEST_PRODUCT


def fits_one_function(function: Callable[..., Any], *arguments: Any) -> bool:
    """Return whether XLA can compile `function`, and should, without calls of library kernels."""
    for equation in equations(jax.make_jaxpr(function)(*arguments)):
        if equation.primitive.name in LIBRARY_CALLS:
            return False
        if _is_large_product(equation):
            return False
    return True


def as_one_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, marked to be compiled as a single machine function inside a larger
    program.

    It is traced before the mark is set, which would forbid XLA to inline the calls in it too, and
    pruned, because XLA does not look into it, and ends the process over an operand never read.
    """

    def call(*arguments: Any) -> Any:
        code = pruned(function, *arguments)
        operands = code.operands(*arguments)
        inner = jax.jit(code.call, inline=False)
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            results = inner(*operands)
        return jax.tree.unflatten(code.result, results)

    return call


def lower_program(
    make: Callable[[bool], Callable[..., Any]], operands: tuple[Any, ...], *, single: bool
) -> Lowered:
    """Trace `make(single)` for these operands; `make(False)` is the way out."""
    lowered = jax.jit(make(single)).lower(*operands)
    if not single:
        options = GRAPH_OPTIONS if jax.default_backend() == "gpu" else {}

        def compile_kernels() -> Program:
            return Program(call=compile_with(lowered, options), as_one_function=False)

        return Lowered(compile=compile_kernels)

    def compile_single() -> Program:
        call = compile_with(lowered, SINGLE_FUNCTION_OPTIONS)
        return Program(call=call, as_one_function=True)

    return Lowered(
        compile=compile_single, otherwise=lambda: lower_program(make, operands, single=False)
    )


def compile_together(trace: list[Callable[[], Lowered]]) -> list[Program]:
    """Compile several programs side by side, each in a thread, while the next one is traced: the
    first should be the one that takes longest.

    Tracing stays in the calling thread, which alone knows the precision that JAX is set to.
    """
    with ThreadPoolExecutor(max(len(trace), 1)) as pool:
        started = []
        for one in trace:
            lowered = one()
            started.append((lowered, pool.submit(in_another_thread(lowered.compile))))
        return [_compile(lowered, compiling.result) for lowered, compiling in started]


def _compile(lowered: Lowered, compiled: Callable[[], Program]) -> Program:
    """Return what `compiled` gives, or the way out of `lowered` where XLA refuses."""
    try:
        return compiled()
    except jax.errors.JaxRuntimeError as error:
        if lowered.otherwise is None:
            raise
        logger.debug("XLA cannot compile the exploration as one function: %s", error)
        return lowered.otherwise().compile()
