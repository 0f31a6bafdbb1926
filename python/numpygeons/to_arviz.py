"""Hands the draws to ArviZ, 0.x or 1.x."""

from __future__ import annotations

from typing import Any

import arviz
import numpy as np

from numpygeons.constrained import map_draws
from numpygeons.result import PT


def to_arviz(pt: PT, *, log_likelihood: bool = False) -> Any:
    """Posterior and sample_stats of a run, with the dims and coords of the model's plates.

    `sample_stats` holds `lp` (log gamma_0 + V, unconstrained space), `log_likelihood` (V) and
    `beta` (1 at the target), each of shape (chain = 1, draw).
    """
    path = pt._rounds.path
    density = pt.log_density
    v = density["log_likelihood"]
    groups = {
        "posterior": pt.samples,
        "sample_stats": {
            "lp": density["log_reference"] + v,
            "log_likelihood": v,
            "beta": np.ones_like(v),
        },
    }
    if log_likelihood:
        groups["log_likelihood"] = map_draws(path, pt._traces.x, to="log_likelihood")
    chained = {
        group: {name: values[None] for name, values in variables.items()}
        for group, variables in groups.items()
    }
    named = {name for variables in groups.values() for name in variables}
    dims = {name: list(axes) for name, axes in path.dims.items() if name in named}
    coords = {name: list(values) for name, values in path.coords.items()}
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.from_dict(**chained, dims=dims, coords=coords)
    return arviz.from_dict(chained, dims=dims, coords=coords)
