"""Keeps the target's states of one round, or their running moments, as the run asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons._core.engine import Coordinator, RoundData
from numpygeons.arrays import Floats, Reals
from numpygeons.rounds.draws_on_disk import DiskDraws
from numpygeons.rounds.online_moments import OnlineMoments
from numpygeons.target.map_draws import map_draws
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import State


class Traces:
    """What the recorders "traces", "online" and "disk" keep of one round."""

    def __init__(
        self,
        path: TemperedPath,
        n_scans: int,
        record: tuple[str, ...],
        disk: DiskDraws | None = None,
    ) -> None:
        self._path = path
        self.n = 0
        kept = n_scans if "traces" in record else 0
        self.keeps_draws = kept > 0
        self.x: Reals = np.empty((kept, path.dimension), path.dtype)  # unconstrained, by scan
        self.log_reference: Floats = np.empty(kept)  # log gamma_0, nats
        self.online = OnlineMoments() if "online" in record else None
        self.disk = disk

    @property
    def leaves_draws_apart(self) -> bool:
        """Whether each rank keeps its own draws, and none sees all."""
        return self.disk is not None and not self.keeps_draws and self.online is None

    def write(self, coordinator: Coordinator, rank: int) -> None:
        """Write the draws since the last time to this rank's file; no rank waits for another.

        Raises
        ------
        CheckpointError
            When they cannot be written.
        """
        assert self.disk is not None
        self.disk.append(rank, *coordinator.take_own_draws())
        self.n = coordinator.n_scans_done

    def write_all(self, x: npt.NDArray[Any], log_reference: Floats) -> None:
        """Write the states of the consecutive scans that were appended last. Raises as `write`."""
        assert self.disk is not None
        scans = np.arange(self.n - len(log_reference), self.n, dtype=np.uint64)
        self.disk.append(0, scans, x, log_reference)

    def append(self, x: npt.NDArray[Any], log_reference: Floats) -> None:
        """Add the states of consecutive scans; `x` as bytes of the model's number type."""
        states = x.view(self._path.dtype).reshape(-1, self._path.dimension)
        end = self.n + len(states)
        if self.keeps_draws:
            self.x[self.n : end] = states
            self.log_reference[self.n : end] = log_reference
        if self.online is not None:
            self.online.update(map_draws(self._path, states))
        self.n = end

    def take_up(self, earlier: Traces) -> None:
        """Start with what another one has kept of the same round."""
        self.n = n = earlier.n
        if self.keeps_draws:
            self.x[:n], self.log_reference[:n] = earlier.x[:n], earlier.log_reference[:n]
        if self.online is not None and earlier.online is not None:
            self.online = earlier.online.copy()

    def draws(self) -> tuple[Reals, Floats]:
        """Return states, shape (n, dimension), and log gamma_0, shape (n,), in scan order.

        Raises
        ------
        RuntimeError
            When no recorder kept them.
        CheckpointError
            When they were written to a disk and are not all there.
        """
        if self.keeps_draws:
            return self.x, self.log_reference
        if self.disk is not None:
            return self.disk.read(self.n)
        raise RuntimeError("no draws were kept: ask for the recorder 'traces' or 'disk'")


def target_states(
    traces: Traces,
    data: RoundData,
    chains: npt.NDArray[Any],
    replicas: State,
) -> tuple[Reals | Floats, Floats]:
    """Return states of the target's chain in a round, shape (n, dimension), and V there: its draws,
    or as many as are known. `chains`, `replicas`: as they stand after it, by replica."""
    if traces.keeps_draws:
        return traces.x[: traces.n], data.v[:, -1]
    if stride := data.snapshot_stride:
        return data.snapshots[:, -1], data.v[stride - 1 :: stride, -1]
    at_target = np.flatnonzero(chains == len(chains) - 1)
    return np.asarray(replicas.x)[at_target], np.asarray(replicas.v)[at_target]
