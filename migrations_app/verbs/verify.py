"""Verify: is at the destination what is at the source?

The comparison runs in a thread, since a driver that waits for its server hears of nothing else; this one looks for
reasons to stop, and then ends the statements at both ends.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.base import HashForm, RunReport
from connectors.comparison import Comparison, ComparisonReport, Verdict, compare
from connectors.errors import ConnectorError
from migrations_app.plans import Plan

logger = logging.getLogger(__name__)

NAMED_KEYS = 20
_LOOK_EVERY_S = 0.2
#: A statement may begin just after a cancel, so that is repeated.
_CANCEL_EVERY_S = 0.5
#: How long a comparison that was stopped may take to end before it is left behind.
_STOP_WITHIN_S = 5.0

#: Sees how far a comparison is, and says why it has to stop; nothing to let it go on.
Look = Callable[[ComparisonReport], str]


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of one stream's comparison.

    Attributes:
        stream_id: The stream.
        mode: Its mode.
        comparison: None when it could not be made.
        error: Why it could not.
        seconds: How long it took.
        is_stopped: Somebody or something ended it before it was done.
        is_left_behind: It was stopped, and a server that hangs holds its thread; only the process's end frees that.
    """

    stream_id: str
    mode: str
    comparison: Comparison | None
    error: str
    seconds: float
    is_stopped: bool = False
    is_left_behind: bool = False

    @property
    def verdict(self) -> Verdict:
        """What could not be compared is unknown, never equal."""
        return Verdict.UNKNOWN if self.comparison is None else self.comparison.verdict

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        found = {"verdict": self.verdict.value} if self.comparison is None else self.comparison.as_dict()
        return {
            "stream": self.stream_id,
            "mode": self.mode,
            **found,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


def verify(plan: Plan, *, named_keys: int = NAMED_KEYS, look: Look | None = None) -> Verification:
    """Compare both ends of a stream. Changes nothing; an end that cannot be asked is part of the answer.

    Args:
        plan: The stream.
        named_keys: How many differing keys to name.
        look: Asked a few times a second while the comparison goes on, in this thread.
    """
    started = time.monotonic()
    stream = plan.stream
    try:
        work = _Comparing(plan, named_keys)
    except ConnectorError as refusal:
        return Verification(stream.unique_id, stream.mode.value, None, str(refusal), time.monotonic() - started)
    why = _attend(work, look)
    if work.error is not None and not isinstance(work.error, ConnectorError):
        raise work.error
    # A comparison that was left behind may still end: it is looked at once, so that all that is told of it agrees.
    comparison = work.comparison
    is_stopped = bool(why) and comparison is None
    error = f"stopped before it was done: {why}" if is_stopped else str(work.error or "")
    return Verification(
        stream.unique_id,
        stream.mode.value,
        comparison,
        error,
        time.monotonic() - started,
        is_stopped=is_stopped,
        is_left_behind=work.is_alive(),
    )


def _attend(work: _Comparing, look: Look | None) -> str:
    """Wait for the comparison's end; why it was stopped, if it was."""
    work.start()
    why = ""
    until = float("inf")
    while work.is_alive() and time.monotonic() < until:
        if look is not None and not why and (why := look(work.report)):
            until = time.monotonic() + _STOP_WITHIN_S
        if why:
            work.cancel()
        work.join(_CANCEL_EVERY_S if why else _LOOK_EVERY_S)
    return why


class _Comparing(threading.Thread):
    """Compares both ends; asks nothing of the control database.

    Attributes:
        report: How far it is.
        comparison: What came of it.
        error: What ended it instead.
    """

    def __init__(self, plan: Plan, named_keys: int) -> None:
        super().__init__(name="verify", daemon=True)
        self._plan = plan
        self._named_keys = named_keys
        report = RunReport()
        self._source = plan.source(report)
        self._destination = plan.destination(report)
        self.report = ComparisonReport()
        self.comparison: Comparison | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """The thread's body."""
        try:
            self.comparison = self._compare()
        except BaseException as caught:  # noqa: BLE001 - whoever waits for it raises what is not foreseen
            self.error = caught
        finally:
            with contextlib.suppress(Exception):
                self._source.close()
            with contextlib.suppress(Exception):
                self._destination.close()

    def cancel(self) -> None:
        """End the statements that are running at both ends, and let no further one start; does not wait."""
        for end in (self._source, self._destination):
            threading.Thread(target=_cancel, args=(end.cancel,), name="cancel", daemon=True).start()

    def _compare(self) -> Comparison:
        source, destination = self._source, self._destination
        mode = self._plan.stream.mode
        source.open()
        destination.connect()
        schema = source.describe(destination.stored_position())
        is_quick = {source.hash_form, destination.hash_form} == {HashForm.QUICK}
        form = HashForm.QUICK if is_quick else HashForm.PORTABLE
        ours = source.comparable(form)
        theirs = destination.comparable(schema, ours.key, form, source.snapshot_of) if ours is not None else None
        if ours is None or theirs is None:
            plan = self._plan
            end = plan.source_config.source_type if ours is None else plan.destination_config.destination_type
            return Comparison(mode, reasons=[f"the {end} connector cannot compare its rows yet"])
        return compare(ours, theirs, schema, mode, named_keys=self._named_keys, report=self.report)


def _cancel(cancel: Callable[[], None]) -> None:
    try:
        cancel()
    except ConnectorError as error:
        # A session that cannot be cancelled is lost, and its statement with it.
        logger.warning("cancel failed: %s", error, extra={"action": "verify"})
