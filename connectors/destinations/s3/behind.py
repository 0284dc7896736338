"""Calls that are made in a thread of their own, one after the other, a few of them behind whoever asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self


class Behind:
    """One thread. Used as a context, or with `close` in any case.

    Args:
        name: Of the thread.
        most: So many calls may wait behind the one that is being made; whoever asks for one more waits too.
    """

    def __init__(self, name: str, most: int) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._most = most
        self._asked: deque[Future[None]] = deque()
        self._has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, job: Callable[[], None]) -> None:
        """Have a call made after all earlier ones.

        Raises:
            Exception: That of an earlier call; no later one is made then.
        """
        self._wait(self._most)
        self._asked.append(self._executor.submit(self._make, job))

    def finish(self) -> None:
        """Wait until all calls were made.

        Raises:
            Exception: That of a call.
        """
        self._wait(0)

    def close(self) -> None:
        """Wait for the call that is being made, and make no other one. Never raises."""
        self._asked.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _wait(self, left: int) -> None:
        while len(self._asked) > left:
            self._asked.popleft().result()

    def _make(self, job: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            job()
        except BaseException:
            self._has_failed = True
            raise
