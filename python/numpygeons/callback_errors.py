"""Lets an exception out that a Python function raised while a compiled program called it.

XLA turns it into a text; JAX logs the exception itself, which is where it is caught.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from numpygeons.errors import ModelError

JAX_CALLBACKS = "jax._src.callback"  # the logger


class _Keeper(logging.Filter):
    """Keeps the exceptions that JAX logs, in the place of writing them to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.found.append(error)
        return error is None


@contextmanager
def callbacks_may_raise(stage: str) -> Iterator[None]:
    """Around compiled programs: raises what a callback in them raised, with a note of the stage.

    Raises
    ------
    ModelError
        Where a callback failed and its exception is not known, or it returned what it must not.
    """
    keeper, log = _Keeper(), logging.getLogger(JAX_CALLBACKS)
    log.addFilter(keeper)
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if "callback" not in text.lower():
            raise
        own = [one for one in keeper.found if type(one).__name__ in text and str(one) in text]
        if not own:
            last = text.strip().splitlines()[-1]
            raise ModelError(
                f"a Python function that the model calls (jax.pure_callback or the like) failed "
                f"{stage}: {last}; it must return arrays of the shapes and types that were declared"
            ) from None
        own[-1].add_note(
            f"raised {stage}, in a Python function that the model calls while it is evaluated "
            "(jax.pure_callback or the like)"
        )
        raise own[-1] from None
    finally:
        log.removeFilter(keeper)
