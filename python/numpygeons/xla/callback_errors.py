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


_listening: list[list[BaseException]] = []  # of whoever is within `callbacks_may_raise`


def _hand_over(record: logging.LogRecord) -> bool:
    """Give an exception that JAX logs to all who listen, in place of showing it to the user."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not _listening:
        return True
    for found in list(_listening):
        found.append(error)
    return False


logging.getLogger(JAX_CALLBACKS).addFilter(_hand_over)


@contextmanager
def callbacks_may_raise(stage: str) -> Iterator[None]:
    """Raise what a callback in compiled programs within raised, with a note of the stage.

    Raises
    ------
    ModelError
        Where a callback failed and its exception is not known, or it returned what it must not.
    """
    found: list[BaseException] = []
    _listening.append(found)
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if "callback" not in text.lower():
            raise
        own = [one for one in found if type(one).__name__ in text and str(one) in text]
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
        _listening[:] = [other for other in _listening if other is not found]
