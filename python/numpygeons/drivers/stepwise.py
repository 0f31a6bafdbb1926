"""Runs scans one by one from C++, each exploration one call of a jitted function (any device)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from numpygeons import _core
from numpygeons.drivers.base import Block, Progress, Shapes, named
from numpygeons.drivers.compilation import Lowered, Program, as_one_function, lower_program
from numpygeons.drivers.exploration import Explore, Replicas


class StepwiseDriver:
    """The round loop is the core's; it calls back here once per scan."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces the exploration; `single`: as one machine function if XLA can."""

        def make(one_function: bool) -> Explore:
            return as_one_function(explore) if one_function else explore

        return lower_program(make, shapes.of_one_scan(), single=single)

    def run(
        self,
        coordinator: _core.engine.Coordinator,
        replicas: Replicas,
        betas: Any,
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> Replicas:
        """See `Driver.run`."""
        start = coordinator.n_scans_done
        double = replicas.x.dtype == np.float64

        def explore(scan: int, *next_scan: Any) -> tuple[Any, ...]:
            nonlocal replicas
            chains, noise = named(*next_scan)
            reference = jax.tree.map(lambda a: a[block.first + scan - start], block.draws)
            replicas, statistics = self.program.call(
                chains, replicas, betas, tuning, reference, noise
            )
            progress(scan)
            return tuple(
                np.asarray(a) for a in (replicas.x, replicas.log_reference, replicas.v, statistics)
            )

        run_scans = coordinator.run_scans_f64 if double else coordinator.run_scans_f32
        run_scans(block.n_scans, explore)
        return replicas
