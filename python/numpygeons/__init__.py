"""Parallel tempering for NumPyro models: draws from every mode, and the evidence with its error."""

from numpygeons.errors import ModelError, NumericalError, NumpygeonsWarning
from numpygeons.explorers.auto_mala import AutoMALA
from numpygeons.explorers.base import Explorer
from numpygeons.explorers.hmc import HMC
from numpygeons.explorers.preconditioners import (
    DiagonalPreconditioner,
    IdentityPreconditioner,
    MixDiagonalPreconditioner,
)
from numpygeons.explorers.selectors import AsymmetricSelector, SymmetricSelector
from numpygeons.path import JaxTarget, NumPyroPath
from numpygeons.pigeons import pigeons
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

__all__ = [
    "HMC",
    "PT",
    "AsymmetricSelector",
    "AutoMALA",
    "DiagonalPreconditioner",
    "Explorer",
    "Flag",
    "IdentityPreconditioner",
    "JaxTarget",
    "MixDiagonalPreconditioner",
    "ModelError",
    "NumPyroPath",
    "NumericalError",
    "NumpygeonsWarning",
    "RoundRecord",
    "SymmetricSelector",
    "get_sample",
    "load",
    "n_round_trips",
    "n_tempered_restarts",
    "pigeons",
    "record_default",
    "stepping_stone_pair",
]
