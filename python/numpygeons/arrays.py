"""Names the array types that the package passes around."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np
import numpy.typing as npt

Array: TypeAlias = jax.Array
Floats: TypeAlias = npt.NDArray[np.float64]
Reals: TypeAlias = npt.NDArray[np.floating[Any]]  # in the model's precision
Integers: TypeAlias = npt.NDArray[np.int64]


Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(a: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return the same numbers, which cannot be written to through this array."""
    view = a.view()
    view.flags.writeable = False
    return view
