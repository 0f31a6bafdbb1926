"""Holds what a run returns: draws, evidence, barrier, records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numpygeons._core import evidence, tempering
from numpygeons._core.engine import RoundData
from numpygeons._core.evidence import PooledEvidence, RoundEvidence, round_evidence, stepping_stone
from numpygeons.arrays import Floats, Reals, read_only
from numpygeons.records import Flag, RoundRecord
from numpygeons.rounds.reference_draws import truncation
from numpygeons.rounds.rounds import Rounds
from numpygeons.rounds.run_state import Between
from numpygeons.runs.evidence import pooled_evidence, student_interval
from numpygeons.runs.flags import flags_of, is_sound
from numpygeons.settings import as_count
from numpygeons.target.map_draws import map_draws

if TYPE_CHECKING:
    from numpygeons.checkpoint.folder import Folder, Run


class PT:
    """A run of parallel tempering, made by `numpygeons.pigeons`.

    All logarithms are natural. Draws come from the last round, one per scan, at the target.

    Examples
    --------
    >>> import numpyro, numpyro.distributions as dist, numpygeons
    >>> def model(y):
    ...     mu = numpyro.sample("mu", dist.Normal(0, 1))
    ...     numpyro.sample("y", dist.Normal(mu, 1), obs=y)
    >>> pt = numpygeons.pigeons(model, model_args=(0.5,), n_rounds=8, show_report=False)
    >>> pt.samples["mu"].shape
    (256,)
    """

    def __init__(
        self,
        rounds: Rounds,
        continue_run: Callable[[PT, int], None],
        folder: Folder | None = None,
        run: Run | None = None,
    ) -> None:
        self._rounds = rounds
        self._continue_run = continue_run
        self._folder = folder  # written to as the run goes on
        self._run = run if folder is None else folder.run  # who it is, once it was written down
        self.interrupted = False

    def __repr__(self) -> str:
        done = f"{len(self.rounds)} rounds" if self.rounds else "no finished round"
        evidence = ""
        if self.rounds and self.log_z is not None:
            evidence = f", log_z = {self.log_z:.4g} ± {self.log_z_error:.2g}"
        return f"<PT: {self._rounds.settings.n_chains} chains, {done}{evidence}>"

    # Records

    @property
    def rounds(self) -> tuple[RoundRecord, ...]:
        """One record per finished round, in order."""
        return self._rounds.state.records

    @property
    def _last(self) -> RoundRecord:
        if not self.rounds:
            raise RuntimeError("no round is finished: nothing was measured; ask for n_rounds >= 1")
        return self.rounds[-1]

    @property
    def _state(self) -> Between:
        """After the last round; says so where there is none."""
        self._last  # noqa: B018
        return self._rounds.state

    @property
    def schedule(self) -> Floats:
        """Betas of the last round, shape (n_chains,), from 0 (reference) to 1 (target)."""
        return self._last.schedule

    @property
    def swap_acceptance(self) -> Floats:
        """Mean acceptance probability per neighbouring pair, shape (n_chains - 1,)."""
        return self._last.swap_acceptance

    @property
    def n_restarts(self) -> int:
        """Trips of replicas from reference to target, in the last round."""
        return self._last.n_restarts

    @property
    def n_round_trips(self) -> int:
        """Trips of replicas from the reference to the target and back, in the last round."""
        return self._last.n_round_trips

    # Draws

    @cached_property
    def _samples(self) -> dict[str, npt.NDArray[Any]]:
        sites = map_draws(self._rounds.path, self._draws[0])
        return {name: read_only(values) for name, values in sites.items()}

    @cached_property
    def _draws(self) -> tuple[Reals, Floats]:
        """Unconstrained states and log gamma_0."""
        traces = self._state.traces
        assert traces is not None
        x, log_reference = traces.draws()
        return read_only(x), read_only(log_reference)

    @property
    def samples(self) -> dict[str, npt.NDArray[Any]]:
        """Latent and deterministic sites at the target, in constrained space and scan order;
        each of shape (n_draws, *site_shape), read-only."""
        return dict(self._samples)

    @property
    def log_density(self) -> dict[str, Floats]:
        """`log_reference` (log gamma_0, with the determinant of the transforms) and
        `log_likelihood` (V) of each draw, shape (n_draws,) each, nats."""
        data = self._state.data
        assert data is not None
        v = read_only(np.array(data.v[:, -1]))
        return {"log_reference": self._draws[1], "log_likelihood": v}

    @property
    def index_process(self) -> npt.NDArray[np.uint32]:
        """Who sat at each chain in each scan of the last round, shape (n_scans, n_chains)."""
        if "index_process" not in self._rounds.settings.record:
            raise RuntimeError(
                "the index process was not kept: ask for the recorder 'index_process'"
            )
        data = self._state.data
        assert data is not None
        return read_only(np.array(data.replicas))

    def mean(self) -> dict[str, npt.NDArray[Any]]:
        """Mean of each site over the last round's draws; needs the recorder 'online'."""
        return self._moments()[0]

    def var(self) -> dict[str, npt.NDArray[Any]]:
        """Variance (divisor n - 1) of each site; needs the recorder 'online'."""
        return self._moments()[1]

    def _moments(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]:
        traces = self._state.traces
        if traces is None or traces.online is None:
            raise RuntimeError("moments were not kept: ask for the recorder 'online'")
        return traces.online.mean, traces.online.variance

    # Evidence

    @property
    def _evidence(self) -> PooledEvidence | None:
        if self._rounds.settings.n_chains == 1:
            return None
        self._last  # noqa: B018
        return pooled_evidence(self.rounds)

    @property
    def log_z(self) -> float | None:
        """Log evidence relative to the reference, pooled over the last three rounds; None with
        one chain, which cannot tell."""
        return None if self._evidence is None else self._evidence.log_z

    @property
    def log_z_error(self) -> float | None:
        """Standard error of `log_z`; NaN for rounds of fewer than 64 scans, inf without overlap."""
        return None if self._evidence is None else float(np.sqrt(self._evidence.variance))

    @property
    def log_z_dof(self) -> float | None:
        """Degrees of freedom of `log_z_error`."""
        return None if self._evidence is None else self._evidence.dof

    def log_z_interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Student interval for `log_z`.

        Raises
        ------
        ValueError
            When level is not in (0, 1).
        """
        evidence = self._evidence
        return None if evidence is None else student_interval(evidence, level)

    def log_z_curve(self, betas: npt.ArrayLike | None = None) -> tuple[Floats, Floats, Floats]:
        """log Z(beta) of the last round, with pointwise standard errors.

        Parameters
        ----------
        betas : array of numbers in [0, 1], optional
            Default: the schedule.

        Returns
        -------
        betas, log_z, error : arrays of one shape
            Errors along the curve are strongly correlated.
        """
        data = self._state.data
        wanted = np.asarray(self.schedule if betas is None else betas, np.float64)
        if wanted.size and not (np.all(wanted >= 0) and np.all(wanted <= 1)):
            raise ValueError(f"betas must lie in [0, 1]: got {wanted}")
        if data is None or len(self.schedule) == 1:
            raise RuntimeError("one chain gives no evidence: ask for n_chains >= 2")
        log_z, variance, _ = evidence.log_z_curve(
            data.v, data.replicas, self.schedule, self._round_evidence(data), wanted.ravel()
        )
        last, shape = self._last, wanted.shape
        # As in the round's log Z: draws of the reference that were made again.
        missing, missing_variance = truncation(
            np.array([last.n_redrawn, last.n_redrawn_likely]), last.n_scans
        )
        log_z, variance = np.reshape(log_z, shape), np.reshape(variance, shape)
        above = wanted > 0
        return (
            wanted,
            log_z + np.where(above, missing, 0.0),
            np.sqrt(variance + np.where(above, missing_variance, 0.0)),
        )

    def _round_evidence(self, data: RoundData) -> RoundEvidence:
        """Of the last round; a loaded run does not have it yet."""
        state, betas = self._state, self.schedule
        if state.evidence is not None:
            return state.evidence
        evidence = round_evidence(data.v, data.replicas, betas, bool(betas[0] == 0))
        self._rounds.state = replace(state, evidence=evidence)
        return evidence

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What stands against the result, the gravest first: exactly what the report prints after
        "flag:". Each has `name`, `severity` ("note", "warning" or "wrong"), `reason` and `advice`;
        empty when there are none."""
        return flags_of(self.rounds)

    @property
    def ok(self) -> bool:
        """Whether nothing stands against the result: no flag, or notes alone."""
        return is_sound(self.flags)

    # Barrier

    @property
    def global_barrier(self) -> float:
        """Sum of the mean rejections of neighbouring pairs, in the last round: the finite-N value,
        which lies below the barrier of a continuous path."""
        return self._last.global_barrier

    def cumulative_barrier(self, beta: npt.ArrayLike) -> Any:
        """Barrier between the reference and `beta`, by monotone cubic interpolation; the shape of
        `beta`."""
        return self._barrier("cumulative_barrier", beta)

    def local_barrier(self, beta: npt.ArrayLike) -> Any:
        """Derivative of `cumulative_barrier` at `beta`; the shape of `beta`."""
        return self._barrier("local_barrier", beta)

    def _barrier(self, name: str, beta: npt.ArrayLike) -> Any:
        wanted = np.asarray(beta, np.float64)
        if wanted.size and not (np.all(wanted >= 0) and np.all(wanted <= 1)):
            raise ValueError(f"beta must lie in [0, 1]: got {wanted}")
        if len(self.schedule) == 1:
            return np.zeros(wanted.shape)[()]
        function = getattr(tempering, name)
        values = function(self.schedule, 1 - self.swap_acceptance, wanted.ravel())
        return np.reshape(values, wanted.shape)[()]

    # Output and continuation

    def report(self) -> str:
        """The table printed during the run, and what to think of it."""
        from numpygeons.runs.report import table

        return table(self.rounds)

    def to_arviz(self, *, log_likelihood: bool | None = None) -> Any:
        """The draws for ArviZ: `InferenceData`, or a `DataTree` from ArviZ 1.0 on.

        Parameters
        ----------
        log_likelihood : bool, optional
            Whether to add the pointwise log likelihood of each observed site, as `arviz.loo` wants
            it. Default: where it takes less than 100 MB.
        """
        from numpygeons.to_arviz import to_arviz

        density, x = self.log_density, self._draws[0]
        return to_arviz(
            self._rounds.path,
            x,
            self.samples,
            density["log_reference"],
            density["log_likelihood"],
            log_likelihood=log_likelihood,
        )

    def extend(self, n_rounds: int = 1) -> PT:
        """Runs `n_rounds` more rounds, and returns this run: the same bits as a run that asked
        for all of them at once.

        Raises
        ------
        TypeError, ValueError
            When `n_rounds` is not a whole number from 1 on.
        """
        self._continue_run(self, len(self.rounds) + as_count("n_rounds", n_rounds))
        return self

    def forget_samples(self) -> None:
        """Drops the cached constrained draws: they belong to a round that is no longer the last."""
        for name in ("_samples", "_draws"):
            self.__dict__.pop(name, None)

    @property
    def folder(self) -> Path | None:
        """Where the run is written down after every round; None without checkpoints."""
        return None if self._folder is None else self._folder.path

    def save(self, path: Any) -> None:
        """Writes the run to a folder that is new, empty or its own, for `numpygeons.load`. Of
        several ranks, which hold the same run, the first writes.

        Raises
        ------
        ValueError
            When the folder holds something else.
        CheckpointError
            When it cannot be written.
        TypeError
            When the model or the explorer cannot be pickled.
        """
        from numpygeons.checkpoint.folder import save

        if self._rounds.team.ranks.rank > 0:
            return
        self._run = save(self._rounds, self._run, path, self._kept_samples())

    def _kept_samples(self) -> dict[str, npt.NDArray[Any]] | None:
        """The samples, where memory holds the draws."""
        traces = self._rounds.state.traces
        return self.samples if traces is not None and traces.keeps_draws else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled whole, draws and target, to be read and to go on in any process; a copy has no
        folder, so that two runs do not write to one. Raises TypeError when the model or the
        explorer cannot be pickled."""
        from numpygeons.checkpoint.value import pack

        made = self.__dict__.get("_samples")
        return _unpacked, (
            pack(self._rounds, self._run),
            self._continue_run,
            self.interrupted,
            made,
        )

    def __copy__(self) -> PT:
        """A run that goes on by itself; what is finished is shared, and cannot be changed."""
        copied = PT(self._rounds.copied(), self._continue_run)
        copied.interrupted = self.interrupted
        return copied

    def __deepcopy__(self, memo: Any) -> PT:
        return self.__copy__()

    def _keep(self, checkpoint: Any) -> None:
        """Writes the run down as it is, and from now on after every round."""
        from numpygeons.checkpoint.folder import keep

        if self._folder is None or checkpoint is not True:
            self._folder = keep(self._rounds, self._run, checkpoint)
            self._run = self._folder.run


def _unpacked(packed: Any, continue_run: Any, interrupted: bool, samples: Any) -> PT:
    from numpygeons.checkpoint.value import unpack

    pt = PT(unpack(packed), continue_run)
    pt.interrupted = interrupted
    if samples is not None:
        pt.__dict__["_samples"] = {name: read_only(values) for name, values in samples.items()}
    return pt


def get_sample(pt: PT) -> dict[str, npt.NDArray[Any]]:
    """`pt.samples`."""
    return pt.samples


def n_tempered_restarts(pt: PT) -> int:
    """`pt.n_restarts`: trips from reference to target in the last round."""
    return pt.n_restarts


def n_round_trips(pt: PT) -> int:
    """`pt.n_round_trips`: trips to the target and back in the last round."""
    return pt.n_round_trips


def stepping_stone_pair(pt: PT) -> tuple[float, float]:
    """The two classical stepping-stone estimates of log Z, forward and backward, last round.

    For comparison only: both are biased at finite lengths, and the backward one is inconsistent
    where the likelihood is zero on part of the reference.
    """
    data = pt._rounds.state.data
    if data is None or len(pt.schedule) == 1:
        raise RuntimeError("stepping stones need a finished round and n_chains >= 2")
    forward, backward = stepping_stone(data.v, pt.schedule)
    return float(np.sum(forward)), float(np.sum(backward))
