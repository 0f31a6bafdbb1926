"""States what a driver does: it runs the scans of a round and hands back the replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array
from numpygeons.drivers.compilation import Lowered, Program
from numpygeons.drivers.exploration import Explore, Replicas
from numpygeons.explorers.base import Noise, Proposals
from numpygeons.potential import State


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Consecutive scans of one round, and the reference's exact draws for them."""

    n_scans: int
    draws: State  # leading axis: the draws that were made together
    first: int  # index in `draws` of the block's first scan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Shapes and types of what a run works on, as `jax.ShapeDtypeStruct`; enough to compile."""

    draws: State  # leading axis: a batch of reference draws
    replicas: Replicas  # leading axis: n_chains
    betas: jax.ShapeDtypeStruct
    tuning: Any
    chains: jax.ShapeDtypeStruct
    noise: Noise  # leading axis: n_chains

    def of_one_scan(self) -> tuple[Any, ...]:
        """Shapes of the operands of one exploration of all replicas (`Explore`)."""
        reference = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), self.draws)
        return (self.chains, self.replicas, self.betas, self.tuning, reference, self.noise)


Progress = Callable[[int], None]  # called now and then with the scans done in the round


def named(
    chains: Any,
    normals: Any,
    uniforms: Any,
    keys: Any,
    proposals: Any,
    logs: Any,
    components: Any,
) -> tuple[Array, Noise]:
    """Chains and noise from the arrays of the coordinator, in its order; rows by replica."""
    return chains, Noise(normals, uniforms, keys, Proposals(proposals, logs, components))


class Driver(Protocol):
    """Explores and swaps, `block.n_scans` times, through the coordinator."""

    program: Program

    @staticmethod
    def lower(explore: Explore, shapes: Shapes, *, single: bool) -> Lowered:
        """Traces what is to be compiled."""
        ...

    def run(
        self,
        coordinator: _core.engine.Coordinator,
        replicas: Replicas,
        betas: np.ndarray[Any, Any],
        tuning: Any,
        block: Block,
        progress: Progress,
    ) -> Replicas:
        """Runs the block; stops early when the coordinator is asked to.

        Raises what the exploration raises, and `KeyboardInterrupt` after the scan under way.
        """
        ...
