"""Sets what a run is computed in, whatever the caller has set since it was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import jax
import numpy as np


def full_products() -> AbstractContextManager[None]:
    """Compute products of matrices within in all bits of their numbers, which an accelerator would
    otherwise give up for speed: the evidence, and whether to accept, hang on differences of large
    V. Not where the user has set `jax_default_matmul_precision`."""
    config: Any = jax.config
    if config.jax_default_matmul_precision is not None:
        return nullcontext()
    context: AbstractContextManager[None] = jax.default_matmul_precision("highest")
    return context


@contextmanager
def run_precision(dtype: Any) -> Iterator[None]:
    """Give number types as in a run whose coordinates have this one, and full products."""
    with jax.enable_x64(np.dtype(dtype) == np.float64), full_products():
        yield
