"""Has JAX read the NumPy arrays of a model each time it is traced, as they are then.

JAX from 0.9 keeps its copy of every NumPy array that it has met, by the array's identity, as long
as anything holds the copy, as a traced model does. Nothing looks at the array again. Data that had
changed in place (`y[:] = ...`) gave the posterior of the old ones, in silence, and data of a model
traced in single precision stayed in single precision under `jax.enable_x64`, where V was off by 0.1
nats for four numbers near 1,000.

Here an array is converted anew, and the copy that is kept is taken where it has the same bits: so
one array is still one constant of a program, however often a model reads it. What was traced does
not change with the array.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import jax
import numpy as np

_KEPT: WeakValueDictionary[tuple[int, np.dtype[Any]], Any] = WeakValueDictionary()


@cache
def read_arrays_anew() -> None:
    """Mend this process' JAX where it needs it: JAX from 0.9 on, as far as it is known."""
    try:
        from jax._src import dtypes, literals  # the conversion has no public name

        read, handlers, typed = (
            dtypes.canonicalize_value,
            dtypes.canonicalize_value_handlers,
            literals.TypedNdArray,
        )
    except (ImportError, AttributeError):
        return

    def read_anew(array: Any) -> Any:
        now = typed(np.array(array, dtypes.canonicalize_dtype(array.dtype), order="C"))
        key = id(array), now.dtype
        kept = _KEPT.get(key)
        if kept is not None and _same_bits(kept, now):
            return kept
        _KEPT[key] = now
        return now

    if _keeps_what_it_has_read(read):
        handlers[np.ndarray] = read_anew


def _keeps_what_it_has_read(read: Any) -> bool:
    array = np.zeros(1)
    with jax.enable_x64(False):
        first = read(array)
        array[0] = 1
        return bool(read(array)[0] != 1) and first is not None


def _same_bits(a: Any, b: Any) -> bool:
    if a.shape != b.shape or a.dtype.itemsize == 0:
        return False
    bytes_of_a, bytes_of_b = (np.asarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return np.array_equal(bytes_of_a, bytes_of_b)
