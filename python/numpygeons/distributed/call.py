"""Writes a call of `pigeons` to the folder of its run, for other processes to make.

Target, explorer and settings are in the run's checkpoint. Here is the rest: how far to go, and what
the call relies on in the process that makes it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import jax
import numpyro

from numpygeons.private_files import write_whole

FILE = "call.pickle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How the run in the folder goes on."""

    n_rounds: int  # in all
    n_threads: int
    show_report: bool
    checked_round: int = 0  # 0: none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """What the model may rely on in the process that makes the call."""

    python: tuple[int, int]
    search_path: tuple[str, ...]
    jax: dict[str, Any]  # configuration by name
    validates: bool  # numpyro.enable_validation
    flags: str | None  # XLA_FLAGS

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process and thread."""
        return cls(
            python=sys.version_info[:2],
            search_path=tuple(os.path.abspath(entry) for entry in sys.path),
            jax={
                name: value
                for name, value in _configuration().items()
                if value is None or isinstance(value, bool | int | float | str | Enum)
            },
            validates=bool(numpyro.distributions.Distribution._validate_args),
            flags=os.environ.get("XLA_FLAGS"),
        )

    def restore(self) -> None:
        """Make this process alike. JAX must not have started its devices yet."""
        if self.python != sys.version_info[:2]:
            raise RuntimeError(
                f"the call was written by Python {self.python[0]}.{self.python[1]} and is read by "
                f"{sys.version_info[0]}.{sys.version_info[1]}: use the same"
            )
        sys.path += [entry for entry in self.search_path if entry not in sys.path]
        if self.flags is not None:
            os.environ["XLA_FLAGS"] = self.flags
        present = _configuration()
        for name, value in self.jax.items():
            if name in present and present[name] != value:
                with contextlib.suppress(AttributeError, ValueError):  # of another version of JAX
                    jax.config.update(name, value)
        numpyro.enable_validation(self.validates)


def _configuration() -> dict[str, Any]:
    """Return JAX's configuration, with what a context such as `jax.enable_x64` says of this
    thread."""
    return {name: getattr(jax.config, name, value) for name, value in jax.config.values.items()}


def write_call(folder: Path, call: Call) -> None:
    """Write the call, and what it relies on in this process."""
    write_whole(folder / FILE, pickle.dumps((Surroundings.here(), call)))


def read_call(folder: Path) -> Call:
    """Return the call in the folder, after making this process like its writer.

    Raises
    ------
    FileNotFoundError
        When the folder holds no call.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no call to run: there is no {FILE} in it")
    surroundings, call = pickle.loads(path.read_bytes())
    surroundings.restore()
    assert isinstance(call, Call)
    return call
