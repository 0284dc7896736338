"""What a stream has done: its last runs for strips and charts, and what became of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from migrations_app.enums import EventLevel
from migrations_app.models import Run, RunEvent, Stream

#: How many runs strips and charts show.
SHOWN_RUNS = 50
#: How far back changes of columns are looked for, in runs.
_SEARCHED_RUNS = 500
_MOST_CHANGES = 20
#: The event of a run that has given the destination's table new columns begins so.
ADDED = "new columns at the destination: "
#: What connectors say of columns that are not what they were; tests run real changes and find them by these.
_PHRASES = (
    "columns were added or changed",
    "in columns that changed",
    "the source has no column ",
    "got a new label",
)
_REFUSED = "SchemaMismatch"


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run, as strips and charts show it.

    Attributes:
        seconds: How long it took, or has taken so far; None before it began.
        rows: Rows that it inserted, updated and deleted.
    """

    id: UUID
    state: str
    trigger: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    read: int
    inserted: int
    updated: int
    deleted: int
    byte_count: int
    reason: str
    error_class: str
    is_backfill: bool

    @property
    def rows(self) -> int:
        """Rows that it changed at the destination."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Columns that are not what they were, as one run has met them.

    Attributes:
        is_refused: True when the run ended with it, and somebody has to decide.
    """

    at: datetime
    run_id: UUID
    words: str
    is_refused: bool


_COLUMNS = (
    *("id", "state", "trigger", "created_at", "started_at", "finished_at"),
    *("read", "inserted", "updated", "deleted", "byte_count", "reason", "error_class", "request"),
)


def last_runs(stream: Stream, count: int = SHOWN_RUNS) -> list[PastRun]:
    """The stream's last runs, the oldest first: one query."""
    found = Run.objects.filter(stream=stream).order_by("-created_at")[:count]
    return [_past(row) for row in reversed(list(found.values(*_COLUMNS)))]


def schema_changes(stream: Stream) -> list[SchemaChange]:
    """Changes of columns that the stream's runs have met, the newest first: two queries."""
    newest = Run.objects.filter(stream=stream).order_by("-created_at")
    runs = list(newest.values("id", "created_at", "warnings", "error_class", "error_message")[:_SEARCHED_RUNS])
    events = RunEvent.objects.filter(run__stream=stream, level=EventLevel.INFO, message__startswith=ADDED)
    changes = [SchemaChange(at, run, message, is_refused=False) for at, run, message in _added(events)]
    for row in runs:
        changes += [
            SchemaChange(row["created_at"], row["id"], words, is_refused=False) for words in _told(row["warnings"])
        ]
        if row["error_class"] == _REFUSED:
            changes.append(SchemaChange(row["created_at"], row["id"], row["error_message"], is_refused=True))
    changes.sort(key=lambda change: change.at, reverse=True)
    return _without_repeats(changes)[:_MOST_CHANGES]


def added_sentence(columns: Iterable[str]) -> str:
    """What a run's log says of columns that the destination's table did not have."""
    return f"{ADDED}{', '.join(columns)}"


def _past(row: dict[str, Any]) -> PastRun:
    request = row.pop("request")
    began, ended = row["started_at"], row["finished_at"]
    seconds = (ended - began).total_seconds() if began is not None and ended is not None else None
    return PastRun(**row, seconds=seconds, is_backfill=bool(request))


def _added(events: Any) -> list[tuple[datetime, UUID, str]]:
    return list(events.order_by("-id").values_list("at", "run_id", "message")[:_MOST_CHANGES])


def _told(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if any(phrase in warning for phrase in _PHRASES)]


def _without_repeats(changes: Sequence[SchemaChange]) -> list[SchemaChange]:
    """A sentence that run after run says again is shown once, with the run that said it first."""
    first: dict[str, SchemaChange] = {}
    for change in changes:
        first[change.words] = change
    return sorted(first.values(), key=lambda change: change.at, reverse=True)
