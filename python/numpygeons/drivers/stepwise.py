"""Runs scans one by one from C++, each exploration one call of a jitted function (any device)."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpygeons._core.engine import Coordinator
from numpygeons.drivers.base import Block, Progress, Shapes, next_scan
from numpygeons.drivers.exploration import Explore
from numpygeons.drivers.workers import Workers
from numpygeons.target.potential import Replicas
from numpygeons.xla.compilation import Lowered, Program, as_one_function, lower_program


class StepwiseDriver:
    """The round loop is the core's; it calls back here once per scan."""

    stops_anywhere = True

    def __init__(self, program: Program) -> None:
        self.program = program
        self._workers = Workers()

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces the exploration; `single`: as one machine function if XLA can."""

        def make(one_function: bool) -> Explore:
            return as_one_function(explore) if one_function else explore

        return lower_program(make, shapes.of_one_scan(), single=single)

    def run(
        self,
        coordinator: Coordinator,
        parts: list[Replicas],
        betas: np.ndarray[Any, Any],
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> list[Replicas]:
        """See `Driver.run`."""
        double = parts[0].x.dtype == np.float64
        coordinator.begin_block(block.n_scans, block.first)
        run_scans = coordinator.run_scans_f64 if double else coordinator.run_scans_f32

        def work(worker: int) -> Replicas:
            replicas = parts[worker]
            n_replicas = np.int32(coordinator.replicas_of(worker)[1])

            def explore(scan: int, *given: Any) -> tuple[Any, ...]:
                nonlocal replicas
                reference_draw, chains, noise = next_scan(*given)
                replicas, statistics = self.program.call(
                    n_replicas,
                    reference_draw,
                    chains,
                    replicas,
                    betas,
                    tuning,
                    block.draws,
                    noise,
                )
                return tuple(
                    np.asarray(a)
                    for a in (replicas.x, replicas.log_reference, replicas.v, statistics)
                )

            run_scans(worker, explore)
            return replicas

        return self._workers.run(coordinator, work, block.meanwhile, progress)
