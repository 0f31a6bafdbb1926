"""Explores with AutoHMC: several leapfrog steps per trial, their size searched for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax

from numpygeons.arrays import Array
from numpygeons.explorers.auto_step import AutoStep
from numpygeons.explorers.leapfrog import leapfrog
from numpygeons.explorers.parameters import take_counts
from numpygeons.target.potential import Evaluate, State


@dataclass(frozen=True, kw_only=True)
class AutoHMC(AutoStep):
    """Hamiltonian trajectories of `n_leapfrog` steps; other parameters as `AutoStep`.

    References
    ----------
    Liu, Surjanovic, Biron-Lattes, Bouchard-Cote & Campbell (2024), AutoStep, arXiv 2410.18929.
    """

    n_refresh: int | Literal["auto"] = 1
    n_leapfrog: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        take_counts(self, "n_leapfrog")

    @property
    def _gradients_per_trial(self) -> int:
        return self.n_leapfrog

    def _trial(
        self, evaluate: Evaluate, origin: State, p: Array, beta: Array, step: Array, scale: Array
    ) -> tuple[State, Array]:
        def one(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
            valued = self.n_leapfrog == 1 or i == self.n_leapfrog - 1
            return leapfrog(evaluate, *carry, beta, step, scale, valued)

        end: tuple[State, Array] = jax.lax.fori_loop(0, self.n_leapfrog, one, (origin, p))
        return end
