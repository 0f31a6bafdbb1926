"""Decides when an AutoStep search doubles or halves its step (Liu et al. 2024, section 4).

A search looks at the change of the log joint density, `difference`, over one trial with the step
2^e times the base step. Both bounds are logarithms of numbers in (0, 1), lower <= upper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import jax.numpy as jnp

from numpygeons.arrays import Array
from numpygeons.explorers.parameters import check_part, take_reals

SELECTOR = ("bounds", "doubles", "halves")  # its members


class Selector(Protocol):
    """When to double and when to halve; never both for the same difference."""

    def bounds(self, uniforms: Array) -> tuple[Array, Array]:
        """Return the two bounds (lower, upper) of one step, from two uniforms, shape (2,)."""
        ...

    def doubles(self, difference: Array, lower: Array, upper: Array) -> Array:
        """Say whether the trial was so easy that a larger step should be tried."""
        ...

    def halves(self, difference: Array, lower: Array, upper: Array) -> Array:
        """Say whether the trial was so bad that a smaller step must be tried."""
        ...


def _random_bounds(uniforms: Array) -> tuple[Array, Array]:
    logs = jnp.log(uniforms)
    return jnp.minimum(logs[0], logs[1]), jnp.maximum(logs[0], logs[1])


@dataclass(frozen=True, slots=True)
class SymmetricSelector:
    """Compares the size of the difference: a trial and its inverse are judged alike, so that the
    reversibility check of an unchanged step costs nothing."""

    def bounds(self, uniforms: Array) -> tuple[Array, Array]:
        return _random_bounds(uniforms)

    def doubles(self, difference: Array, lower: Array, upper: Array) -> Array:
        return jnp.abs(difference) < -upper

    def halves(self, difference: Array, lower: Array, upper: Array) -> Array:
        return ~(jnp.abs(difference) <= -lower)


@dataclass(frozen=True, slots=True)
class AsymmetricSelector:
    """Compares the difference itself, as autoMALA was first published."""

    def bounds(self, uniforms: Array) -> tuple[Array, Array]:
        return _random_bounds(uniforms)

    def doubles(self, difference: Array, lower: Array, upper: Array) -> Array:
        return difference > upper

    def halves(self, difference: Array, lower: Array, upper: Array) -> Array:
        return ~(difference >= lower)


@dataclass(frozen=True, slots=True)
class DeterministicSelector:
    """Another selector with fixed bounds in place of random ones.

    Raises ValueError unless 0 < lower < upper < 1.
    """

    lower: float = 0.01
    upper: float = 0.99
    rule: Selector = field(default_factory=SymmetricSelector)

    def __post_init__(self) -> None:
        take_reals(self, "lower", "upper")
        check_part("rule", self.rule, SELECTOR, "SymmetricSelector()")
        if not 0 < self.lower < self.upper < 1:
            raise ValueError(
                f"bounds must satisfy 0 < lower < upper < 1: got {self.lower} and {self.upper}"
            )

    def bounds(self, uniforms: Array) -> tuple[Array, Array]:
        fixed = jnp.log(jnp.asarray([self.lower, self.upper], uniforms.dtype))
        return fixed[0], fixed[1]

    def doubles(self, difference: Array, lower: Array, upper: Array) -> Array:
        return self.rule.doubles(difference, lower, upper)

    def halves(self, difference: Array, lower: Array, upper: Array) -> Array:
        return self.rule.halves(difference, lower, upper)


@dataclass(frozen=True, slots=True)
class FixedSelector:
    """Takes the base step as it is: no search."""

    def bounds(self, uniforms: Array) -> tuple[Array, Array]:
        return _random_bounds(uniforms)

    def doubles(self, difference: Array, lower: Array, upper: Array) -> Array:
        return jnp.zeros_like(difference, bool)

    def halves(self, difference: Array, lower: Array, upper: Array) -> Array:
        return jnp.zeros_like(difference, bool)
