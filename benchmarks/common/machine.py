"""Says where a benchmark runs, and how much memory its process has had."""

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path

PACKAGES = ("jax", "numpyro", "numpy", "numpygeons-core", "blackjax", "tfp-nightly", "jaxns")


def machine() -> str:
    """Processor, load and versions of the packages that are installed, for above a table."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = found[0] if found else model
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}{load}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def peak_mb() -> float:
    """The most memory that this process has had at once."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes, elsewhere kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
