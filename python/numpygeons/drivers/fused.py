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

from numpygeons._core.engine import Coordinator, NextScan
from numpygeons.arrays import Array
from numpygeons.drivers.base import Block, Progress, Shapes, handed_in, noise_of
from numpygeons.drivers.exploration import Explore
from numpygeons.drivers.scan_call import prepare, scan
from numpygeons.drivers.workers import Workers
from numpygeons.target.potential import Replicas, State
from numpygeons.xla.compilation import Lowered, Program, as_one_function, lower_program


def _make_round(explore: Explore, shapes: NextScan, dtype: str) -> Callable[..., Any]:
    """Make the program: explore, call the coordinator, until it says stop."""

    def numpygeons_round(
        handle: Array,
        n_replicas: Array,
        draws: State,
        betas: Array,
        tuning: Any,
        replicas: Replicas,
    ) -> Replicas:
        def body(carry: tuple[Array, Replicas, NextScan]) -> tuple[Array, Replicas, NextScan]:
            _, replicas, given = carry
            replicas, statistics = explore(
                n_replicas,
                given.reference_draw,
                given.chains,
                replicas,
                betas,
                tuning,
                draws,
                noise_of(given),
            )
            explored = handed_in(replicas, statistics)
            goes_on, following = scan(shapes, dtype, handle, explored)
            return goes_on, replicas, following

        first = prepare(shapes, dtype, handle)
        end: Replicas = jax.lax.while_loop(
            lambda carry: carry[0], body, (jnp.bool_(True), replicas, first)
        )[1]
        return end

    return numpygeons_round


class FusedDriver:
    """One compiled program per run; no Python between scans."""

    stops_anywhere = True

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
        operands = (
            jax.ShapeDtypeStruct((3,), np.uint32),
            number,
            shapes.draws,
            shapes.betas,
            shapes.tuning,
            shapes.replicas,
        )
        dtype = np.dtype(shapes.betas.dtype).name

        def make(one_function: bool) -> Callable[..., Any]:
            own = as_one_function(explore) if one_function else explore
            return _make_round(own, shapes.given, dtype)

        return lower_program(make, operands, single=single)

    def run(
        self,
        coordinator: Coordinator,
        parts: list[Replicas],
        betas: Any,
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> list[Replicas]:
        """See `Driver.run`."""
        coordinator.begin_block(block.n_scans, block.first)
        while len(self._calls) < coordinator.n_workers:
            self._calls.append(copy.copy(self.program.call))

        def work(worker: int) -> Replicas:
            end: Replicas = self._calls[worker](
                coordinator.address(worker),
                np.int32(coordinator.replicas_of(worker)[1]),
                block.draws,
                betas,
                tuning,
                parts[worker],
            )
            done: Replicas = jax.block_until_ready(end)
            return done

        return self._workers.run(coordinator, work, block.meanwhile, progress)
