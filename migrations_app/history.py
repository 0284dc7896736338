"""What a stream or a mapping has done: the last runs for strips and charts, and what became of columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from migrations_app.enums import TriggerKind
from migrations_app.error_guide import guide_of
from migrations_app.models import ColumnChange, Mapping, Run, Stream

#: How many runs strips and charts show.
SHOWN_RUNS = 50
#: How far back changes of columns are looked for, in runs.
SEARCHED_RUNS = 500
_MOST_CHANGES = 20
#: What connectors say of changes that no column of their own stands for; tests run real changes and find them by these.
_PHRASES = ("the source has no column ", "got a new label")
_REFUSED = "SchemaMismatch"
#: Of the streams of a mapping together, and of each of them at least.
_SEARCHED_OF_MAPPING = 2000
_SEARCHED_EACH = 5
_CHANGE_COLUMNS = ("id", "stream_id", "created_at", "warnings", "error_class", "error_message", "progress__altered")
# Names of our own tables; every value is bound.
_STREAMS = (
    "(SELECT s.id, (SELECT n.created_at FROM migrations_app_run n WHERE n.stream_id = s.id"
    " ORDER BY n.created_at DESC LIMIT 1) AS newest FROM migrations_app_stream s WHERE s.mapping_id = %s"
    " ORDER BY newest DESC NULLS LAST LIMIT %s) AS last"
)
_OF_ONE = (
    "SELECT o.id FROM migrations_app_run o WHERE o.stream_id = last.id AND last.newest IS NOT NULL"
    " ORDER BY o.created_at DESC LIMIT %s"
)
_IN_ORDER = "{where} ORDER BY r.created_at DESC, r.id DESC LIMIT %s"
_PROGRESS = "LEFT JOIN migrations_app_runprogress p ON p.run_id = r.id"
#: SQLite has no LATERAL, and PostgreSQL would try each run against each stream.
_CORRELATED = (
    f"SELECT r.id FROM {_STREAMS} CROSS JOIN migrations_app_run r {_PROGRESS}"  # noqa: S608 - see above
    f" WHERE r.id IN ({_OF_ONE}) {_IN_ORDER}"
)
_LATERAL = (
    f"SELECT r.id FROM {_STREAMS} CROSS JOIN LATERAL ({_OF_ONE}) AS o"  # noqa: S608 - see above
    f" JOIN migrations_app_run r ON r.id = o.id {_PROGRESS} WHERE TRUE {_IN_ORDER}"
)
#: Most runs have neither changed columns nor warnings, and their JSON need not be read.
_MAY_TELL = f"AND (r.error_class = '{_REFUSED}' OR r.warnings <> '[]' OR p.altered <> '{{}}')"


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run, as strips and charts show it.

    Attributes:
        seconds: How long it took; None before it has ended.
        stream_name: Of which stream, where there are several; empty else.
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
    stream_name: str = ""

    @property
    def cause(self) -> str:
        """What its class of error means, for those who may not see its message; empty for other ends."""
        return guide_of(self.error_class).cause if self.error_class else ""

    @property
    def is_backfill(self) -> bool:
        """Whether it read a range again, and not what was due."""
        return self.trigger == TriggerKind.BACKFILL

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
        stream_id: Of which stream.
        mark: Tells it from others of the stream.
        stream_name: Of which stream, where there are several; empty else.
        pk: Of its row, by which it is marked as seen; None for one that was met before there were such rows.
        seen_at, seen_by: When somebody has marked it, and who.
    """

    at: datetime
    run_id: UUID
    words: str
    is_refused: bool
    stream_id: int
    mark: str
    stream_name: str = ""
    pk: int | None = None
    seen_at: datetime | None = None
    seen_by: str = ""

    @property
    def is_unseen(self) -> bool:
        """Whether nobody has marked it yet."""
        return self.pk is not None and self.seen_at is None

    @property
    def stream(self) -> Stream:
        """As far as an address needs it."""
        return Stream(pk=self.stream_id)


@dataclass(frozen=True, slots=True)
class Told:
    """What one run says of columns: one change."""

    words: str
    is_refused: bool
    mark: str


_COLUMNS = (
    *("id", "state", "trigger", "created_at", "started_at", "finished_at"),
    *("read", "inserted", "updated", "deleted", "byte_count", "reason", "error_class"),
)


def last_runs(stream: Stream, count: int = SHOWN_RUNS) -> list[PastRun]:
    """The stream's last runs, the oldest first: one query."""
    found = Run.objects.filter(stream=stream).order_by("-created_at")[:count]
    return [_past(row) for row in reversed(list(found.values(*_COLUMNS)))]


def last_runs_of(mapping: Mapping, count: int = SHOWN_RUNS) -> list[PastRun]:
    """The last runs of all streams of a mapping, the oldest first: two queries, however many streams and runs."""
    # The newest of all are among the newest of those streams that have run last.
    ids = _newest_of_each(mapping, streams=count, runs=count, most=count)
    found = Run.objects.filter(pk__in=ids).order_by("-created_at", "-pk").values(*_COLUMNS, "stream__name")
    return [_past(row | {"stream_name": row.pop("stream__name")}) for row in reversed(list(found))]


def schema_changes(stream: Stream) -> list[SchemaChange]:
    """Changes of columns that the stream's runs have met, the newest first: three queries.

    Those that nobody has seen are among them, however long ago they were met.
    """
    newest = Run.objects.filter(stream=stream).order_by("-created_at")
    found = _changes(newest.values(*_CHANGE_COLUMNS)[:SEARCHED_RUNS])
    known = {change.mark for change in found}
    unseen = ColumnChange.objects.filter(stream=stream, seen_at=None).exclude(mark__in=known)
    older = [
        SchemaChange(row.at, row.run_id, row.words, row.is_refused, row.stream_id, row.mark, pk=row.pk)
        for row in unseen[:_MOST_CHANGES]
    ]
    return sorted([*found, *older], key=lambda change: change.at, reverse=True)


def changes_of_run(run: Run) -> list[SchemaChange]:
    """Changes of columns that a run was the first to meet: one query."""
    return [
        SchemaChange(
            row.at,
            row.run_id,
            row.words,
            row.is_refused,
            row.stream_id,
            row.mark,
            pk=row.pk,
            seen_at=row.seen_at,
            seen_by=row.seen_by,
        )
        for row in ColumnChange.objects.filter(run=run)
    ]


def told_by(
    run_id: UUID, altered: dict[str, str] | None, warnings: Sequence[str], error_class: str, error_message: str
) -> list[Told]:
    """What a run says of columns.

    Args:
        run_id: Which run: what it did to columns is a change of its own, although another did the same before.
        altered: What became of columns, by name.
        warnings: All of its warnings.
        error_class: Of its error; empty without one.
        error_message: The same.
    """
    told = [Told(words, False, _mark(f"{run_id}: {words}")) for words in _altered(altered)]
    told += [Told(words, False, _mark(words)) for words in _warned(warnings)]
    if error_class == _REFUSED:
        told.append(Told(error_message, True, _mark(error_message)))
    return told


def schema_changes_of(mapping: Mapping, streams: int) -> tuple[list[SchemaChange], int]:
    """Changes of columns that the last runs of a mapping's streams have met, the newest first: three queries.

    Args:
        mapping: Which mapping.
        streams: How many it has: of many streams fewer runs of each are looked through.

    Returns:
        The changes, and how many runs of each stream were looked through.
    """
    searched = max(_SEARCHED_EACH, min(SEARCHED_RUNS, _SEARCHED_OF_MAPPING // max(1, streams)))
    ids = _newest_of_each(mapping, streams=streams, runs=searched, most=SEARCHED_RUNS, where=_MAY_TELL)
    rows = Run.objects.filter(pk__in=ids).order_by("-created_at", "-pk").values(*_CHANGE_COLUMNS, "stream__name")
    return _changes(rows), searched


def _newest_of_each(mapping: Mapping, *, streams: int, runs: int, most: int, where: str = "") -> list[Any]:
    """Ids of the newest runs of those streams of a mapping that have run last, the newest first.

    Each stream's runs are read from the end of the index `run_of_stream`: a window function, or an order over all runs
    of the mapping, would read every run that it ever had.

    Args:
        mapping: Which mapping.
        streams: Of how many streams at most.
        runs: How many of each at most.
        most: How many of all.
        where: Only those of them of which this holds, in SQL, with the run as `r`.
    """
    of_each = _LATERAL if connection.vendor == "postgresql" else _CORRELATED
    with connection.cursor() as cursor:
        cursor.execute(of_each.format(where=where), [mapping.pk, streams, runs, most])
        return [row[0] for row in cursor.fetchall()]


def _changes(rows: Iterable[dict[str, Any]]) -> list[SchemaChange]:
    changes: dict[tuple[int, str], SchemaChange] = {}
    for row in rows:
        told = told_by(row["id"], row["progress__altered"], row["warnings"], row["error_class"], row["error_message"])
        name = row.get("stream__name", "")
        # What run after run says again is shown once, with the run that said it first.
        changes |= {
            (row["stream_id"], each.mark): SchemaChange(
                row["created_at"], row["id"], each.words, each.is_refused, row["stream_id"], each.mark, name
            )
            for each in told
        }
    newest = sorted(changes.values(), key=lambda change: change.at, reverse=True)[:_MOST_CHANGES]
    return _with_sight(newest)


def _with_sight(changes: list[SchemaChange]) -> list[SchemaChange]:
    """The changes with who has seen them, and when: one query, and none without changes."""
    if not changes:
        return []
    rows = ColumnChange.objects.filter(
        stream__in={change.stream_id for change in changes}, mark__in={change.mark for change in changes}
    )
    known = {(row.stream_id, row.mark): row for row in rows}
    return [
        replace(change, pk=row.pk, seen_at=row.seen_at, seen_by=row.seen_by)
        if (row := known.get((change.stream_id, change.mark))) is not None
        else change
        for change in changes
    ]


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _past(row: dict[str, Any]) -> PastRun:
    began, ended = row["started_at"], row["finished_at"]
    seconds = (ended - began).total_seconds() if began is not None and ended is not None else None
    return PastRun(**row, seconds=seconds)


def _altered(columns: dict[str, str] | None) -> list[str]:
    return [", ".join(f"{name} ({words})" for name, words in sorted(columns.items()))] if columns else []


def _warned(warnings: Sequence[str]) -> list[str]:
    return [warning for warning in warnings if any(phrase in warning for phrase in _PHRASES)]
