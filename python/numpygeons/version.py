"""Says which version this is: the installed package's, or that of the tree it is run from."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def own_version() -> str:
    """Return it as pyproject.toml has it, which the installed package's metadata repeat."""
    try:
        return version("numpygeons-core")
    except PackageNotFoundError:  # run from its source
        import tomllib

        pyproject = Path(__file__).parents[2] / "pyproject.toml"
        found: str = tomllib.loads(pyproject.read_text())["project"]["version"]
        return found


__version__ = own_version()
