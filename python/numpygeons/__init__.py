"""Parallel tempering for NumPyro models: draws from every mode, and the evidence with its error."""

from __future__ import annotations

from numpygeons.api import pigeons
from numpygeons.distributed.child_process import ChildProcess
from numpygeons.distributed.jobs import LSFJob, PBSJob, SlurmJob
from numpygeons.distributed.result import Result, kill, watch
from numpygeons.errors import (
    CheckpointError,
    CommunicationError,
    ModelError,
    NumericalError,
    NumpygeonsWarning,
    ReproducibilityError,
    RunError,
)
from numpygeons.explorers.auto_hmc import AutoHMC
from numpygeons.explorers.auto_mala import AutoMALA
from numpygeons.explorers.auto_rwmh import AutoRWMH
from numpygeons.explorers.base import (
    Explorer,
    Noise,
    NoiseShape,
    RoundOutcome,
    Snapshots,
    Start,
)
from numpygeons.explorers.compose import Compose, Mix
from numpygeons.explorers.hmc import HMC
from numpygeons.explorers.mala import MALA
from numpygeons.explorers.numpyro_kernel import NumPyroKernel
from numpygeons.explorers.preconditioners import (
    DensePreconditioner,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    MixDiagonalPreconditioner,
)
from numpygeons.explorers.selectors import (
    AsymmetricSelector,
    DeterministicSelector,
    FixedSelector,
    SymmetricSelector,
)
from numpygeons.explorers.slice_sampler import SliceSampler
from numpygeons.parallel.ranks import find_ranks
from numpygeons.records import Flag, RoundRecord
from numpygeons.result import (
    PT,
    get_sample,
    load,
    n_round_trips,
    n_tempered_restarts,
    stepping_stone_pair,
)
from numpygeons.settings import record_default
from numpygeons.target.path import JaxTarget, NumPyroPath
from numpygeons.target.potential import Evaluate, State, gradient, log_density
from numpygeons.version import __version__

__all__ = [
    "HMC",
    "MALA",
    "PT",
    "AsymmetricSelector",
    "AutoHMC",
    "AutoMALA",
    "AutoRWMH",
    "CheckpointError",
    "ChildProcess",
    "CommunicationError",
    "Compose",
    "DensePreconditioner",
    "DeterministicSelector",
    "DiagonalPreconditioner",
    "Evaluate",
    "Explorer",
    "FixedSelector",
    "Flag",
    "IdentityPreconditioner",
    "JaxTarget",
    "LSFJob",
    "Mix",
    "MixDiagonalPreconditioner",
    "ModelError",
    "Noise",
    "NoiseShape",
    "NumPyroKernel",
    "NumPyroPath",
    "NumericalError",
    "NumpygeonsWarning",
    "PBSJob",
    "ReproducibilityError",
    "Result",
    "RoundOutcome",
    "RoundRecord",
    "RunError",
    "SliceSampler",
    "SlurmJob",
    "Snapshots",
    "Start",
    "State",
    "SymmetricSelector",
    "__version__",
    "find_ranks",
    "get_sample",
    "gradient",
    "kill",
    "load",
    "log_density",
    "n_round_trips",
    "n_tempered_restarts",
    "pigeons",
    "record_default",
    "stepping_stone_pair",
    "watch",
]
