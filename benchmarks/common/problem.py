"""Names what a benchmark needs to know of a model, and where those with data are sought."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A model, the settings of our run of it, and exact answers."""

    model: Callable[..., Any]
    model_args: tuple[Any, ...] = ()
    n_chains: int  # of ours, and of the other replica exchange
    n_rounds: int
    log_z: float
    means: Mapping[str, float] = field(default_factory=dict)  # exact, by site
    mode: Callable[[Mapping[str, Any]], Any] | None = None  # samples to "lies in that mode"
    mode_weight: float | None = None  # exact


def reference_folder() -> Path:
    """Where reference problems are expected: NUMPYGEONS_REFERENCE, or ../shared/reference."""
    default = ROOT.parent / "shared" / "reference"
    return Path(os.environ.get("NUMPYGEONS_REFERENCE", default))
