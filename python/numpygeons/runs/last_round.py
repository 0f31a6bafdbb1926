"""Reads the last finished round of a run: its draws, their densities, and log Z along the path."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons._core import evidence
from numpygeons._core.engine import RoundData
from numpygeons._core.evidence import RoundEvidence, round_evidence
from numpygeons.arrays import Floats, Reals, read_only
from numpygeons.records import RoundRecord
from numpygeons.rounds.reference_draws import truncation
from numpygeons.rounds.run_state import Between
from numpygeons.target.map_draws import map_draws
from numpygeons.target.path import TemperedPath

Sites = dict[str, npt.NDArray[Any]]


class LastRound:
    """The last of the finished rounds. What takes time to compute is computed once."""

    def __init__(self, path: TemperedPath, state: Between) -> None:
        self._path, self._state = path, state

    @property
    def record(self) -> RoundRecord:
        """What was measured."""
        return self._state.records[-1]

    @property
    def data(self) -> RoundData:
        """What the core kept of every scan."""
        assert self._state.data is not None
        return self._state.data

    @property
    def keeps_draws(self) -> bool:
        """Whether the draws are in memory."""
        return self._state.traces is not None and self._state.traces.keeps_draws

    @cached_property
    def draws(self) -> tuple[Reals, Floats]:
        """Unconstrained states, shape (n_draws, dimension), and log gamma_0, shape (n_draws,)."""
        assert self._state.traces is not None
        x, log_reference = self._state.traces.draws()
        return read_only(x), read_only(log_reference)

    @cached_property
    def sites(self) -> Sites:
        """The draws by site, in constrained space and scan order; read-only."""
        sites = map_draws(self._path, self.draws[0])
        return {name: read_only(values) for name, values in sites.items()}

    @property
    def made_sites(self) -> Sites | None:
        """`sites`, if they were asked for."""
        return self.__dict__.get("sites")

    def take_sites(self, sites: Sites) -> None:
        """Take what `sites` was when the run was pickled."""
        self.__dict__["sites"] = {name: read_only(values) for name, values in sites.items()}

    @property
    def v(self) -> Floats:
        """V of each draw, shape (n_draws,)."""
        return read_only(np.array(self.data.v[:, -1]))

    @property
    def index_process(self) -> npt.NDArray[np.uint32]:
        """The replica of each chain in each scan, shape (n_scans, n_chains)."""
        return read_only(np.array(self.data.replicas))

    def moments(self) -> tuple[Sites, Sites]:
        """Return the mean and variance (divisor n - 1) by site.

        Raises
        ------
        RuntimeError
            Without the recorder 'online'.
        """
        traces = self._state.traces
        if traces is None or traces.online is None:
            raise RuntimeError("moments were not kept: ask for the recorder 'online'")
        return traces.online.mean, traces.online.variance

    @cached_property
    def _evidence(self) -> RoundEvidence:
        """The round's; a run that was loaded does not have it yet."""
        if self._state.evidence is not None:
            return self._state.evidence
        betas = self.record.schedule
        return round_evidence(self.data.v, self.data.replicas, betas, bool(betas[0] == 0))

    def log_z_curve(self, betas: Floats) -> tuple[Floats, Floats]:
        """Return log Z(beta) and its pointwise standard error, in the shape of `betas`.

        Raises
        ------
        RuntimeError
            With one chain, which gives no evidence.
        """
        record, shape = self.record, betas.shape
        if self._state.data is None or len(record.schedule) == 1:
            raise RuntimeError("one chain gives no evidence: ask for n_chains >= 2")
        log_z, variance, _ = evidence.log_z_curve(
            self.data.v, self.data.replicas, record.schedule, self._evidence, betas.ravel()
        )
        # As in the round's log Z: draws of the reference that were made again.
        missing, missing_variance = truncation(
            np.array([record.n_redrawn, record.n_redrawn_likely]), record.n_scans
        )
        above = betas > 0
        return (
            np.reshape(log_z, shape) + np.where(above, missing, 0.0),
            np.sqrt(np.reshape(variance, shape) + np.where(above, missing_variance, 0.0)),
        )
