"""Holds what a run returns: draws, evidence, barrier, records; and opens one from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from numpygeons._core import tempering
from numpygeons._core.evidence import PooledEvidence, stepping_stone
from numpygeons.arrays import Floats
from numpygeons.records import Flag, RoundRecord
from numpygeons.rounds.rounds import Rounds
from numpygeons.runs.evidence import pooled_evidence, student_interval
from numpygeons.runs.flags import flags_of, is_sound
from numpygeons.runs.report import table
from numpygeons.runs.run import Run
from numpygeons.settings import as_count
from numpygeons.xla.compilation_cache import kept_programs


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

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def interrupted(self) -> bool:
        """Whether rounds are missing of those that were asked for: Ctrl-C, or a run loaded as it
        was."""
        return self._run.interrupted

    def __repr__(self) -> str:
        done = f"{len(self.rounds)} rounds" if self.rounds else "no finished round"
        evidence = ""
        if self.rounds and self.log_z is not None:
            evidence = f", log_z = {self.log_z:.4g} ± {self.log_z_error:.2g}"
        return f"<PT: {self._rounds.settings.n_chains} chains, {done}{evidence}>"

    # Records

    @property
    def _rounds(self) -> Rounds:
        return self._run.rounds

    @property
    def rounds(self) -> tuple[RoundRecord, ...]:
        """One record per finished round, in order."""
        return self._rounds.state.records

    @property
    def _last(self) -> RoundRecord:
        return self._run.last_round.record

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

    @property
    def samples(self) -> dict[str, npt.NDArray[Any]]:
        """Latent and deterministic sites at the target, in constrained space and scan order;
        each of shape (n_draws, *site_shape), read-only."""
        return dict(self._run.last_round.sites)

    @property
    def log_density(self) -> dict[str, Floats]:
        """`log_reference` (log gamma_0, with the determinant of the transforms) and `v` (V, of a
        model its log likelihood) of each draw, shape (n_draws,) each, nats."""
        last = self._run.last_round
        return {"log_reference": last.draws[1], "v": last.v}

    @property
    def index_process(self) -> npt.NDArray[np.uint32]:
        """Who sat at each chain in each scan of the last round, shape (n_scans, n_chains)."""
        if "index_process" not in self._rounds.settings.record:
            raise RuntimeError(
                "the index process was not kept: ask for the recorder 'index_process'"
            )
        return self._run.last_round.index_process

    def mean(self) -> dict[str, npt.NDArray[Any]]:
        """Return the mean of each site over the last round's draws; needs the recorder 'online'."""
        return self._run.last_round.moments()[0]

    def var(self) -> dict[str, npt.NDArray[Any]]:
        """Return the variance (divisor n - 1) of each site; needs the recorder 'online'."""
        return self._run.last_round.moments()[1]

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
        """Return the Student interval for `log_z`.

        Raises
        ------
        ValueError
            When level is not in (0, 1).
        """
        evidence = self._evidence
        return None if evidence is None else student_interval(evidence, level)

    def log_z_curve(self, betas: npt.ArrayLike | None = None) -> tuple[Floats, Floats, Floats]:
        """Return log Z(beta) of the last round, with pointwise standard errors.

        Parameters
        ----------
        betas : array of numbers in [0, 1], optional
            Default: the schedule.

        Returns
        -------
        betas, log_z, error : arrays of one shape
            Errors along the curve are strongly correlated.
        """
        last = self._run.last_round
        wanted = np.asarray(self.schedule if betas is None else betas, np.float64)
        if wanted.size and not (np.all(wanted >= 0) and np.all(wanted <= 1)):
            raise ValueError(f"betas must lie in [0, 1]: got {wanted}")
        return (wanted, *last.log_z_curve(wanted))

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
        """Return the barrier between the reference and `beta`, by monotone cubic interpolation; in
        the shape of `beta`."""
        return self._barrier("cumulative_barrier", beta)

    def local_barrier(self, beta: npt.ArrayLike) -> Any:
        """Return the derivative of `cumulative_barrier` at `beta`; in the shape of `beta`."""
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
        """Return the table printed during the run, and what to think of it."""
        return table(self.rounds)

    def to_arviz(self, *, log_likelihood: bool | None = None) -> Any:
        """Return the draws for ArviZ: `InferenceData`, or a `DataTree` from ArviZ 1.0 on.

        From 1.0 on ArviZ does not bring matplotlib: without it, its plots stay empty.

        Parameters
        ----------
        log_likelihood : bool, optional
            Whether to add the pointwise log likelihood of each observed site, as `arviz.loo` wants
            it. Default: where it takes less than 100 MB.
        """
        from numpygeons.to_arviz import to_arviz

        last = self._run.last_round
        x, log_reference = last.draws
        return to_arviz(
            self._rounds.path,
            x,
            last.sites,
            log_reference,
            last.v,
            log_likelihood=log_likelihood,
        )

    def extend(self, n_rounds: int = 1) -> PT:
        """Run `n_rounds` more rounds, and return this run: the same bits as a run that asked
        for all of them at once.

        Raises
        ------
        TypeError, ValueError
            When `n_rounds` is not a whole number from 1 on.
        """
        self._run.go_on(len(self.rounds) + as_count("n_rounds", n_rounds))
        return self

    @property
    def folder(self) -> Path | None:
        """Where the run is written down after every round; None without checkpoints."""
        folder = self._run.folder
        return None if folder is None else folder.path

    def save(self, path: Any) -> None:
        """Write the run to a folder that is new, empty or its own, for `numpygeons.load`. Of
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
        self._run.save(path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it whole, draws and target, to be read and to go on in any process; a copy has no
        folder, so that two runs do not write to one. Raises TypeError when the model or the
        explorer cannot be pickled."""
        return _unpacked, self._run.packed()

    def __copy__(self) -> PT:
        """Return a run that goes on by itself; what is finished is shared, and stays as it is."""
        return PT(self._run.copied())

    def __deepcopy__(self, memo: Any) -> PT:
        return self.__copy__()


def _unpacked(*packed: Any) -> PT:
    return PT(Run.unpacked(*packed))


@kept_programs()
def load(path_or_result: Any) -> PT:
    """Open a run that `checkpoint=` or `PT.save` has written, as it was after its last round.

    Everything can be read at once; nothing is compiled before it goes on, by `pigeons(pt)` or
    `pt.extend()`, with the same bits as a run that was never stopped. What it was made of is
    pickled: open only what you trust.

    Parameters
    ----------
    path_or_result : folder, or an object whose `folder` is one
        For instance "results/latest".

    Raises
    ------
    CheckpointError
        When there is no run, it is damaged, or its model has changed its shape. Where the last
        round alone is damaged, a warning says so and the round before it is taken.
    """
    return PT(Run.loaded(path_or_result))


def get_sample(pt: PT) -> dict[str, npt.NDArray[Any]]:
    """Return `pt.samples`."""
    return pt.samples


def n_tempered_restarts(pt: PT) -> int:
    """Return `pt.n_restarts`: trips from reference to target in the last round."""
    return pt.n_restarts


def n_round_trips(pt: PT) -> int:
    """Return `pt.n_round_trips`: trips to the target and back in the last round."""
    return pt.n_round_trips


def stepping_stone_pair(pt: PT) -> tuple[float, float]:
    """Return the two classical stepping-stone estimates of log Z, forward and backward, last round.

    For comparison only: both are biased at finite lengths, and the backward one is inconsistent
    where the likelihood is zero on part of the reference.
    """
    if not pt.rounds or len(pt.schedule) == 1:
        raise RuntimeError("stepping stones need a finished round and n_chains >= 2")
    forward, backward = stepping_stone(pt._run.last_round.data.v, pt.schedule)
    return float(np.sum(forward)), float(np.sum(backward))
