"""Runs scans one by one from C++, each exploration one call of a jitted function (any device)."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpygeons._core.engine import Coordinator, Explored, NextScan
from numpygeons.drivers.base import Block, Progress, Shapes, handed_in, noise_of
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
        """Trace the exploration; `single`: as one machine function if XLA can."""

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
        coordinator.begin_block(block.n_scans, block.first)

        def work(worker: int) -> Replicas:
            replicas = parts[worker]
            n_replicas = np.int32(coordinator.replicas_of(worker)[1])

            def explore(scan: int, given: NextScan) -> Explored:
                nonlocal replicas
                replicas, statistics = self.program.call(
                    n_replicas,
                    given.reference_draw,
                    given.chains,
                    replicas,
                    betas,
                    tuning,
                    block.draws,
                    noise_of(given),
                )
                return Explored(*(np.asarray(a) for a in handed_in(replicas, statistics)))

            coordinator.run_scans(worker, explore, replicas.x.dtype)
            return replicas

        return self._workers.run(coordinator, work, block.meanwhile, progress)
