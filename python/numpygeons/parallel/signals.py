"""Hears Ctrl-C and SIGTERM during a run, wherever in it they come.

Python raises KeyboardInterrupt in whatever it does at that moment: in a callback of the garbage
collector or of a weak reference, of which JAX has many, it is printed and lost. So the signal is
noted too, and raised again where a run next looks.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class _Heard:
    """What this process, whose main thread alone gets signals, has heard in the call under way."""

    def __init__(self) -> None:
        self.interrupt = self.end = False  # Ctrl-C or SIGTERM; SIGTERM
        self.stop: Callable[[], None] | None = None  # asks the scans under way to be the last


_heard = _Heard()


def _hear(number: int, frame: FrameType | None) -> None:
    is_second = _heard.interrupt
    _heard.interrupt = True
    _heard.end |= number == signal.SIGTERM
    if _heard.stop is None or is_second:
        raise KeyboardInterrupt
    _heard.stop()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def listening(*, ends: bool) -> Iterator[None]:
    """Let no Ctrl-C within be lost; with `ends` SIGTERM acts alike, and ends the process
    afterwards, if it would have done so before. Signals for which the user has handlers, and other
    threads, are left alone."""
    if not _in_main_thread():
        yield
        return
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)[: 1 + ends]
    }
    ours = {
        signal.SIGINT: before[signal.SIGINT] is signal.default_int_handler,
        signal.SIGTERM: ends
        and before[signal.SIGTERM] in (signal.SIG_DFL, signal.default_int_handler),
    }
    if before[signal.SIGINT] is not _hear:
        _heard.interrupt = _heard.end = False
    try:
        for number in before:
            if ours[number]:
                signal.signal(number, _hear)
        yield
    finally:
        for number, handler in before.items():
            if ours[number]:
                signal.signal(number, handler)
        if ours[signal.SIGTERM] and _heard.end and before[signal.SIGTERM] is signal.SIG_DFL:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let what is heard within call `stop`, the first time, in place of raising."""
    if not _in_main_thread():
        yield
        return
    before, _heard.stop = _heard.stop, stop
    try:
        if _heard.interrupt:
            stop()
        yield
    finally:
        _heard.stop = before


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt where one was heard and lost."""
    if _heard.interrupt and _in_main_thread():
        raise KeyboardInterrupt


def is_ending() -> bool:
    """Return whether SIGTERM was heard."""
    return _heard.end and _in_main_thread()
