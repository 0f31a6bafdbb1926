"""States what a driver does: it runs the scans of a round and hands back the replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from numpygeons._core.engine import BlockNoise, Coordinator, Explored, NextScan
from numpygeons.drivers.exploration import Explore
from numpygeons.explorers.base import Noise, Proposals
from numpygeons.target.potential import Replicas, State
from numpygeons.xla.compilation import Lowered, Program


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Consecutive scans of one round, and the reference's exact draws for them."""

    n_scans: int
    draws: State  # leading axis: the draws that were made together
    first: int  # index in `draws` of the block's first scan
    # To be called once, beside the scans; it does not raise.
    meanwhile: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Shapes and types of what a worker works on, as `jax.ShapeDtypeStruct`; enough to compile."""

    n_chains: int
    draws: State  # leading axis: a batch of reference draws
    replicas: Replicas  # leading axis: the worker's rows
    betas: jax.ShapeDtypeStruct  # (n_chains,)
    tuning: Any  # by chain
    given: NextScan  # leading axis: the worker's rows

    def of_one_scan(self) -> tuple[Any, ...]:
        """Shapes of the operands of one exploration (`Explore`)."""
        return (
            jax.ShapeDtypeStruct((), np.int32),
            self.given.reference_draw,
            self.given.chains,
            self.replicas,
            self.betas,
            self.tuning,
            self.draws,
            noise_of(self.given),
        )


Progress = Callable[[int], None]  # called now and then with the scans done in the round


def noise_of(given: NextScan | BlockNoise) -> Noise:
    """Pick the randomness from the arrays of the core, as explorers take it."""
    proposals = Proposals(given.proposals, given.proposal_logs, given.proposal_components)
    return Noise(given.normals, given.uniforms, given.keys, proposals)


def handed_in(replicas: Replicas, statistics: Any) -> Explored:
    """Put together what explorers hand the core."""
    return Explored(
        x=replicas.x,
        log_reference=replicas.log_reference,
        v=replicas.v,
        statistics=statistics,
    )


class Driver(Protocol):
    """Explores and swaps, `block.n_scans` times, through the coordinator, with a thread for each
    worker."""

    program: Program
    stops_anywhere: bool  # whether the replicas are those after the last scan, wherever it stops

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces what is to be compiled."""
        ...

    def run(
        self,
        coordinator: Coordinator,
        parts: list[Replicas],
        betas: np.ndarray[Any, Any],
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> list[Replicas]:
        """Run the block on the replicas of each worker; stop early when the coordinator is asked.

        Raises what an exploration raises, and `KeyboardInterrupt` after the scan under way.
        """
        ...
