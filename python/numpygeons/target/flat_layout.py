"""Lay the values of several sites out in one flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlatLayout:
    """Sites in a fixed order, each raveled in C order, all in one floating dtype."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    dtype: np.dtype[Any]  # of the flat vector

    @property
    def dimension(self) -> int:
        """Length of the flat vector."""
        return sum(prod(shape) for shape in self.shapes)

    def flatten(self, values: Mapping[str, Any]) -> Array:
        """Return the flat vector, shape (dimension,)."""
        parts = [jnp.ravel(jnp.asarray(values[name], self.dtype)) for name in self.names]
        return jnp.concatenate(parts) if len(parts) > 1 else parts[0]

    def unflatten(self, x: Array) -> dict[str, Array]:
        """Return the values by site, each in its own shape and dtype."""
        values = {}
        ends = list(accumulate(prod(shape) for shape in self.shapes))
        for name, shape, dtype, end in zip(self.names, self.shapes, self.dtypes, ends, strict=True):
            part = jax.lax.slice(x, (end - prod(shape),), (end,))
            values[name] = part.reshape(shape).astype(dtype)
        return values

    def coordinate_names(self) -> list[str]:
        """Return one name per coordinate: ``mu``, ``theta[0]``, ``a[0,1]``."""
        names = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            if not shape:
                names.append(name)
            else:
                names += [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]
        return names


def default_float() -> np.dtype[Any]:
    """Return JAX's default floating dtype at this moment: float32, or float64 under x64."""
    return np.dtype(jnp.result_type(float))
