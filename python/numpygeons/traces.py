"""Keeps the target's states of one round, or their running moments, as the run asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons.arrays import Floats, Reals
from numpygeons.constrained import map_draws
from numpygeons.online import OnlineMoments
from numpygeons.path import Path


class Traces:
    """What the recorders "traces" and "online" keep of one round."""

    def __init__(self, path: Path, n_scans: int, record: tuple[str, ...]) -> None:
        self._path = path
        self.n = 0
        kept = n_scans if "traces" in record else 0
        self.keeps_draws = kept > 0
        self.x: Reals = np.empty((kept, path.dimension), path.dtype)  # unconstrained, by scan
        self.log_reference: Floats = np.empty(kept)  # log gamma_0, nats
        self.online = OnlineMoments() if "online" in record else None

    def append(self, x: npt.NDArray[Any], log_reference: Floats) -> None:
        """Adds the states of consecutive scans; `x` as bytes of the model's number type."""
        states = x.view(self._path.dtype).reshape(-1, self._path.dimension)
        end = self.n + len(states)
        if self.keeps_draws:
            self.x[self.n : end] = states
            self.log_reference[self.n : end] = log_reference
        if self.online is not None:
            self.online.update(map_draws(self._path, states))
        self.n = end

    def take_up(self, earlier: Traces) -> None:
        """Starts with what another one has kept of the same round."""
        self.n = n = earlier.n
        if self.keeps_draws:
            self.x[:n], self.log_reference[:n] = earlier.x[:n], earlier.log_reference[:n]
        if self.online is not None and earlier.online is not None:
            self.online = earlier.online.copy()
