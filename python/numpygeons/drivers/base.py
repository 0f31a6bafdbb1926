"""States what a driver does: it runs the scans of a round and hands back the replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from numpygeons._core.engine import Coordinator
from numpygeons.arrays import Array
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
    chains: jax.ShapeDtypeStruct  # leading axis: the worker's rows
    noise: Noise  # likewise

    def of_one_scan(self) -> tuple[Any, ...]:
        """Shapes of the operands of one exploration (`Explore`)."""
        number = jax.ShapeDtypeStruct((), np.int32)
        return (
            number,
            number,
            self.chains,
            self.replicas,
            self.betas,
            self.tuning,
            self.draws,
            self.noise,
        )


Progress = Callable[[int], None]  # called now and then with the scans done in the round


class NextScan(NamedTuple):
    """What the coordinator hands a worker for its next exploration."""

    reference_draw: Array  # int32: which of the block's exact draws is due
    chains: Array  # by row
    noise: Noise  # by row


def next_scan(
    reference_draw: Any,
    chains: Any,
    normals: Any,
    uniforms: Any,
    keys: Any,
    proposals: Any,
    logs: Any,
    components: Any,
) -> NextScan:
    """From the arrays of the coordinator, in its order."""
    noise = Noise(normals, uniforms, keys, Proposals(proposals, logs, components))
    return NextScan(reference_draw, chains, noise)


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
        """Runs the block on the replicas of each worker; stops early when the coordinator is asked
        to.

        Raises what an exploration raises, and `KeyboardInterrupt` after the scan under way.
        """
        ...
