"""Data checks that somebody asked for and does not wait for: `verify` in a process of its own, its result kept.

The row is made before the process is. The process gives signs of life there, says how far it is, and ends when the row
asks for it, whoever wrote that; a process that ends without a word is told by its owner's end, or by its silence.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from connectors.comparison import ComparisonReport, Verdict
from connectors.wording import counted
from migrations_app.models import DataCheck, Stream
from migrations_app.owner import Owner, this_process
from migrations_app.verbs.verify import Verification
from migrations_app.watch import Watch

logger = logging.getLogger(__name__)

#: The verdict of a check that somebody ended; the others are those of a comparison.
CANCELLED = "cancelled"
#: A process that has not taken its check after so long did not come up.
_BEGINS_WITHIN = timedelta(minutes=2)
#: Where nobody can tell whether the process lives (another host), a check is given up when it was silent for so long.
_SILENT_AFTER = timedelta(minutes=3)
_LOOK_EVERY_S = 1.0
_HEARD_EVERY_S = 10.0


class CheckGoesOnError(Exception):
    """The stream has a data check that has not ended."""


class NothingToCancelError(Exception):
    """No data check goes on."""


def ask(stream: Stream, requested_by: str) -> DataCheck:
    """Put a data check on record, in place of the last one; whoever asks then starts its process.

    Raises:
        CheckGoesOnError: One goes on.
    """
    with transaction.atomic():
        found = DataCheck.objects.select_for_update().filter(stream=stream).first()
        if found is not None and is_going_on(found):
            message = f"a data check of {stream.unique_id} goes on already; wait for its result, or cancel it"
            raise CheckGoesOnError(message)
        fresh = _fresh() | {"requested_by": requested_by[:150]}
        check, _ = DataCheck.objects.update_or_create(stream=stream, defaults=fresh)
    return check


def cancel(streams: Q, requested_by: str) -> int:
    """Ask the data checks of these streams to end, wherever their process runs; how many there were.

    Raises:
        NothingToCancelError: None of them goes on, or all were asked already.
    """
    asked = DataCheck.objects.filter(pk__in=_going_on(streams), finished_at=None, stop_requested=False)
    count = asked.update(stop_requested=True, stop_requested_by=requested_by[:150])
    if not count:
        message = "no data check goes on that could be cancelled"
        raise NothingToCancelError(message)
    return count


def goes_on(streams: Q) -> bool:
    """True while a data check of these streams goes on that nobody has cancelled: one query."""
    return bool(_going_on(streams))


def take(streams: Q) -> None:
    """Say that this process makes the data checks of these streams; those that nobody asked for are put on record.

    What another process is at stays that one's: its result is the one that is kept.
    """
    mine: dict[str, Any] = {f"owner_{name}": value for name, value in asdict(this_process()).items()}
    mine["heard_at"] = Now()
    for stream in Stream.objects.filter(streams, active=True).select_related("data_check"):
        if DataCheck.objects.filter(stream=stream, finished_at=None, owner_pid=None).update(**mine):
            continue
        found = getattr(stream, "data_check", None)
        if found is None or not is_going_on(found):
            defaults = _fresh() | {"asked_at": Now(), **mine}
            DataCheck.objects.update_or_create(stream=stream, defaults=defaults)


def keep(found: Verification) -> None:
    """Put the result of a data check of this process on record."""
    check = Q(stream__unique_id=found.stream_id)
    is_cancelled = found.is_stopped and _mine().filter(check, stop_requested=True).exists()
    _finish(check, CANCELLED if is_cancelled else found.verdict.value, found.as_dict())


def give_up(streams: Q, reason: str) -> None:
    """Put on record why this process could not make its data checks."""
    _finish(Q(stream__in=Stream.objects.filter(streams)), Verdict.UNKNOWN.value, {"error": reason})


class Attendance:
    """Sees to the data checks that this process has taken, while it makes them one after the other.

    Args:
        watch: Notices signals.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._stream_id = ""
        self._look_at = 0.0
        self._heard_until = 0.0
        self._told: dict[str, Any] = {}
        self._cancelled: set[str] = set()

    def begins(self, stream_id: str) -> bool:
        """Say which one it makes now; False for one that was cancelled before its turn."""
        self._stream_id = ""
        self._end_cancelled()
        self._stream_id, self._told = stream_id, {}
        return stream_id not in self._cancelled

    @property
    def has_cancelled(self) -> bool:
        """True when one of them was cancelled before its turn."""
        return bool(self._cancelled)

    def look(self, report: ComparisonReport) -> str:
        """Say that the process lives and how far it is; why it has to stop, empty while it may go on."""
        if (stop := self._watch.look()) is not None:
            return stop.sentence
        now = time.monotonic()
        if now < self._look_at:
            return ""
        self._look_at = now + _LOOK_EVERY_S
        try:
            self._tell(report.as_dict(), now)
            return self._end_cancelled()
        except Error as error:
            # The control database is away: the comparison needs it at its end alone.
            logger.warning("control database away: %s", type(error).__name__, extra={"action": "verify"})
            connection.close()
            return ""

    def _tell(self, progress: dict[str, Any], now: float) -> None:
        if progress == self._told and now < self._heard_until:
            return
        _mine().update(heard_at=Now())
        _mine().filter(stream__unique_id=self._stream_id).update(progress=progress)
        self._told, self._heard_until = progress, now + _HEARD_EVERY_S

    def _end_cancelled(self) -> str:
        """Put on record the end of the others that somebody cancelled; why the one that is made now is to end."""
        why_now = ""
        for check in _mine().filter(stop_requested=True).select_related("stream"):
            why = f"{check.stop_requested_by or 'somebody'} cancelled it"
            if check.stream.unique_id == self._stream_id:
                why_now = why
            else:
                self._cancelled.add(check.stream.unique_id)
                _finish(Q(pk=check.pk), CANCELLED, {"error": f"{why} before it began"})
        return why_now


def is_going_on(check: DataCheck, now: datetime | None = None) -> bool:
    """True while a result may still come."""
    return check.finished_at is None and not why_none(check, now)


def why_none(check: DataCheck, now: datetime | None = None) -> str:
    """Why a data check that was asked for has no result and gets none; empty where it has or may get one."""
    if check.finished_at is not None:
        return ""
    age = (now or timezone.now()) - check.asked_at
    log = f"see runs/{check.stream.mapping_id}.log in the service's directory, then verify again"
    if check.owner_pid is None:
        return f"its process did not come up; {log}" if age > _BEGINS_WITHIN else ""
    owner = Owner(check.owner_host, check.owner_boot_id, check.owner_pid, check.owner_started)
    if owner.is_gone:
        return f"its process ended without a result; {log}"
    silence = (now or timezone.now()) - (check.heard_at or check.asked_at)
    if silence > _SILENT_AFTER:
        minutes = int(silence.total_seconds() // 60)
        return f"its process on {check.owner_host} has not been heard of for {counted(minutes, 'minute')}; {log}"
    return ""


def _going_on(streams: Q) -> list[Any]:
    """The data checks of these streams that go on, and that nobody has cancelled."""
    found = DataCheck.objects.filter(stream__in=Stream.objects.filter(streams), finished_at=None, stop_requested=False)
    return [check.pk for check in found.select_related("stream") if is_going_on(check)]


def _fresh() -> dict[str, Any]:
    """All fields as before a check begins."""
    return {field.name: field.get_default() for field in DataCheck._meta.concrete_fields if not field.primary_key}


def _mine() -> QuerySet[DataCheck]:
    """The data checks that this process has taken and not ended."""
    me = this_process()
    return DataCheck.objects.filter(owner_pid=me.pid, owner_started=me.started, owner_host=me.host, finished_at=None)


def _finish(checks: Q, verdict: str, result: dict[str, Any]) -> None:
    _mine().filter(checks).update(finished_at=Now(), verdict=verdict, result=result)
