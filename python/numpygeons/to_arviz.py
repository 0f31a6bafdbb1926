"""Hands the draws to ArviZ, 0.x or 1.x."""

from __future__ import annotations

from typing import Any

import arviz
import numpy as np

from numpygeons.constrained import map_draws
from numpygeons.result import PT

ARVIZ_0 = int(arviz.__version__.split(".")[0]) < 1


def to_arviz(pt: PT, *, log_likelihood: bool = False) -> Any:
    """Posterior and sample_stats of a run, with the dims and coords of the model's plates.

    `sample_stats` holds `lp` (log gamma_0 + V, unconstrained space), `log_likelihood` (V) and
    `beta` (1 at the target), each of shape (chain = 1, draw).
    """
    path = pt._rounds.path
    density = pt.log_density
    v = density["log_likelihood"]
    sites = {"posterior": pt.samples}
    if log_likelihood:
        sites["log_likelihood"] = map_draws(path, pt._draws[0], to="log_likelihood")
    named = {name for variables in sites.values() for name in variables}
    dims = {name: list(axes) for name, axes in path.dims.items() if name in named}
    coords = {name: list(values) for name, values in path.coords.items()}
    # Apart, because ArviZ names axes by variable, and a site may be called `beta` or `lp`.
    whole = _from_dict(sites, dims=dims, coords=coords)
    stats = _from_dict(
        {
            "sample_stats": {
                "lp": density["log_reference"] + v,
                "log_likelihood": v,
                "beta": np.ones_like(v),
            }
        }
    )
    if ARVIZ_0:
        whole.extend(stats)
    else:
        whole["sample_stats"] = stats["sample_stats"]
    return whole


def _from_dict(groups: dict[str, Any], **axes: Any) -> Any:
    chained = {
        group: {name: values[None] for name, values in variables.items()}
        for group, variables in groups.items()
    }
    return arviz.from_dict(**chained, **axes) if ARVIZ_0 else arviz.from_dict(chained, **axes)
