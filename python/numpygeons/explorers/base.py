"""States what an explorer is: a kernel that keeps a tempered density, and how it is tuned.

An explorer is a pure function of one replica. The drivers add batching, compilation and the
exact draws at beta = 0; the tuning is one row per chain and changes only between rounds.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from numpygeons._core import tuning as core
from numpygeons.arrays import Array, Floats
from numpygeons.target.potential import Evaluate, State


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseShape:
    """How much randomness one exploration of one replica takes."""

    n_normals: int
    n_uniforms: int
    key: bool = False  # a JAX key besides, for who cannot say how much it takes
    n_proposals: int = 0  # draws from the mixtures that `Explorer.proposals` names


class Proposals(NamedTuple):
    """Draws from the mixture of the replica's chain, rows beyond the chain's count zero: a function
    of (seed, chain, round, scan)."""

    x: Array  # shape (n_proposals, dimension), unconstrained
    logs: Array  # shape (n_proposals, 3): log q(x); the log of its component's share of q(x);
    # the log of the uniform number that decides whether it is accepted
    components: Array  # shape (n_proposals,), int32, drawn anew given x


class Noise(NamedTuple):
    """The randomness of one replica in one scan: a function of (seed, replica, round, scan)."""

    normals: Array  # shape (n_normals,)
    uniforms: Array  # shape (n_uniforms,), in the open interval (0, 1)
    key: Array  # shape (2,), a raw threefry2x32 key; shape (0,) unless asked for
    proposals: Proposals | None = None  # None unless asked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """What is known before the first round."""

    betas: Floats  # shape (n_chains,)
    centre: Floats  # shape (dimension,): median of draws from the reference
    scale: Floats  # shape (dimension,): their interquartile range / 1.35, a robust deviation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshots:
    """States of all chains after exploring, from scans at equal distances."""

    x: Floats  # shape (n, n_chains, dimension), unconstrained
    v: Floats  # shape (n, n_chains), V in nats; -inf only where beta = 0
    log_z: Floats  # shape (n_chains,), log Z at the chains' betas as the round estimates it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundOutcome:
    """What an explorer may learn from a finished round; rows by chain."""

    round: int  # 1-based
    n_scans: int
    betas: Floats  # shape (n_chains,), of the finished round
    new_betas: Floats  # shape (n_chains,), of the round to come
    statistics: dict[str, Floats]  # means over scans, shape (n_chains,) each
    counts: Floats  # visits, shape (n_chains,)
    means: Floats  # of the unconstrained coordinates, shape (n_chains, dimension)
    squared_deviations: Floats  # sums about the means, shape (n_chains, dimension)
    snapshots: Snapshots | None = None  # what the explorer asked for
    energy_ac1: Floats | None = None  # correlation of V before and after exploring, (n_chains,)
    restarts: float = np.nan  # trips from the reference to the target, per scan
    ideal_restarts: float = np.nan  # what they would be if V were drawn afresh in every scan


class Explorer(Protocol):
    """A kernel that keeps the density exp(log gamma_0 + beta V), for every beta in (0, 1].

    Only `explore` must be written by who derives from this class; the rest has defaults. An
    explorer must be hashable and must not change, since compiled programs are found by it: a
    frozen dataclass is. Tuning is any pytree of NumPy arrays whose leading axis is the chain;
    `explore` gets the row of the chain that the replica is at.
    """

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the numbers that `explore` reports; "acceptance" and "n_gradients" are
        shown in the report."""
        return ("acceptance",)

    @property
    def needs_gradients(self) -> bool:
        """Whether states carry gradients."""
        return False

    def noise(self, dimension: int) -> NoiseShape:
        """Say how much randomness one exploration takes. By default a JAX key."""
        return NoiseShape(n_normals=0, n_uniforms=0, key=True)

    def n_snapshots(self, n_chains: int, dimension: int) -> int:
        """Say how many states per chain `adapt` wants to see of each round, at most; 0 for none.

        They are held in memory at 8 bytes per coordinate and chain until the round has ended.
        """
        return 0

    def start(self, start: Start) -> Any:
        """Return the tuning of the first round. By default there is none."""
        return ()

    def proposals(self, tuning: Any) -> list[core.Proposals]:
        """Return what the chains propose from in a round with this tuning; [] where `noise` asks
        for no proposals."""
        return []

    def operands(self, tuning: Any) -> Any:
        """Return what `explore` gets of a round's tuning, by default all of it.

        A program is compiled for each structure that operands come in, when it is due: an explorer
        that needs some of its code in certain rounds alone leaves out of the others' what that code
        would read.
        """
        return tuning

    @abstractmethod
    def explore(
        self, evaluate: Evaluate, state: State, beta: Array, tuning: Any, noise: Noise
    ) -> tuple[State, Array]:
        """Explore once: return the next state, and the statistics in the order of their names.

        `evaluate` costs one evaluation of log gamma_0 and V with their gradients. A state whose
        density is zero or not finite must be rejected, never returned. The statistics are one
        array of the state's dtype.
        """
        ...

    def adapt(self, tuning: Any, outcome: RoundOutcome) -> Any:
        """Return the tuning of the next round, for the chains of `outcome.new_betas`. By default
        every chain keeps its row."""
        return tuning

    def chosen(self, tuning: Any) -> dict[str, Floats]:
        """Return what the report shows of a round's tuning, by name, shape (n_chains,) each."""
        return {}


def step_sizes(tuning: Any, n_chains: int) -> Floats:
    """Return the step size of each chain, NaN for an explorer without; shape (n_chains,)."""
    steps = getattr(tuning, "step_size", None)
    if steps is None:
        return np.full(n_chains, np.nan)
    return np.asarray(steps, np.float64)
