"""Maps draws from unconstrained space to the model's sites, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from numpygeons.target.path import TemperedPath
from numpygeons.xla.callback_errors import callbacks_may_raise
from numpygeons.xla.compilation_cache import kept_programs
from numpygeons.xla.compiler_options import jit
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.precision import run_precision

Sites = dict[str, npt.NDArray[Any]]
CHUNK = 1024  # draws at a time: bounds the memory, and one compilation serves any number


@kept_programs()
@one_thread()
def map_draws(path: TemperedPath, x: npt.NDArray[Any], *, to: str = "constrain") -> Sites:
    """Return the path's function `to` ("constrain" or "log_likelihood") of every row of x.

    x has shape (n, dimension); results have shape (n, *site_shape). The last chunk is padded.
    """
    key = ("map", to)
    if key not in path.programs:
        path.programs[key] = jit(jax.vmap(getattr(path, to)))
    where = "at the values of sites" if to == "constrain" else "at pointwise log likelihoods"
    with (
        callbacks_may_raise(where),
        run_precision(path.dtype),
    ):  # the caller may have left the run's precision
        return _mapped(path.programs[key], x)


def _mapped(program: Callable[[Any], dict[str, Any]], x: npt.NDArray[Any]) -> Sites:
    n = len(x)
    result: Sites = {}
    for start in range(0, n, CHUNK):
        rows = x[start : start + CHUNK]
        n_rows = len(rows)
        if n_rows < CHUNK:
            rows = np.concatenate([rows, np.repeat(rows[-1:], CHUNK - n_rows, axis=0)])
        for name, values in program(rows).items():
            chunk = np.asarray(values)[:n_rows]
            if name not in result:
                result[name] = np.empty((n, *chunk.shape[1:]), chunk.dtype)
            result[name][start : start + n_rows] = chunk
    return result
