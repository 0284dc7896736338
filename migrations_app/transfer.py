"""The part of a run that works: source to destination, in a thread, so that the main one can watch and stop it.

COPY in the main thread would hold signals back for seconds. The control database is used by the main thread alone:
each step is handed over as a message, and the transfer goes on when it has been recorded.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from dataclasses import dataclass

from connectors.base import Commit, Destination, Prepared, ReadRequest, Resume, RunReport, Source
from connectors.errors import ConnectorError, Stopped
from connectors.faults import FaultPoint, pass_point
from migrations_app.plans import Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """The stream is about to be taken over from whoever wrote it last; only the holder of the lease may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Both ends are connected, and the stream belongs to this run."""

    resume: Resume


@dataclass(frozen=True, slots=True)
class Ready:
    """The destination's table can take the rows."""

    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Committed:
    """Rows and their position are durable at the destination."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class Ended:
    """The transfer is over; `error` is what ended it early."""

    error: BaseException | None


Message = Opening | Opened | Ready | Committed | Ended


class Transfer(threading.Thread):
    """Moves the rows of one plan.

    Args:
        plan: What to move.
        report: What the connectors tell.
        epoch_floor: The control database's epoch of the stream.
    """

    def __init__(self, plan: Plan, report: RunReport, epoch_floor: int) -> None:
        super().__init__(name="transfer", daemon=True)
        self._report = report
        self._epoch_floor = epoch_floor
        self._source: Source = plan.source(report)
        self._destination: Destination = plan.destination(report)
        self._messages: queue.Queue[Message] = queue.Queue()
        self._recorded = threading.Semaphore(0)
        self._is_stopping = threading.Event()

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, None when there is none yet. All but Ended must be answered by recorded()."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def recorded(self) -> None:
        """The last message is in the control database; go on."""
        self._recorded.release()

    def stop(self) -> None:
        """End at the last commit: the running statements are cancelled, the open chunk rolls back."""
        self._is_stopping.set()
        self._recorded.release()
        # In a thread of its own: a server that hangs does not answer to this either.
        threading.Thread(target=self._cancel, name="cancel", daemon=True).start()

    def _cancel(self) -> None:
        for end in (self._source, self._destination):
            try:
                end.cancel()
            except ConnectorError as error:
                # A session that cannot be cancelled is lost, and its transaction with it.
                logger.warning("cancel failed: %s", error, extra={"action": "stop"})

    def run(self) -> None:
        """The thread's body."""
        error: BaseException | None = None
        try:
            self._move()
        except BaseException as caught:  # noqa: BLE001 - the outcome is recorded by the main thread
            error = caught
        finally:
            with contextlib.suppress(Exception):
                self._source.close()
            with contextlib.suppress(Exception):
                self._destination.close()
        self._messages.put(Ended(error))

    def _move(self) -> None:
        source, destination = self._source, self._destination
        source.open()
        self._tell(Opening())
        resume = destination.open(epoch_floor=self._epoch_floor)
        self._tell(Opened(resume))
        pass_point(FaultPoint.AFTER_OPEN)
        prepared = destination.prepare(source.describe(resume.position))
        self._tell(Ready(prepared))
        pass_point(FaultPoint.AFTER_PREPARE)
        chunks = source.read(ReadRequest(resume.position, prepared, destination))
        for commit in destination.write(chunks):
            self._tell(Committed(commit))
            source.acknowledge(commit.position)
        pass_point(FaultPoint.BEFORE_FINISH)
        destination.finish()
        pass_point(FaultPoint.AFTER_FINISH)

    def _tell(self, message: Message) -> None:
        """Hand a step over and wait until it is recorded."""
        self._messages.put(message)
        self._recorded.acquire()
        if self._is_stopping.is_set():
            sentence = "stopped on request"
            raise Stopped(sentence, connector="transfer", stream="this run")
