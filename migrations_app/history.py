"""What a stream has done: its last runs for strips and charts, and what became of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from migrations_app.error_guide import guide_of
from migrations_app.models import Run, Stream

#: How many runs strips and charts show.
SHOWN_RUNS = 50
#: How far back changes of columns are looked for, in runs.
_SEARCHED_RUNS = 500
_MOST_CHANGES = 20
#: What connectors say of changes that no column of their own stands for; tests run real changes and find them by these.
_PHRASES = ("the source has no column ", "got a new label")
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
    def cause(self) -> str:
        """What its class of error means, for those who may not see its message; empty for other ends."""
        return guide_of(self.error_class).cause if self.error_class else ""

    @property
    def rows(self) -> int:
        """Rows that it changed at the destination."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Columns that are not what they were, as one run has met them.

    Attributes:
        words: The columns and what became of them; an error's own words can name a key.
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
    """Changes of columns that the stream's runs have met, the newest first: one query."""
    newest = Run.objects.filter(stream=stream).order_by("-created_at")
    columns = ("id", "created_at", "warnings", "error_class", "error_message", "progress__altered")
    changes: dict[str, SchemaChange] = {}
    for row in newest.values(*columns)[:_SEARCHED_RUNS]:
        at, run_id = row["created_at"], row["id"]
        is_refused = row["error_class"] == _REFUSED
        said = [*_altered(row["progress__altered"]), *_told(row["warnings"])]
        said += [row["error_message"]] if is_refused else []
        # What run after run says again is shown once, with the run that said it first.
        changes |= {words: SchemaChange(at, run_id, words, is_refused=is_refused) for words in said}
    return sorted(changes.values(), key=lambda change: change.at, reverse=True)[:_MOST_CHANGES]


def _past(row: dict[str, Any]) -> PastRun:
    request = row.pop("request")
    began, ended = row["started_at"], row["finished_at"]
    seconds = (ended - began).total_seconds() if began is not None and ended is not None else None
    return PastRun(**row, seconds=seconds, is_backfill=bool(request))


def _altered(columns: dict[str, str] | None) -> list[str]:
    return [", ".join(f"{name} ({words})" for name, words in sorted(columns.items()))] if columns else []


def _told(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if any(phrase in warning for phrase in _PHRASES)]
