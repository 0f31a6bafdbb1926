"""Says what a run is, in the file `run.checkpoint` of its folder: target, explorer, settings."""

from __future__ import annotations

import platform
import secrets
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from numpygeons.checkpoint import file
from numpygeons.checkpoint.origin import pickled
from numpygeons.checkpoint.plain import Arrays, put_together, take_apart
from numpygeons.settings import Settings

RUN = "run.checkpoint"
PACKAGES = ("numpygeons-core", "jax", "jaxlib", "numpyro", "numpy", "cloudpickle")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Description:
    """What a run is, without how it stands."""

    id: str
    settings: Settings
    origin: bytes  # target and explorer
    dtype: str
    coordinates: tuple[str, ...]  # names; their number is the dimension
    grows: bool = True  # whether the folder is written to as the run goes on
    versions: str = ""

    def write(self, folder: Path) -> None:
        """Write the run file."""
        arrays: Arrays = {"origin": np.frombuffer(self.origin, np.uint8)}
        names = ("id", "settings", "dtype", "coordinates", "grows", "versions")
        header = {name: take_apart(getattr(self, name), name, arrays) for name in names}
        file.write(folder / RUN, arrays, {"kind": file.RUN, **header})

    @staticmethod
    def read(folder: Path) -> Description:
        """Read the run file.

        Raises
        ------
        CheckpointError
            When it is missing or damaged: without it there is no target to go on with.
        """
        path = folder / RUN
        arrays, header = file.read(path)
        file.check_kind(path, header, file.RUN)
        known = {f.name for f in fields(Description)}
        with file.sense(path):
            parts = {name: put_together(part, arrays) for name, part in header.items()}
            description = Description(
                origin=arrays["origin"].tobytes(),
                **{name: part for name, part in parts.items() if name in known},
            )
            for name, kind in (("settings", Settings), ("coordinates", tuple), ("dtype", str)):
                if not isinstance(getattr(description, name), kind):
                    raise TypeError(f"{name} cannot be {getattr(description, name)!r}")
            return description


def describe(target: Any, explorer: Any, settings: Settings, path: Any) -> Description:
    """Return the description of a run.

    Raises
    ------
    TypeError
        When target or explorer cannot be pickled.
    """
    return Description(
        id=secrets.token_hex(4),
        settings=settings,
        origin=pickled(target, explorer),
        dtype=str(path.dtype),
        coordinates=tuple(path.coordinate_names),
        versions=", ".join(
            [
                f"Python {platform.python_version()}",
                *(f"{name} {_version(name)}" for name in PACKAGES),
            ]
        ),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except Exception:
        return "unknown"
