"""Chooses how many replicas are explored in step, as one batch.

On a CPU it is one. One after another, each replica takes its own number of steps, while a batch
takes those of its slowest lane, and small models take several times as long: `docs/performance.md`
has the measurements.

Batches are faster where a matrix of a hundred columns or more multiplies each state: the matrix is
read once for all lanes, and XLA multiplies matrices on all its threads. But a library multiplies
then, and its last bits can depend on how many threads XLA has. They do for the gradient of a
logistic regression that is jitted by itself, with 1, 2 and 16 threads. A launcher that ties ranks
to cores gives them another number of threads than one process has. Who asks for `lanes` accepts
that; a default may not. `n_threads` does not show in the bits.

An accelerator is the other way round, and so is the driver that is made for one: a single replica
leaves it idle.
"""

from __future__ import annotations

import jax

from numpygeons.settings import Lanes


def width(lanes: Lanes, n_chains: int, driver: str) -> int:
    """Choose the width of all batches of a run; the same on any number of threads and ranks,
    because last bits depend on it."""
    if lanes == "auto":
        one_by_one = jax.default_backend() == "cpu" and driver != "device"
        return 1 if one_by_one else n_chains
    return min(lanes, n_chains)
