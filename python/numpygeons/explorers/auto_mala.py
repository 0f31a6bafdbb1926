"""Explores with autoMALA: one leapfrog step per trial (Biron-Lattes et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from numpygeons.arrays import Array
from numpygeons.explorers.auto_step import AutoStep
from numpygeons.explorers.leapfrog import leapfrog
from numpygeons.target.potential import Evaluate, State


@dataclass(frozen=True, kw_only=True)
class AutoMALA(AutoStep):
    """autoMALA with a base step and a scale tuned per chain; parameters as `AutoStep`.

    References
    ----------
    Biron-Lattes, Surjanovic, Syed, Campbell & Bouchard-Cote (2024), autoMALA: locally adaptive
    Metropolis-adjusted Langevin algorithm, AISTATS 238.
    Liu, Surjanovic, Biron-Lattes, Bouchard-Cote & Campbell (2024), AutoStep, arXiv 2410.18929.
    """

    def _trial(
        self, evaluate: Evaluate, origin: State, p: Array, beta: Array, step: Array, scale: Array
    ) -> tuple[State, Array]:
        return leapfrog(evaluate, origin, p, beta, step, scale)
