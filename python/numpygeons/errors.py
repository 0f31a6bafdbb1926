"""Name the errors and the warning that the package raises."""

from __future__ import annotations

import sys
import warnings


class ModelError(ValueError):
    """The model has no proper prior to temper from, or no fixed likelihood.

    The message names the site and says what to write instead.
    """


class DiscreteLatentError(ModelError):
    """A latent site is discrete."""


class NumericalError(ArithmeticError):
    """The numbers leave no way on.

    The message names replica, chain, beta and scan.
    """


class CommunicationError(RuntimeError):
    """The ranks of a run cannot reach each other, or one of them is gone.

    The message names rank, process and host, or what to install.
    """


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or believed.

    The message names the file, the reason and what to do.
    """


class ReproducibilityError(RuntimeError):
    """What was computed again did not end with the same bits: a round, or a device's swaps.

    The message names round, scan, chain, replica and both values, and what could cause it.
    """


class RunError(RuntimeError):
    """A run in other processes failed, or could not be submitted.

    The message names the rank, the exit code and the folder, and ends with what was said last.
    """


class NumpygeonsWarning(UserWarning):
    """The run goes on, but something in the model or the result deserves a look."""


def warn_user(message: str) -> None:
    """Warn at the line outside of this package that led here."""
    inside = (__name__.partition(".")[0], "contextlib")  # whose decorators are between our frames
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, NumpygeonsWarning, stacklevel=level)
