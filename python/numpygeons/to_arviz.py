"""Hands the draws to ArviZ, 0.x or 1.x."""

from __future__ import annotations

from typing import Any

import arviz
import jax
import numpy as np

from numpygeons.arrays import Floats, Reals
from numpygeons.target.map_draws import Sites, map_draws
from numpygeons.target.path import TemperedPath
from numpygeons.xla.precision import run_precision

ARVIZ_0 = int(arviz.__version__.split(".")[0]) < 1


LARGEST_POINTWISE = 100_000_000  # bytes of pointwise log likelihoods that are added unasked


def to_arviz(
    path: TemperedPath,
    x: Reals,
    samples: Sites,
    log_reference: Reals | Floats,
    v: Reals | Floats,
    *,
    log_likelihood: bool | None = None,
) -> Any:
    """Return posterior, sample_stats and pointwise log_likelihood of draws, with the dims and
    coords of the model's plates.

    `x` are the draws in unconstrained space, shape (n_draws, dimension); `samples` by site,
    `log_reference` and `v` as of `PT.log_density`.

    `sample_stats` holds `lp` (log gamma_0 + V, unconstrained space), `log_likelihood_total` (V)
    and `beta` (1 at the target), each of shape (chain = 1, draw). The pointwise values are there
    if `log_likelihood` says so, and by default where they take less than 100 MB.
    """
    sites = {"posterior": samples}
    if log_likelihood is None:
        log_likelihood = 0 < _pointwise_bytes(path, len(v)) <= LARGEST_POINTWISE
    if log_likelihood:
        sites["log_likelihood"] = map_draws(path, x, to="log_likelihood")
    named = {name for variables in sites.values() for name in variables}
    dims = {name: list(axes) for name, axes in path.dims.items() if name in named}
    coords = {name: list(values) for name, values in path.coords.items()}
    # Apart, because ArviZ names axes by variable, and a site may be called `beta` or `lp`.
    whole = _from_dict(sites, dims=dims, coords=coords)
    stats = _from_dict(
        {
            "sample_stats": {
                "lp": log_reference + v,
                "log_likelihood_total": v,
                "beta": np.ones_like(v),
            }
        }
    )
    if ARVIZ_0:
        whole.extend(stats)
    else:
        whole["sample_stats"] = stats["sample_stats"]
    return whole


def _pointwise_bytes(path: TemperedPath, n_draws: int) -> int:
    x = jax.ShapeDtypeStruct((path.dimension,), path.dtype)
    with run_precision(path.dtype):
        terms: list[Any] = jax.tree.leaves(jax.eval_shape(path.log_likelihood, x))
    return n_draws * sum(int(term.size) * int(term.dtype.itemsize) for term in terms)


def _from_dict(groups: dict[str, Any], **axes: Any) -> Any:
    chained = {
        group: {name: values[None] for name, values in variables.items()}
        for group, variables in groups.items()
    }
    return arviz.from_dict(**chained, **axes) if ARVIZ_0 else arviz.from_dict(chained, **axes)
