"""Rounds and their records."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from numpygeons._core import _Object
from numpygeons._core.comm import Communicator
from numpygeons._core.tuning import Proposals

_Floats = npt.NDArray[np.float64]

class NextScan(NamedTuple):
    """What a worker's explorers of a scan are given: arrays of the core, or what stands for them in
    a traced program. Rows by replica."""

    reference_draw: Any  # int32, shape (): which of the block's reference draws is due
    chains: Any  # int32, shape (n_rows,)
    normals: Any  # shape (n_rows, n_normals)
    uniforms: Any  # shape (n_rows, n_uniforms)
    keys: Any  # uint32, shape (n_rows, 2), or (n_rows, 0)
    proposals: Any  # shape (n_rows, n_proposals, dimension)
    proposal_logs: Any  # shape (n_rows, n_proposals, 3)
    proposal_components: Any  # int32, shape (n_rows, n_proposals)

class Explored(NamedTuple):
    """What they hand in, likewise."""

    x: Any  # shape (n_rows, dimension), unconstrained
    log_reference: Any  # shape (n_rows,)
    v: Any  # shape (n_rows,)
    statistics: Any  # shape (n_rows, n_statistics)

class BlockNoise(NamedTuple):
    """The randomness of consecutive scans, of shape (n_scans, n_chains, ...)."""

    normals: Any  # by replica, as the next two
    uniforms: Any
    keys: Any
    proposals: Any  # by chain, as the next two
    proposal_logs: Any
    proposal_components: Any
    log_swap_uniforms: Any  # float64, by the lower chain

class ExploredBlock(NamedTuple):
    """What a device found in consecutive scans, of shape (n_scans, n_chains, ...), by replica."""

    x: Any
    log_reference: Any
    v: Any
    statistics: Any
    chains: Any  # int32, after each scan's swaps

class RoundData(_Object):
    """Everything recorded in one round."""

    def __init__(
        self,
        *,
        round: int,
        v: npt.ArrayLike,
        replicas: npt.ArrayLike,
        statistic_sums: npt.ArrayLike,
        counts: npt.ArrayLike,
        means: npt.ArrayLike,
        squared_deviations: npt.ArrayLike,
        snapshots: npt.ArrayLike,
        snapshot_stride: int,
        n_restarts: int,
        n_round_trips: int,
        n_zero_likelihood: int,
        first_zero_likelihood: tuple[int, int, float, int] | None,
    ) -> None: ...
    @property
    def round(self) -> int: ...
    @property
    def n_scans(self) -> int: ...
    @property
    def n_restarts(self) -> int: ...
    @property
    def n_round_trips(self) -> int: ...
    @property
    def n_zero_likelihood(self) -> int: ...
    @property
    def first_zero_likelihood(self) -> tuple[int, int, float, int] | None: ...
    @property
    def v(self) -> _Floats: ...
    @property
    def replicas(self) -> npt.NDArray[np.uint32]: ...
    @property
    def statistic_sums(self) -> _Floats: ...
    @property
    def snapshots(self) -> _Floats: ...
    @property
    def snapshot_stride(self) -> int: ...
    @property
    def counts(self) -> _Floats: ...
    @property
    def means(self) -> _Floats: ...
    @property
    def squared_deviations(self) -> _Floats: ...

class UnfinishedRound(_Object):
    """The scans of a round so far: flat arrays, rows by scan, columns by chain."""

    def __init__(
        self,
        *,
        n_done: int,
        v: npt.ArrayLike,
        replicas: npt.ArrayLike,
        statistic_sums: npt.ArrayLike,
        snapshots: npt.ArrayLike,
        moments: npt.ArrayLike,
        chains: npt.ArrayLike,
        n_zero_likelihood: int,
        first_zero_likelihood: tuple[int, int, float, int] | None,
    ) -> None: ...
    @property
    def n_done(self) -> int: ...
    @property
    def v(self) -> _Floats: ...
    @property
    def replicas(self) -> npt.NDArray[np.uint32]: ...
    @property
    def statistic_sums(self) -> _Floats: ...
    @property
    def snapshots(self) -> _Floats: ...
    @property
    def moments(self) -> npt.NDArray[np.uint64]: ...
    @property
    def chains(self) -> npt.NDArray[np.uint32]: ...
    @property
    def n_zero_likelihood(self) -> int: ...
    @property
    def first_zero_likelihood(self) -> tuple[int, int, float, int] | None: ...

class Coordinator(_Object):
    """Owns the index process and the recorders of a run."""

    def __init__(
        self,
        *,
        seed: int,
        n_chains: int,
        dimension: int,
        n_normals: int,
        n_uniforms: int,
        n_statistics: int,
        hands_out_keys: bool = False,
        n_proposals: int = 0,
        n_snapshots: int = 0,
        records_draws: bool = True,
        records_moments: bool = True,
        ranks: Communicator | None = None,
        n_workers: int = 1,
    ) -> None: ...
    @property
    def n_workers(self) -> int: ...
    @property
    def n_rows(self) -> int: ...
    def replicas_of(self, worker: int) -> tuple[int, int]: ...
    def begin_round(
        self,
        *,
        round: int,
        n_scans: int,
        betas: npt.ArrayLike,
        centre: npt.ArrayLike,
        scale: npt.ArrayLike,
        real_bytes: int,
        most_draws: int,
    ) -> None: ...
    def take_draws(self) -> tuple[npt.NDArray[np.uint8], _Floats]: ...
    def take_own_draws(
        self,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], _Floats]: ...
    def set_proposals(self, tables: list[Proposals]) -> None: ...
    def begin_block(self, n_scans: int, first: int = 0) -> None: ...
    def prepare(self, worker: int, dtype: npt.DTypeLike) -> NextScan: ...
    def run_scans(
        self,
        worker: int,
        explore: Callable[[int, NextScan], tuple[Any, ...]],
        dtype: npt.DTypeLike,
    ) -> None: ...
    def fail(self, worker: int) -> None: ...
    def unfinished(self) -> UnfinishedRound: ...
    def resume(self, so_far: UnfinishedRound) -> None: ...
    def end_round(self) -> RoundData: ...
    def rethrow(self) -> None: ...
    def request_stop(self) -> None: ...
    @property
    def failed(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def n_scans_done(self) -> int: ...
    @property
    def chains(self) -> npt.NDArray[np.uint32]: ...
    @chains.setter
    def chains(self, chains: npt.ArrayLike) -> None: ...
    @property
    def betas(self) -> _Floats: ...
    def address(self, worker: int) -> npt.NDArray[np.uint32]: ...

def next_scan_shapes(
    dtype: npt.DTypeLike,
    *,
    n_rows: int,
    dimension: int,
    n_normals: int,
    n_uniforms: int,
    hands_out_keys: bool,
    n_proposals: int,
) -> NextScan: ...
def draw_block(
    coordinator: Coordinator, first: int, n_scans: int, n_rows: int, dtype: npt.DTypeLike
) -> BlockNoise: ...
def replay(coordinator: Coordinator, n_scans: int, explored: ExploredBlock) -> bool: ...
def registrations() -> dict[str, Any]: ...
def xla_interface_version() -> tuple[int, int]: ...
