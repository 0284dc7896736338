"""Threads that talk to the store, so that whoever waits for an answer can be stopped while the store hangs.

A request that hangs keeps its thread until its timeout; the threads are daemons, so they keep no process alive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from connectors.destinations.s3.errors import Side
from connectors.errors import ConnectorError, Stopped

T = TypeVar("T")

_POLL_S = 0.1
#: After a stop, what must not be left half done goes on for so long while the store answers ...
_GRACE_S = 8.0
#: ... and ends when it has answered nothing for so long.
_SILENCE_S = 0.7


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with what nobody has asked to stop: while the store answers.

    Attributes:
        silence_s: It ends when the store has answered nothing for so long ...
        began: ... since then, by time.monotonic().
    """

    silence_s: float
    began: float = field(default_factory=time.monotonic)


class Workers:
    """A few threads for requests.

    Args:
        count: Number of threads.
        side: For the errors of a stop.
    """

    def __init__(self, count: int, side: Side) -> None:
        self._side = side
        self._count = count
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._waiting: set[Future[object]] = set()
        self._last_answer = time.monotonic()
        self._stopped_at: float | None = None
        self._is_closed = False
        self.stopping = threading.Event()

    def check_stop(self) -> None:
        """Leave off when that was asked for.

        Raises:
            Stopped: It was.
        """
        if self.stopping.is_set():
            raise self._stopped()

    def submit(self, job: Callable[[], T], *, urgent: bool = False) -> Future[T]:
        """Have the job done by a thread.

        Args:
            job: Sends one request, repeats included.
            urgent: Does not end with a stop at once: what is waited for must not be left half done.

        Raises:
            Stopped: The stop came before.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed or (self.stopping.is_set() and not urgent):
                raise self._stopped()
            if not urgent:
                self._waiting.add(future)  # type: ignore[arg-type]  # only its end is of interest here
            if len(self._threads) < self._count:
                thread = threading.Thread(target=self._serve, name="dms-s3", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(lambda: self._do(job, future))
        return future

    def wait(self, future: Future[T], *, urgent: bool = False, patience: Patience | None = None) -> T:
        """The result of a job; the job's error is raised here.

        Args:
            future: Of the job.
            urgent: As in `submit`.
            patience: Ends the wait without a stop too; only for urgent jobs.

        Raises:
            Stopped: The stop came first, or with `urgent`, the store was silent after it; or patience has ended.
        """
        if not urgent:
            return future.result()
        began = time.monotonic()
        while True:
            try:
                return future.result(_POLL_S)
            except NotDoneError:
                if future.done():
                    raise
                if self._is_over(began, patience):
                    raise self._stopped() from None

    def run(self, job: Callable[[], T], *, urgent: bool = False, patience: Patience | None = None) -> T:
        """Have the job done by a thread and wait for it."""
        return self.wait(self.submit(job, urgent=urgent), urgent=urgent, patience=patience)

    def run_all(
        self, jobs: Iterable[Callable[[], T]], *, urgent: bool = False, patience: Patience | None = None
    ) -> list[T]:
        """Have all jobs done side by side; the first error is raised after all of them have ended."""
        futures = [self.submit(job, urgent=urgent) for job in jobs]
        results: list[T] = []
        error: ConnectorError | None = None
        for future in futures:
            try:
                results.append(self.wait(future, urgent=urgent, patience=patience))
            except Stopped:
                raise
            except ConnectorError as raised:
                error = error or raised
        if error is not None:
            raise error
        return results

    def cancel(self) -> None:
        """Let every waiter go, now and from now on, save those of urgent jobs."""
        with self._lock:
            self._stopped_at = time.monotonic()
            self.stopping.set()
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            with suppress(InvalidStateError):
                future.set_exception(self._stopped())

    def close(self) -> None:
        """End the threads once they are done with what they do. Does not wait for them."""
        with self._lock:
            self._is_closed = True
        for _ in self._threads:
            self._queue.put(None)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _do(self, job: Callable[[], T], future: Future[T]) -> None:
        if future.done():
            return
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001 - raised again where the future is waited for
            with suppress(InvalidStateError):
                future.set_exception(error)
        else:
            with suppress(InvalidStateError):
                future.set_result(result)
        with self._lock:
            self._last_answer = time.monotonic()
            self._waiting.discard(future)

    def _is_over(self, began: float, patience: Patience | None) -> bool:
        now = time.monotonic()
        if patience is not None and now - max(self._last_answer, patience.began) > patience.silence_s:
            return True
        if self._stopped_at is None:
            return False
        # What was asked of a store after it had been silent to others gets its time as well.
        is_silent = now - max(self._last_answer, self._stopped_at, began) > _SILENCE_S
        return is_silent or now - self._stopped_at > _GRACE_S

    def _stopped(self) -> ConnectorError:
        return self._side.error(Stopped, "stopped on request")
