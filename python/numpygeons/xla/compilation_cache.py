"""Lets JAX find, in this package's calls alone, the programs that earlier processes compiled.

JAX has a persistent cache, but of the whole process, its files are not written at once, and one
that is damaged stays. Here its keys are used (the program, the options, the versions) with a
`ProgramStore`. Where the user has given JAX a folder of its own, JAX's cache is used as it is.

JAX finds a program by its text, its options and the versions. All that changes from run to run is
an operand, so another seed, another number of rounds or another rank finds the same program.
`docs/cache.md` says what is guaranteed.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import jax

from numpygeons.xla.one_thread import refuse_forked
from numpygeons.xla.program_store import ProgramStore

logger = logging.getLogger(__name__)

VARIABLE = "NUMPYGEONS_CACHE"
OFF = ("", "0", "off")
# JAX's thresholds below which it keeps no program, and their defaults: of a run, every program is
# worth keeping, unless the user has set them.
THRESHOLDS = {
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}
CPU_FIELDS = frozenset({
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",  # x86
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",  # ARM
    "cpu", "revision", "isa", "uarch",  # POWER, RISC-V
})  # fmt: skip
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Use:
    """Which programs are kept where."""

    store: ProgramStore | None  # None: where JAX keeps them
    min_seconds: float
    min_bytes: int


_USE: ContextVar[_Use | None] = ContextVar("numpygeons_compilation_cache", default=None)


@contextmanager
def kept_programs() -> Iterator[None]:
    """Take what JAX compiles within, in this thread, from the cache, and put it there.

    The folder is NUMPYGEONS_CACHE, or JAX's own if the user has set that, or one of the user's
    cache folder; "off", "0" or nothing switch it off. Where it cannot be written to, the log says
    so once, and programs are compiled. In a forked process: RuntimeError, as `refuse_forked`.
    """
    refuse_forked()
    with _using(_USE.get() or _asked_for()):
        yield


def in_another_thread(function: Callable[[], T]) -> Callable[[], T]:
    """Return `function`, to be called in another thread with the cache that is in use in this
    one."""
    use = _USE.get()

    def call() -> T:
        with _using(use):
            return function()

    return call


@contextmanager
def _using(use: _Use | None) -> Iterator[None]:
    if use is None or not _is_connected():
        yield
        return
    from jax._src import config

    token = _USE.set(use)
    try:
        with ExitStack() as stack:
            stack.enter_context(config.persistent_cache_min_compile_time_secs(use.min_seconds))
            stack.enter_context(config.persistent_cache_min_entry_size_bytes(use.min_bytes))
            yield
    finally:
        _USE.reset(token)


def _asked_for() -> _Use | None:
    """Return what the environment and JAX's configuration ask for; None: no cache."""
    asked = os.environ.get(VARIABLE)
    of_jax = getattr(jax.config, "jax_compilation_cache_dir", None)
    if asked is None and of_jax:
        seconds, size = (
            0 if getattr(jax.config, name) == default else getattr(jax.config, name)
            for name, default in THRESHOLDS.items()
        )
        return _Use(store=None, min_seconds=seconds, min_bytes=size)
    if asked is not None and asked.strip().lower() in OFF:
        return None
    store = _store(asked)
    return None if store is None else _Use(store=store, min_seconds=0, min_bytes=0)


@cache
def _store(asked: str | None) -> ProgramStore | None:
    """Return the store in this folder, or in the user's; None, and a line in the log, if it cannot
    be."""
    try:
        if asked is None:
            import platformdirs

            root = Path(platformdirs.user_cache_dir("numpygeons"))
        else:
            root = Path(asked).expanduser().absolute()
        return ProgramStore(root, name_for_this_machine())
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        logger.warning(
            "compiled programs are not kept: %s; set %s to a folder, or to off", error, VARIABLE
        )
        return None


def name_for_this_machine() -> str:
    """Name of the folder that all machines share whose processors and versions are alike.

    A program has the instructions of the processor it was compiled on, and calls the core.
    """
    try:
        own = metadata.version("numpygeons-core")
    except metadata.PackageNotFoundError:  # run from its source
        own = "source"
    facts = (
        *(f"{name} {metadata.version(name)}" for name in ("jax", "jaxlib")),
        f"numpygeons {own}",
        platform.machine(),
        *_processor(),
    )
    return blake2b("\n".join(facts).encode(), digest_size=10).hexdigest()


def _processor(source: str = "/proc/cpuinfo") -> tuple[str, ...]:
    """Return what machine code depends on, of the first processor; the machine's name where the
    system does not say."""
    facts: list[str] = []
    try:
        with open(source, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = (part.strip() for part in line.partition(":"))
                if not name and facts:
                    break
                if name in CPU_FIELDS:
                    facts.append(f"{name}: {' '.join(sorted(value.split()))}")
    except OSError:
        pass
    return tuple(facts) or (platform.node(), platform.processor())


@cache
def _is_connected() -> bool:
    """Let JAX ask for the store of the calling thread; once is enough, and changes nothing for
    anybody else. False, and a line in the log, where JAX has moved what this needs."""
    try:
        from jax._src import compilation_cache, config

        jaxs_own: Callable[[Any], Any] = compilation_cache._get_cache
        for name in THRESHOLDS:
            getattr(config, name.removeprefix("jax_"))
    except (ImportError, AttributeError) as error:
        logger.warning("compiled programs are not kept: this JAX is not known (%s)", error)
        return False

    def cache_of_this_thread(backend: Any) -> Any:
        use = _USE.get()
        return jaxs_own(backend) if use is None or use.store is None else use.store

    compilation_cache._get_cache = cache_of_this_thread
    return True
