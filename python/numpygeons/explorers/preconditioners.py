"""Chooses the scale that a gradient step is taken in, once per exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

from numpygeons.arrays import Array


class Preconditioner(Protocol):
    """The scale of one exploration, from the chain's scale and two uniforms."""

    def scale(self, scale: Array, uniforms: Array) -> Array:
        """Scale per coordinate, shape (dimension,), unconstrained units."""
        ...


@dataclass(frozen=True, slots=True)
class IdentityPreconditioner:
    """Every coordinate in its own unit."""

    def scale(self, scale: Array, uniforms: Array) -> Array:
        return jnp.ones_like(scale)


@dataclass(frozen=True, slots=True)
class DiagonalPreconditioner:
    """Each coordinate in units of its standard deviation at the chain."""

    def scale(self, scale: Array, uniforms: Array) -> Array:
        return scale


@dataclass(frozen=True, slots=True)
class MixDiagonalPreconditioner:
    """The diagonal with probability `p_diagonal`, the identity with `p_identity`, else a mixture
    of the inverse scales with a uniform weight: robust where the estimate is poor.

    Raises ValueError when the probabilities are negative or sum to more than 1.
    """

    p_diagonal: float = 1 / 3
    p_identity: float = 1 / 3

    def __post_init__(self) -> None:
        if min(self.p_diagonal, self.p_identity) < 0 or self.p_diagonal + self.p_identity > 1:
            raise ValueError(
                "p_diagonal and p_identity must be probabilities that sum to at most 1: got "
                f"{self.p_diagonal} and {self.p_identity}"
            )

    def scale(self, scale: Array, uniforms: Array) -> Array:
        which, weight = uniforms[0], uniforms[1]
        identity_share = jnp.where(
            which < self.p_diagonal,
            0.0,
            jnp.where(which < self.p_diagonal + self.p_identity, 1.0, weight),
        ).astype(scale.dtype)
        return 1 / (identity_share + (1 - identity_share) / scale)
