"""How many of the web server's threads may wait for servers of other people at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: A server that hangs keeps a thread for half a minute and more; the other threads are for everybody else.
_SLOTS = threading.BoundedSemaphore(2)


class BusyError(Exception):
    """Too many wait in this process already."""


@contextmanager
def one_of_few() -> Iterator[None]:
    """Hold one of the places.

    Raises:
        BusyError: All are taken.
    """
    if not _SLOTS.acquire(blocking=False):
        message = "Other servers are being asked just now; try again in half a minute."
        raise BusyError(message)
    try:
        yield
    finally:
        _SLOTS.release()
