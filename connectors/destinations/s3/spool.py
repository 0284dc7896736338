"""Local disk: files that live no longer than the run, and what to say when the disk fails."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.destinations.s3.errors import Side
from connectors.errors import DestinationError

_PREFIX = "dms-s3-"
#: Held locked for as long as its writer lives, whatever ends it.
_LOCK = "lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """A directory for the files of one run. What runs that were killed have left beside it is deleted.

    Args:
        parent: Where to make it; empty for the system's directory for temporary files.

    Raises:
        OSError: The directory is not there, or not ours to write.
    """

    def __init__(self, parent: str) -> None:
        base = Path(parent or tempfile.gettempdir())
        for left_over in base.glob(f"{_PREFIX}*/{_LOCK}"):
            _delete_if_dead(left_over)
        self._directory, self._lock = _new_directory(base)
        self._numbers = itertools.count()

    def path(self, word: str) -> Path:
        """The path of a new file."""
        return self._directory / f"{next(self._numbers):06d}-{word}"

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def on_local_disk(side: Side, spool_dir: str) -> Iterator[None]:
    """Say what to do when local disk fails. Requests to the store have errors of their own.

    Raises:
        DestinationError: It did.
    """
    try:
        yield
    except OSError as error:
        place = spool_dir or tempfile.gettempdir()
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "free space there" if error.errno in _FULL else "see that it exists and can be written"
        message = (
            f"files could not be kept on local disk, in {place} ({reason}); {remedy}, or set DMS_SPOOL_DIR to another"
            " directory"
        )
        raise side.error(DestinationError, message) from error


def _new_directory(base: Path) -> tuple[Path, int]:
    """A new directory and the descriptor of its lock."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (directory / _LOCK).exists():
                return directory, lock
        # Another run has found it before it was locked.
        os.close(lock)


def _delete_if_dead(lock_path: Path) -> None:
    """Delete a directory whose lock nobody holds. One of another user stays."""
    with suppress(OSError):
        lock = os.open(lock_path, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_path.parent, ignore_errors=True)
        finally:
            os.close(lock)
