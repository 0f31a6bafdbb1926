"""Makes files and folders for their owner alone, whatever the umask: they hold code that is run.

A new file has a name that nobody can foresee, is never one that was there before, and is never
reached through a link.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"


def temporary_name(path: Path) -> Path:
    """Return a name beside `path`, for what is to get that name once it is whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY}")


def open_new(path: Path, mode: int = 0o600) -> BinaryIO:
    """Open a file to write and read, which must not exist yet; not through a link.

    Raises
    ------
    OSError
        When it exists, or cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, mode)
    try:
        os.fchmod(descriptor, mode)  # the umask may have taken bits
        return os.fdopen(descriptor, "w+b")
    except BaseException:
        os.close(descriptor)
        raise


def make_folders(path: Path) -> list[Path]:
    """Make a folder, with the parents that are missing; return what was made, outermost first."""
    made = []
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)  # another process may have been faster
            folder.chmod(0o700)
            made.append(folder)
    return made


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file whole, or leave the old one as it is. Raises OSError."""
    part = temporary_name(path)
    try:
        with open_new(part, mode) as file:
            file.write(content)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def others_may_write(path: Path) -> str:
    """Return why another user could change what is in a folder: a few words, or nothing."""
    status = os.stat(path)
    owners = {os.lstat(path).st_uid, status.st_uid}  # of a link, and of where it leads
    if strangers := owners - {os.geteuid()}:
        return f"it belongs to another user (number {min(strangers)})"
    if status.st_mode & 0o022:
        return f"others may write to it (mode {status.st_mode & 0o777:03o}): chmod go-w {path}"
    return ""
