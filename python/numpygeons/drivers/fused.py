"""Runs a block of scans as one XLA program that calls the coordinator from inside (CPU).

The loop's trip count, the betas, the tuning and the coordinator's address are operands, so one
compilation serves every round and every run of the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array
from numpygeons.drivers.base import Block, Progress, Shapes, named
from numpygeons.drivers.compilation import Lowered, Program, as_one_function, lower_program
from numpygeons.drivers.exploration import Explore, Replicas
from numpygeons.explorers.base import Noise
from numpygeons.potential import State

POLL_SECONDS = 0.1
TARGETS = {"float32": "numpygeons_scan_f32", "float64": "numpygeons_scan_f64"}

jax.ffi.register_ffi_target(TARGETS["float32"], _core.engine.xla_scan_handler_f32(), platform="cpu")
jax.ffi.register_ffi_target(TARGETS["float64"], _core.engine.xla_scan_handler_f64(), platform="cpu")


def _make_round(explore: Explore, dtype: np.dtype[Any]) -> Callable[..., Any]:
    """The program: explore, call the coordinator, until the block ends or it says stop."""

    def numpygeons_round(
        address: Array,
        n_scans: Array,
        first: Array,
        draws: State,
        betas: Array,
        tuning: Any,
        replicas: Replicas,
        chains: Array,
        noise: Noise,
    ) -> Replicas:
        next_scan = (
            jax.ShapeDtypeStruct((), jnp.int32),
            *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in jax.tree.leaves((chains, noise))),
        )
        coordinate = jax.ffi.ffi_call(TARGETS[dtype.name], next_scan, has_side_effect=True)

        def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            scan, _, replicas, chains, noise = carry
            reference = jax.tree.map(lambda a: a[first + scan], draws)
            replicas, statistics = explore(chains, replicas, betas, tuning, reference, noise)
            go_on, *next_scan = coordinate(
                address, replicas.x, replicas.log_reference, replicas.v, statistics
            )
            return scan + 1, go_on, replicas, *named(*next_scan)

        def unfinished(carry: tuple[Any, ...]) -> Array:
            more: Array = (carry[0] < n_scans) & (carry[1] != 0)
            return more

        start = (jnp.int32(0), jnp.int32(1), replicas, chains, noise)
        end: Replicas = jax.lax.while_loop(unfinished, body, start)[2]
        return end

    return numpygeons_round


def _operands(
    coordinator: _core.engine.Coordinator, replicas: Replicas, betas: Any, tuning: Any, block: Block
) -> tuple[Any, ...]:
    double = replicas.x.dtype == np.float64
    return (
        coordinator.address,
        np.int32(block.n_scans),
        np.int32(block.first),
        block.draws,
        betas,
        tuning,
        replicas,
        *named(*(coordinator.prepare_f64() if double else coordinator.prepare_f32())),
    )


class FusedDriver:
    """One compiled program per run; no Python between scans."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="numpygeons")

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces the round's program; `single`: as one machine function if XLA can."""
        operands = (
            jax.ShapeDtypeStruct((2,), np.uint32),
            jax.ShapeDtypeStruct((), np.int32),
            jax.ShapeDtypeStruct((), np.int32),
            shapes.draws,
            shapes.betas,
            shapes.tuning,
            shapes.replicas,
            shapes.chains,
            shapes.noise,
        )
        dtype = np.dtype(shapes.betas.dtype)

        def make(one_function: bool) -> Callable[..., Any]:
            return _make_round(as_one_function(explore) if one_function else explore, dtype)

        return lower_program(make, operands, single=single)

    def run(
        self,
        coordinator: _core.engine.Coordinator,
        replicas: Replicas,
        betas: Any,
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> Replicas:
        """See `Driver.run`. The program runs in a thread of its own, so that this one hears
        Ctrl-C and can show progress."""
        operands = _operands(coordinator, replicas, betas, tuning, block)
        double = jax.config.jax_enable_x64  # a thread does not inherit it

        def call() -> Replicas:
            with jax.enable_x64(double):
                result: Replicas = jax.block_until_ready(self.program.call(*operands))
            return result

        future = self._worker.submit(call)
        try:
            while True:
                try:
                    end = future.result(timeout=POLL_SECONDS)
                    break
                except FutureTimeout:
                    progress(coordinator.n_scans_done)
        except BaseException:
            coordinator.request_stop()
            wait([future])  # the program still uses the coordinator
            raise
        coordinator.rethrow()
        return end
