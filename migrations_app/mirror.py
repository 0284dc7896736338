"""The mirror: checkpoints and runs as both MongoDB stores show them, through the outbox.

Whoever records a commit or an outcome writes the news into the outbox in the same transaction; `drain` delivers
them. The control database is the authority: a store that is down delays its news and stops nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from connectors.errors import ConnectorError
from connectors.mapping import MappingError, ServiceSettings, Store
from connectors.stores import MongoStore, Version
from migrations_app import audit, outbox
from migrations_app.enums import OutboxKind, RunState
from migrations_app.models import Checkpoint, OutboxEntry, Run, Stream
from migrations_app.outbox import DrainResult as DrainResult
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
#: What this module delivers.
KINDS = frozenset(_STORES)


def enqueue_checkpoint(stream: Stream, position: Mapping[str, Any], *, epoch: int) -> None:
    """Tell encryption_store how far the stream has come. Call it in the transaction that records the commit."""
    outbox.put_newest(
        OutboxKind.LAST_RECORD,
        stream.unique_id,
        {"record_id": record_id(position), "timing": timezone.now().isoformat()},
        epoch,
    )


def enqueue_run(run: Run) -> None:
    """Tell dashboard_store what the run's row says, and encryption_store when it succeeded.

    Call it in the transaction that records the outcome; calls while it runs show its progress.
    """
    outbox.put_newest(OutboxKind.RUN, str(run.pk), _run_document(run), run.lease_epoch)
    if run.state == RunState.SUCCEEDED and run.started_at is not None:
        checkpoint = Checkpoint.objects.filter(stream_id=run.stream_id).first()
        outbox.put_newest(
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
    outbox.sweep()
    audit.forget_old()
    pending = outbox.waiting(KINDS)
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
        for entry in outbox.due(KINDS, lambda: time.monotonic() < self._deadline):
            store_name, key_field = _STORES[OutboxKind(entry.kind)]
            if store_name not in self._down:
                self._deliver(entry, store_name, key_field)
            if store_name in self._down:
                outbox.delay(entry, self._down[store_name])
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
        outbox.delivered(entry)
        self._delivered += 1

    def _open(self, store_name: str) -> MongoStore:
        address: Store = getattr(self._service, store_name)
        store = self._stack.enter_context(
            MongoStore(store_name, address.url, address.db_name, address.collection_name, timeout_s=_WRITE_TIMEOUT_S)
        )
        store.index(*(field for name, field in _STORES.values() if name == store_name))
        self._stores[store_name] = store
        return store


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
