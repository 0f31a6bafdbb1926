"""Explores with AutoRWMH: a random walk whose step is searched for, without gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from numpygeons.arrays import Array
from numpygeons.explorers.auto_step import AutoStep
from numpygeons.explorers.preconditioners import scaled
from numpygeons.target.potential import Evaluate, State


@dataclass(frozen=True, kw_only=True)
class AutoRWMH(AutoStep):
    """A random walk along the momentum; parameters as `AutoStep`. "n_gradients" counts
    evaluations of the log densities.

    References
    ----------
    Liu, Surjanovic, Biron-Lattes, Bouchard-Cote & Campbell (2024), AutoStep, arXiv 2410.18929.
    """

    n_refresh: int | Literal["auto"] = 5

    @property
    def needs_gradients(self) -> bool:
        return False

    def _trial(
        self, evaluate: Evaluate, origin: State, p: Array, beta: Array, step: Array, scale: Array
    ) -> tuple[State, Array]:
        return evaluate(origin.x + step * scaled(scale, p)), p
