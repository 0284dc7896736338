"""Data checks that somebody asked for and does not wait for: `verify` in a process of its own, its result kept.

The row is made before the process is; a process that ends without a word is told by its owner's end.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.comparison import Verdict
from migrations_app.models import DataCheck, Stream
from migrations_app.owner import Owner, this_process
from migrations_app.verbs.verify import Verification

#: A process that has not taken its check after so long did not come up.
_BEGINS_WITHIN = timedelta(minutes=2)
#: Where nobody can tell whether the process lives (another host), a check is given up after so long.
_GIVEN_UP_AFTER = timedelta(days=1)


class CheckGoesOnError(Exception):
    """The stream has a data check that has not ended."""


def ask(stream: Stream, requested_by: str) -> DataCheck:
    """Put a data check on record, in place of the last one; whoever asks then starts its process.

    Raises:
        CheckGoesOnError: One goes on.
    """
    with transaction.atomic():
        found = DataCheck.objects.select_for_update().filter(stream=stream).first()
        if found is not None and is_going_on(found):
            message = f"a data check of {stream.unique_id} goes on already; wait for its result"
            raise CheckGoesOnError(message)
        fresh = {field.name: field.get_default() for field in DataCheck._meta.concrete_fields if not field.primary_key}
        fresh |= {"requested_by": requested_by[:150]}
        check, _ = DataCheck.objects.update_or_create(stream=stream, defaults=fresh)
    return check


def take(streams: Q) -> None:
    """Say that this process makes the data checks of these streams; those that nobody asked for are put on record.

    What another process is at stays that one's: its result is the one that is kept.
    """
    mine = {f"owner_{name}": value for name, value in asdict(this_process()).items()}
    for stream in Stream.objects.filter(streams, active=True).select_related("data_check"):
        if DataCheck.objects.filter(stream=stream, finished_at=None, owner_pid=None).update(**mine):
            continue
        found = getattr(stream, "data_check", None)
        if found is None or not is_going_on(found):
            defaults = {"asked_at": Now(), "finished_at": None, "verdict": "", "result": {}, **mine}
            DataCheck.objects.update_or_create(stream=stream, defaults=defaults)


def keep(found: Verification) -> None:
    """Put the result of a data check of this process on record."""
    _finish(Q(stream__unique_id=found.stream_id), found.verdict, found.as_dict())


def give_up(streams: Q, reason: str) -> None:
    """Put on record why this process could not make its data checks."""
    _finish(Q(stream__in=Stream.objects.filter(streams)), Verdict.UNKNOWN, {"error": reason})


def is_going_on(check: DataCheck, now: datetime | None = None) -> bool:
    """True while a result may still come."""
    return check.finished_at is None and not why_none(check, now)


def why_none(check: DataCheck, now: datetime | None = None) -> str:
    """Why a data check that was asked for has no result and gets none; empty where it has or may get one."""
    if check.finished_at is not None:
        return ""
    age = (now or timezone.now()) - check.asked_at
    log = f"see runs/{check.stream.mapping_id}.log in the service's directory, then ask again"
    if check.owner_pid is None:
        return f"its process did not come up; {log}" if age > _BEGINS_WITHIN else ""
    owner = Owner(check.owner_host, check.owner_boot_id, check.owner_pid, check.owner_started)
    if owner.is_gone or age > _GIVEN_UP_AFTER:
        return f"its process ended without a result; {log}"
    return ""


def _finish(checks: Q, verdict: Verdict, result: dict[str, Any]) -> None:
    me = this_process()
    mine = DataCheck.objects.filter(checks, owner_pid=me.pid, owner_started=me.started, owner_host=me.host)
    mine.filter(finished_at=None).update(finished_at=Now(), verdict=verdict.value, result=result)
