"""Keeps running means and variances of the draws, in memory that does not grow with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Sites = dict[str, npt.NDArray[Any]]


class OnlineMoments:
    """Mean and variance of each site, updated batch by batch (Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Sites = {}
        self.squared_deviations: Sites = {}

    def update(self, batch: Sites) -> None:
        """Add draws: arrays of shape (n, *site_shape)."""
        n = len(next(iter(batch.values())))
        total = self.n + n
        for name, values in batch.items():
            values = values.astype(np.float64)
            mean = values.mean(axis=0)
            squared = ((values - mean) ** 2).sum(axis=0)
            if self.n:
                gap = mean - self.mean[name]
                squared = squared + self.squared_deviations[name] + gap**2 * (self.n * n / total)
                mean = self.mean[name] + gap * (n / total)
            self.mean[name], self.squared_deviations[name] = mean, squared
        self.n = total

    def copy(self) -> OnlineMoments:
        """Return another one that goes on from here."""
        other = OnlineMoments()
        other.n, other.mean = self.n, dict(self.mean)
        other.squared_deviations = dict(self.squared_deviations)
        return other

    @property
    def variance(self) -> Sites:
        """Variance with divisor n - 1; NaN for a single draw."""
        divisor = self.n - 1 if self.n > 1 else np.nan
        return {name: squared / divisor for name, squared in self.squared_deviations.items()}
