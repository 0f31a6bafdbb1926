"""Keeps compiled programs as files in a folder, which any number of processes may share."""

from __future__ import annotations

import logging
import os
import time
from hashlib import blake2b
from pathlib import Path

from numpygeons.private_files import make_folders, open_new, others_may_write, temporary_name

logger = logging.getLogger(__name__)

MAGIC = b"numpygeons program 1\n"
DIGEST_BYTES = 32
MOST_BYTES = 512 * 2**20  # of all programs below the root; a model needs about 250 kB
SUFFIX, UNFINISHED = ".program", ".unfinished"
ABANDONED_AFTER = 3600.0  # seconds that nobody needs to write a file
SEEN_EVERY = 3600.0  # seconds after which a use is noted again


class ProgramStore:
    """Bytes by key, in `root/name`; what is read is what was written, or nothing.

    A file appears whole, by a rename, and carries a digest of its key and its content. One that
    does not agree with it counts as missing, and is replaced. The files used longest ago go when
    all below the root, those of other names too, are more than `most_bytes`.
    """

    def __init__(self, root: Path, name: str, most_bytes: int = MOST_BYTES) -> None:
        """Make the folders, which nobody else may enter: programs are run as they are found.

        Raises
        ------
        OSError
            When nothing can be written there, or another user could write there too.
        """
        self._root, self._folder, self._most_bytes = root, root / name, most_bytes
        self._unswept = most_bytes  # bytes written since the last look at the folder's size
        self._is_full = False
        for folder in (root, self._folder):
            make_folders(folder)
            if why := others_may_write(folder):
                raise PermissionError(f"{folder} holds programs that would be run, and {why}")
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write to {self._folder}")

    def get(self, key: str) -> bytes | None:
        """Return what was put last under this key, or None."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            start = len(MAGIC) + DIGEST_BYTES
            value = content[start:]
            if content[:start] != _head(key, value):
                logger.info("%s is damaged: the program is compiled again", path)
                return None
            if time.time() - path.stat().st_mtime > SEEN_EVERY:
                os.utime(path)
        except OSError:
            return None
        return value

    def put(self, key: str, value: bytes) -> None:
        """Write a file, or say once in the log why it cannot be."""
        if self._is_full:
            return
        try:
            self._write(self._path(key), _head(key, value) + value)
        except OSError as error:
            self._is_full = True
            logger.warning("compiled programs are no longer kept in %s: %s", self._folder, error)
            return
        self._unswept += len(value)
        if self._unswept > self._most_bytes // 16:
            self._unswept = 0
            self._sweep()

    def clear(self) -> None:
        """Remove all programs of this name."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / (blake2b(key.encode(), digest_size=20).hexdigest() + SUFFIX)

    def _write(self, path: Path, content: bytes) -> None:
        unfinished = temporary_name(path).with_suffix(UNFINISHED)
        try:
            with open_new(unfinished) as file:
                file.write(content)
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _sweep(self) -> None:
        """Remove what was used longest ago, down to three quarters of the bound, and what dead
        processes left. Others may do the same at the same time."""
        now, found = time.time(), []
        for path in self._root.glob("*/*"):
            try:
                status = path.stat()
                if path.suffix == UNFINISHED and now - status.st_mtime > ABANDONED_AFTER:
                    path.unlink()
                elif path.suffix == SUFFIX:
                    found.append((status.st_mtime, status.st_size, path))
            except OSError:  # gone already
                continue
        size = sum(bytes_ for _, bytes_, _ in found)
        if size <= self._most_bytes:
            return
        for _, bytes_, path in sorted(found):
            if size <= 0.75 * self._most_bytes:
                break
            path.unlink(missing_ok=True)
            size -= bytes_


def _head(key: str, value: bytes) -> bytes:
    digest = blake2b(key.encode() + b"\n", digest_size=DIGEST_BYTES)
    digest.update(value)
    return MAGIC + digest.digest()
