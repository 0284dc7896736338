"""The outbox at work: news is put in, claimed by one process, delivered, put off, or given up.

Whoever records what became true puts the news in by the same transaction. Who delivers it is the business of
mirror.py (stores) and notify/ (messages).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from migrations_app.enums import OutboxKind
from migrations_app.models import OutboxEntry

Clock = Callable[[], datetime]

_FIRST_DELAY_S = 5
_LONGEST_DELAY_S = 600
#: How long an entry is left to the process that delivers it.
CLAIM = timedelta(seconds=30)
#: How long a closed entry stays, for those who look why a store or a channel says what it says.
_KEPT = timedelta(days=7)
_BATCH = 100


@dataclass(frozen=True, slots=True)
class DrainResult:
    """What a drain did.

    Attributes:
        delivered: Entries that were taken, or of which the other side had newer news.
        delayed: Entries that wait for the other side to come back.
        pending: Entries left in the outbox, delayed ones included.
        problems: Sentences on what kept entries back.
    """

    delivered: int = 0
    delayed: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures in a row; doubles up to ten minutes."""
    return timedelta(seconds=min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(max(failures, 0), 10)))


def put_newest(kind: OutboxKind, key: str, payload: dict[str, Any], epoch: int) -> None:
    """Put the news in place of older news under the key.

    The sequence is the clock's, so that it grows even when the control database was restored from a backup, and one
    more than the last where the clock stands still. An entry that waits for a store keeps waiting.
    """
    now_us = time.time_ns() // 1000
    with transaction.atomic():
        is_known = OutboxEntry.objects.filter(kind=kind, key=key).update(
            payload=payload,
            epoch=Greatest(F("epoch"), epoch),
            sequence=Greatest(F("sequence") + 1, now_us),
            delivered_at=None,
            next_attempt_at=Case(When(attempts=0, then=Value(timezone.now())), default=F("next_attempt_at")),
        )
        if not is_known:
            OutboxEntry.objects.create(kind=kind, key=key, payload=payload, epoch=epoch, sequence=now_us)


def put_once(kind: OutboxKind, key: str, payload: dict[str, Any], *, clock: Clock = timezone.now) -> None:
    """Put news in that is told once; nothing happens when it is there, delivered or not."""
    now = clock()
    OutboxEntry.objects.bulk_create(
        [OutboxEntry(kind=kind, key=key, payload=payload, sequence=micros(now), next_attempt_at=now)],
        ignore_conflicts=True,
    )


def waiting(kinds: Collection[OutboxKind]) -> QuerySet[OutboxEntry]:
    """Entries that are neither delivered nor given up."""
    return OutboxEntry.objects.filter(kind__in=list(kinds), delivered_at=None, given_up_at=None)


def due(kinds: Collection[OutboxKind], may_go_on: Callable[[], bool]) -> Iterator[OutboxEntry]:
    """Claim and yield what is due, oldest first; each entry goes to one process only."""
    while may_go_on():
        found = list(
            waiting(kinds).filter(next_attempt_at__lte=timezone.now()).order_by("next_attempt_at", "id")[:_BATCH]
        )
        for entry in found:
            if not may_go_on():
                return
            if claim(entry):
                yield entry
        if len(found) < _BATCH:
            return


def claim(entry: OutboxEntry, *, clock: Clock = timezone.now) -> bool:
    """Take the entry for this process for a while; False when another one has it, or newer news came."""
    now = clock()
    return bool(_unchanged(entry).filter(next_attempt_at__lte=now).update(next_attempt_at=now + CLAIM))


def delivered(entry: OutboxEntry, *, clock: Clock = timezone.now) -> None:
    """Close the entry, unless newer news has come in meanwhile; then it stays due."""
    now = clock()
    _unchanged(entry).update(delivered_at=now, next_attempt_at=now, last_error="", attempts=0)


def delay(entry: OutboxEntry, problem: str, *, until: datetime | None = None, clock: Clock = timezone.now) -> None:
    """Put the entry off, until then or for a time that grows with each attempt."""
    _unchanged(entry).update(
        attempts=F("attempts") + 1,
        next_attempt_at=until or clock() + backoff(entry.attempts),
        last_error=problem,
    )


def put_back(entry: OutboxEntry, until: datetime, payload: dict[str, Any] | None = None) -> None:
    """Give a claimed entry back, to be due then; with what of it was delivered already in its payload."""
    _unchanged(entry).update(next_attempt_at=until, payload=entry.payload if payload is None else payload)


def give_up(entries: QuerySet[OutboxEntry], problem: str, *, clock: Clock = timezone.now) -> int:
    """Close entries that nobody will ever take; they stay to be seen for a while."""
    return entries.update(given_up_at=clock(), last_error=problem)


def sweep(clock: Clock = timezone.now) -> None:
    """Forget what was closed long ago."""
    before = clock() - _KEPT
    OutboxEntry.objects.filter(delivered_at__lt=before).delete()
    OutboxEntry.objects.filter(given_up_at__lt=before).delete()


def micros(moment: datetime) -> int:
    """The moment as a sequence: microseconds since 1970."""
    return int(moment.timestamp() * 1_000_000)


def _unchanged(entry: OutboxEntry) -> QuerySet[OutboxEntry]:
    return OutboxEntry.objects.filter(pk=entry.pk, sequence=entry.sequence, delivered_at=None, given_up_at=None)
