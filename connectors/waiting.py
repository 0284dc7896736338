"""Waiting for something that may never end, and going on without it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """It did not end in time. Its thread goes on until what it waits for ends."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do something in a thread that is left behind when it takes too long.

    Args:
        seconds: How long to wait for it.
        work: What to do. It must not rely on being waited for.

    Raises:
        Overdue: It did not end in time.
        BaseException: Whatever the work raised.
    """
    box: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            box.put((None, error))

    threading.Thread(target=run, name="within", daemon=True).start()
    try:
        answer = box.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise Overdue from None
    if answer[1] is not None:
        raise answer[1]
    return answer[0]
