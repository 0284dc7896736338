"""The mirror: checkpoints and runs as both MongoDB stores show them, through the outbox.

Whoever records a commit or an outcome writes the news into the outbox in the same transaction; `drain` delivers
them. The control database is the authority: a store that is down delays its news and stops nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from connectors.errors import ConnectorError
from connectors.mapping import MappingError, ServiceSettings, Store
from connectors.stores import MongoStore, Version
from migrations_app.enums import OutboxKind, RunState
from migrations_app.models import Checkpoint, OutboxEntry, Run, Stream
from migrations_app.secrets import SecretUnreadableError
from migrations_app.settings_io import resolved_settings

logger = logging.getLogger(__name__)

#: The setting that names each kind's store, and the field of its documents that holds the key.
_STORES = {
    OutboxKind.LAST_RECORD: ("encryption_store", "last_migrated_record_for_id"),
    OutboxKind.LAST_RUN: ("encryption_store", "last_run_cron_job_for_id"),
    OutboxKind.RUN: ("dashboard_store", "run_id"),
}
_TIME_FIELDS = frozenset({"timing", "start_time"})
_BYTES_PER_MEGABYTE = 1_000_000
_WRITE_TIMEOUT_S = 2.0
_FIRST_DELAY_S = 5
_LONGEST_DELAY_S = 600
#: How long an entry is left to the process that delivers it.
_CLAIM = timedelta(seconds=30)
#: How long a delivered entry stays, for those who look why a store says what it says.
_KEPT = timedelta(days=7)
_BATCH = 100


@dataclass(frozen=True, slots=True)
class DrainResult:
    """What a drain did.

    Attributes:
        delivered: Entries that a store has taken, or had newer news of.
        delayed: Entries that wait for a store to come back.
        pending: Entries left in the outbox, delayed ones included.
        problems: Sentences on what kept entries back.
    """

    delivered: int = 0
    delayed: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()


def enqueue_checkpoint(stream: Stream, position: Mapping[str, Any], *, epoch: int) -> None:
    """Tell encryption_store how far the stream has come. Call it in the transaction that records the commit."""
    _enqueue(
        OutboxKind.LAST_RECORD,
        stream.unique_id,
        {"record_id": record_id(position), "timing": timezone.now().isoformat()},
        epoch,
    )


def enqueue_run(run: Run) -> None:
    """Tell dashboard_store what the run's row says, and encryption_store when it succeeded.

    Call it in the transaction that records the outcome; calls while it runs show its progress.
    """
    _enqueue(OutboxKind.RUN, str(run.pk), _run_document(run), run.lease_epoch)
    if run.state == RunState.SUCCEEDED and run.started_at is not None:
        checkpoint = Checkpoint.objects.filter(stream_id=run.stream_id).first()
        _enqueue(
            OutboxKind.LAST_RUN,
            run.stream.unique_id,
            {
                "record_id": record_id(checkpoint.position) if checkpoint else "",
                "timing": run.started_at.isoformat(),
            },
            run.lease_epoch,
        )


def record_id(position: Mapping[str, Any]) -> str:
    """Return the last key of a position as text; empty where it has none yet. Composite keys are joined by commas."""
    key = position.get("cursor") or position.get("safe_key") or position.get("snapshot") or ""
    return ",".join(map(str, key)) if isinstance(key, (list, tuple)) else str(key)


def drain(max_seconds: float = 5.0) -> DrainResult:
    """Deliver what is due, for so long. Never raises for a store or for wrong settings: news waits instead.

    Args:
        max_seconds: When to stop; a write that is under way may take two seconds more.
    """
    OutboxEntry.objects.filter(delivered_at__lt=timezone.now() - _KEPT).delete()
    pending = OutboxEntry.objects.filter(kind__in=list(_STORES), delivered_at=None)
    if not pending.exists():
        return DrainResult()
    try:
        service = resolved_settings()
    except (MappingError, SecretUnreadableError) as error:
        logger.warning("mirror has no stores: %s", error, extra={"action": "mirror"})
        return DrainResult(pending=pending.count(), problems=(str(error),))
    with ExitStack() as stack:
        result = _Delivery(service, stack, deadline=time.monotonic() + max_seconds).run()
    return replace(result, pending=pending.count())


class _Delivery:
    """One drain: the stores it has opened, and those that have failed it."""

    def __init__(self, service: ServiceSettings, stack: ExitStack, *, deadline: float) -> None:
        self._service = service
        self._stack = stack
        self._deadline = deadline
        self._stores: dict[str, MongoStore] = {}
        self._down: dict[str, str] = {}
        self._delivered = 0
        self._delayed = 0

    def run(self) -> DrainResult:
        for entry in _due(lambda: time.monotonic() < self._deadline):
            store_name, key_field = _STORES[OutboxKind(entry.kind)]
            if store_name not in self._down:
                self._deliver(entry, store_name, key_field)
            if store_name in self._down:
                _delay(entry, self._down[store_name])
                self._delayed += 1
        return DrainResult(delivered=self._delivered, delayed=self._delayed, problems=tuple(self._down.values()))

    def _deliver(self, entry: OutboxEntry, store_name: str, key_field: str) -> None:
        try:
            store = self._stores.get(store_name) or self._open(store_name)
            fields = {name: _as_stored(name, value) for name, value in entry.payload.items()}
            store.put({key_field: entry.key}, fields, Version(entry.epoch, entry.sequence))
        except ConnectorError as error:
            logger.warning("store not written: %s", error, extra={"action": "mirror", "connector": store_name})
            self._down[store_name] = str(error)
            return
        # Newer news may have come in meanwhile; then the entry stays due.
        OutboxEntry.objects.filter(pk=entry.pk, sequence=entry.sequence).update(
            delivered_at=timezone.now(), next_attempt_at=timezone.now(), last_error="", attempts=0
        )
        self._delivered += 1

    def _open(self, store_name: str) -> MongoStore:
        address: Store = getattr(self._service, store_name)
        store = self._stack.enter_context(
            MongoStore(store_name, address.url, address.db_name, address.collection_name, timeout_s=_WRITE_TIMEOUT_S)
        )
        store.index(*(field for name, field in _STORES.values() if name == store_name))
        self._stores[store_name] = store
        return store


def _due(may_go_on: Callable[[], bool]) -> Iterator[OutboxEntry]:
    """Claim and yield what is due, oldest first; each entry goes to one process only."""
    while may_go_on():
        due = OutboxEntry.objects.filter(
            kind__in=list(_STORES), delivered_at=None, next_attempt_at__lte=timezone.now()
        ).order_by("next_attempt_at", "id")
        found = list(due[:_BATCH])
        for entry in found:
            if not may_go_on():
                return
            if _claim(entry):
                yield entry
        if len(found) < _BATCH:
            return


def _claim(entry: OutboxEntry) -> bool:
    now = timezone.now()
    claimed = OutboxEntry.objects.filter(
        pk=entry.pk, sequence=entry.sequence, delivered_at=None, next_attempt_at__lte=now
    )
    return bool(claimed.update(next_attempt_at=now + _CLAIM))


def _delay(entry: OutboxEntry, problem: str) -> None:
    delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(entry.attempts, 10))
    OutboxEntry.objects.filter(pk=entry.pk, sequence=entry.sequence).update(
        attempts=F("attempts") + 1,
        next_attempt_at=timezone.now() + timedelta(seconds=delay_s),
        last_error=problem,
    )


def _enqueue(kind: OutboxKind, key: str, payload: dict[str, Any], epoch: int) -> None:
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


def _run_document(run: Run) -> dict[str, Any]:
    stream = run.stream
    moved = round(run.byte_count / _BYTES_PER_MEGABYTE, 3)
    return {
        "job_id": stream.unique_id,
        "table_name": stream.name,
        "insertions": run.inserted,
        "updations": run.updated,
        "deletions": run.deleted,
        "total_records": run.inserted + run.updated,
        "start_time": _iso(run.started_at),
        "total_time": None if run.seconds is None else round(run.seconds, 3),
        "curr_megabytes_processed": moved,
        "total_megabytes": _total_megabytes(run, moved),
        "status": run.state == RunState.SUCCEEDED,
        "mapping": stream.mapping_id,
        "mode": run.plan.get("mode"),
        "state": str(run.state),
        "error_class": run.error_class,
    }


def _total_megabytes(run: Run, moved: float) -> float | None:
    """What the whole run will have moved: extrapolated while it runs, None where nothing is known yet."""
    if run.state not in (RunState.QUEUED, RunState.RUNNING):
        return moved
    if not run.rows_expected or not run.read:
        return None
    return round(moved * max(1.0, run.rows_expected / run.read), 3)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _as_stored(name: str, value: Any) -> Any:
    """Times travel through the outbox as text and arrive as dates."""
    return parse_datetime(value) if name in _TIME_FIELDS and isinstance(value, str) else value
