"""Names what a run gives, whatever sampler made it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Samples = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run gave. `sampling_...` is of the part that the draws come from: tuning apart."""

    samples: Samples  # by site, shape (n_chains, n_draws, *site_shape)
    weights: np.ndarray | None = None  # of the draws, for one chain; None: all equal
    families: np.ndarray | None = None  # of the draws, for one chain: who shares an ancestor
    ess: float | None = None  # None: of series or families, which `ess.py` makes
    log_z: float | None = None
    n_gradients: float  # of the log density, over all chains, replicas and particles
    sampling_seconds: float | None = None  # None: no part of it is only tuning
    sampling_gradients: float | None = None


Runner = Callable[[int], Run]


def constrained(path: Any) -> Callable[[Any], Samples]:
    """Maps rows of x to constrained space, as one chain; compiled once."""
    import jax

    sites = jax.jit(jax.vmap(path.constrain))
    return lambda x: {name: np.asarray(value)[None] for name, value in sites(x).items()}
