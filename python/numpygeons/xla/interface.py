"""Checks that this jaxlib can call the compiled module, before anything is registered with it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import jaxlib

from numpygeons._core.engine import xla_interface_version

HEADER = Path("include/xla/ffi/api/c_api.h")
VERSION = re.compile(r"#define XLA_FFI_API_(MAJOR|MINOR) (\d+)")


def version_here(package: Path | None = None) -> tuple[int, int] | None:
    """Return the version of XLA's foreign function interface in jaxlib, whose folder is `package`;
    None where its headers do not say."""
    folder = Path(jaxlib.__file__).parent if package is None else package
    try:
        found = dict(VERSION.findall((folder / HEADER).read_text()))
        return int(found["MAJOR"]), int(found["MINOR"])
    except (OSError, KeyError):
        return None


def check_interface(here: tuple[int, int] | None) -> None:
    """Refuse a jaxlib that would not take our handlers: XLA takes those of its own interface or an
    older minor version. Given others, it would not start its CPU backend, and all of JAX would be
    dead.

    Raises
    ------
    ImportError
        When this jaxlib is older than the one that the package was built with, or another major.
    """
    built = xla_interface_version()
    if here is None or (here[0] == built[0] and here[1] >= built[1]):
        return
    raise ImportError(
        f"numpygeons was built for version {built[0]}.{built[1]} of XLA's foreign function "
        f"interface, and jaxlib {version('jaxlib')} has {here[0]}.{here[1]}: install a newer "
        "jaxlib, or build numpygeons again beside this one (pip install --force-reinstall "
        "--no-binary numpygeons-core numpygeons-core)"
    )
