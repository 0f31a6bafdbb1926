"""Explores with the Metropolis-adjusted Langevin algorithm: one leapfrog step of a fixed size."""

from __future__ import annotations

from dataclasses import dataclass, field

from numpygeons.explorers.auto_mala import AutoMALA
from numpygeons.explorers.selectors import FixedSelector, Selector


@dataclass(frozen=True, kw_only=True)
class MALA(AutoMALA):
    """autoMALA that never searches: each step costs one gradient and has size `step_size` in
    units of the scale, in every round. Other parameters as `AutoStep`.

    References
    ----------
    Roberts & Tweedie (1996), Exponential convergence of Langevin distributions, Bernoulli 2(4).
    """

    selector: Selector = field(default_factory=FixedSelector)
