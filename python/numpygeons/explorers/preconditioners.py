"""Chooses the scale that a gradient step is taken in, once per exploration.

A scale is one number per coordinate, shape (dimension,), or a lower triangular matrix F, shape
(dimension, dimension): a step moves by F p, and the momentum by F' times the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.explorers.parameters import take_reals

PRECONDITIONER = ("needs_covariance", "scale")  # its members


class Preconditioner(Protocol):
    """The scale of one exploration, from what is known of the chain and two uniforms."""

    @property
    def needs_covariance(self) -> bool:
        """Whether `scale` is handed a matrix F with F F' the chain's covariance, in the place of
        the deviations."""
        ...

    def scale(self, scale: Array, uniforms: Array) -> Array:
        """Return the scale to use, unconstrained units, from the chain's own."""
        ...


# Products, though sums of columns are faster in few dimensions: XLA gives sums other last bits
# where a worker has two replicas than where it has ten.
def scaled(scale: Array, p: Array) -> Array:
    """Return the scale times a momentum, shape (dimension,)."""
    product: Array = scale * p if scale.ndim == 1 else scale @ p
    return product


def scaled_gradient(scale: Array, gradient: Array) -> Array:
    """Return the scale, transposed, times a gradient, shape (dimension,)."""
    product: Array = scale * gradient if scale.ndim == 1 else gradient @ scale
    return product


@dataclass(frozen=True, slots=True)
class IdentityPreconditioner:
    """Every coordinate in its own unit."""

    @property
    def needs_covariance(self) -> bool:
        return False

    def scale(self, scale: Array, uniforms: Array) -> Array:
        return jnp.ones_like(scale)


@dataclass(frozen=True, slots=True)
class DiagonalPreconditioner:
    """Each coordinate in units of its standard deviation at the chain."""

    @property
    def needs_covariance(self) -> bool:
        return False

    def scale(self, scale: Array, uniforms: Array) -> Array:
        return scale


@dataclass(frozen=True, slots=True)
class DensePreconditioner:
    """Coordinates in units of their covariance at the chain: a correlated normal becomes a round
    one. Costs dimension^2 multiplications per step; the covariance is estimated from states of all
    chains, reweighted, and drawn towards its diagonal where they are few."""

    @property
    def needs_covariance(self) -> bool:
        return True

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
        take_reals(self, "p_diagonal", "p_identity")
        least, total = min(self.p_diagonal, self.p_identity), self.p_diagonal + self.p_identity
        if not (least >= 0 and total <= 1):
            raise ValueError(
                "p_diagonal and p_identity must be probabilities that sum to at most 1: got "
                f"{self.p_diagonal} and {self.p_identity}"
            )

    @property
    def needs_covariance(self) -> bool:
        return False

    def scale(self, scale: Array, uniforms: Array) -> Array:
        which, weight = uniforms[0], uniforms[1]
        identity_share = jnp.where(
            which < self.p_diagonal,
            0.0,
            jnp.where(which < self.p_diagonal + self.p_identity, 1.0, weight),
        ).astype(scale.dtype)
        return 1 / (identity_share + (1 - identity_share) / scale)
