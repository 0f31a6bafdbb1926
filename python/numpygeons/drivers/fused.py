"""Runs a block of scans as one XLA program that calls the coordinator from inside (CPU).

The coordinator's address, the number of replicas, the betas and the tuning are operands, and the
coordinator says when the loop ends: one compilation serves every worker, every round and every run
of the same model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array
from numpygeons.drivers.base import Block, NextScan, Progress, Shapes, next_scan
from numpygeons.drivers.compilation import Lowered, Program, as_one_function, lower_program
from numpygeons.drivers.exploration import Explore, Replicas
from numpygeons.drivers.scan_call import scan
from numpygeons.drivers.workers import Workers
from numpygeons.potential import State


def _make_round(explore: Explore, dtype: np.dtype[Any]) -> Callable[..., Any]:
    """The program: explore, call the coordinator, until it says stop."""

    def numpygeons_round(
        handle: Array,
        n_replicas: Array,
        draws: State,
        betas: Array,
        tuning: Any,
        replicas: Replicas,
        first: NextScan,
    ) -> Replicas:
        shapes = (
            jax.ShapeDtypeStruct((), jnp.bool_),
            *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in jax.tree.leaves(first)),
        )

        def body(carry: tuple[Array, Replicas, NextScan]) -> tuple[Array, Replicas, NextScan]:
            _, replicas, (reference_draw, chains, noise) = carry
            replicas, statistics = explore(
                n_replicas, reference_draw, chains, replicas, betas, tuning, draws, noise
            )
            explored = (replicas.x, replicas.log_reference, replicas.v, statistics)
            goes_on, *given = scan(shapes, dtype.name, handle, *explored)
            return goes_on, replicas, next_scan(*given)

        end: Replicas = jax.lax.while_loop(
            lambda carry: carry[0], body, (jnp.bool_(True), replicas, first)
        )[1]
        return end

    return numpygeons_round


class FusedDriver:
    """One compiled program per run; no Python between scans."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._workers = Workers()
        # The program, for each worker its own: while a thread calls it for the first time, JAX lets
        # others that call it wait, and that thread would wait for them in the first scan.
        self._calls: list[Callable[..., Any]] = []

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces the round's program; `single`: as one machine function if XLA can."""
        number: Any = jax.ShapeDtypeStruct((), np.int32)
        chains: Any = shapes.chains
        operands = (
            jax.ShapeDtypeStruct((3,), np.uint32),
            number,
            shapes.draws,
            shapes.betas,
            shapes.tuning,
            shapes.replicas,
            NextScan(number, chains, shapes.noise),
        )
        dtype = np.dtype(shapes.betas.dtype)

        def make(one_function: bool) -> Callable[..., Any]:
            return _make_round(as_one_function(explore) if one_function else explore, dtype)

        return lower_program(make, operands, single=single)

    def run(
        self,
        coordinator: _core.engine.Coordinator,
        parts: list[Replicas],
        betas: Any,
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> list[Replicas]:
        """See `Driver.run`."""
        double = parts[0].x.dtype == np.float64
        coordinator.begin_block(block.n_scans, block.first)
        while len(self._calls) < coordinator.n_workers:
            self._calls.append(copy.copy(self.program.call))

        def work(worker: int) -> Replicas:
            prepare = coordinator.prepare_f64 if double else coordinator.prepare_f32
            result: Replicas = jax.block_until_ready(
                self._calls[worker](
                    coordinator.address(worker),
                    np.int32(coordinator.replicas_of(worker)[1]),
                    block.draws,
                    betas,
                    tuning,
                    parts[worker],
                    next_scan(*prepare(worker)),
                )
            )
            return result

        return self._workers.run(coordinator, work, progress)
