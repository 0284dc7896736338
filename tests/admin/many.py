"""A large installation in seconds: streams with schedules, totals and a history of runs, by bulk insert.

The runs of ten streams are made here; the control database itself copies them to the other streams, each a little
earlier, so that 200,000 runs take seconds on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from connectors.mapping import unique_id
from migrations_app import mapping_io
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Checkpoint, Mapping, Run, RunProgress, Stream, StreamSchedule, StreamTotals
from tests.controlplane.builders import raw_mapping, raw_table

HOURLY = "* * * * * * 0 0"
LONG_MAPPING = "nightly-copy-of-everything-that-the-finance-department-of-the-northern-region-looks-at"
LONG_TABLE = "accounting_northern_region.ledger_entries_with_corrections_and_currency_conversions_since_the_merger"

_TEMPLATES = 10
#: Seconds by which the copies of a run differ, at most.
_SHIFTS = 97
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """How large it is to be.

    Attributes:
        runs: Finished ones of all streams together, evenly over the last `days`.
        running, queued: Streams that have such a run as well.
        failing, late, paused: Streams that are so.
    """

    streams: int = 1000
    runs: int = 200_000
    days: float = 13.0
    mappings: int = 20
    running: int = 12
    queued: int = 5
    failing: int = 40
    late: int = 30
    paused: int = 10


@transaction.atomic
def make_many(size: Size | None = None, now: datetime | None = None) -> list[Stream]:
    """Make mappings, streams and runs; the streams, in the order of their making.

    The first streams are running, the next queued, then failing, late and paused as many as `size` says; the others
    are on time.
    """
    size = size or Size()
    now = now or timezone.now()
    streams = _make_streams(size, now)
    per_stream = size.runs // max(1, len(streams))
    if per_stream:
        templates = [_history(stream, per_stream, size.days, now) for stream in streams[:_TEMPLATES]]
        Run.objects.bulk_create([run for runs in templates for run in runs], batch_size=_BATCH)
        _copy_runs(streams)
    _make_active(size, streams, now)
    StreamTotals.objects.bulk_create(
        [_totals(size, number, stream, now) for number, stream in enumerate(streams)], batch_size=_BATCH
    )
    StreamSchedule.objects.bulk_create(
        [_schedule(size, number, stream, now) for number, stream in enumerate(streams)], batch_size=_BATCH
    )
    Checkpoint.objects.bulk_create(
        [
            Checkpoint(stream=stream, position={"phase": "follow", "cursor": ["1000"]}, epoch=1, rows_total=1000)
            for stream in streams
        ],
        batch_size=_BATCH,
    )
    return streams


def _make_streams(size: Size, now: datetime) -> list[Stream]:
    first = mapping_io.save_mapping("many", mapping_io.parse(raw_mapping(tables=[raw_table(cron=HOURLY)])))
    first.streams.all().delete()
    named, spec = first.named_destinations.get(), first.tables.get()
    mappings = [first]
    for number in range(1, size.mappings):
        mapping = copy.copy(first)
        mapping.pk = LONG_MAPPING if number == 1 else f"many-{number:03}"
        mappings.append(mapping)
    Mapping.objects.bulk_create(mappings[1:])
    type(named).objects.bulk_create([_copied(named, mapping=mapping) for mapping in mappings[1:]])
    type(spec).objects.all().delete()
    names = [
        (mappings[number % len(mappings)], LONG_TABLE if number < size.mappings else f"sales.table_{number:04}")
        for number in range(size.streams)
    ]
    type(spec).objects.bulk_create(
        [_copied(spec, mapping=mapping, table_name=name, position=at) for at, (mapping, name) in enumerate(names)],
        batch_size=_BATCH,
    )
    Stream.objects.bulk_create(
        [
            Stream(
                unique_id=unique_id(mapping.pk, name, named.name),
                mapping=mapping,
                noun="table",
                name=name,
                destination_name=named.name,
            )
            for mapping, name in names
        ],
        batch_size=_BATCH,
    )
    Stream.objects.update(created_at=now - timedelta(days=90))
    return list(Stream.objects.select_related("mapping").order_by("pk"))


def _copied(row: Any, **changes: Any) -> Any:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    made = type(row)(**{name: value for name, value in values.items() if name != row._meta.pk.attname})
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _history(stream: Stream, count: int, days: float, now: datetime) -> list[Run]:
    step = timedelta(days=days) / count
    return [_run(stream, number, now - timedelta(minutes=5) - step * number) for number in range(count)]


def _run(stream: Stream, number: int, finished_at: datetime) -> Run:
    state = {19: RunState.FAILED, 39: RunState.STOPPED, 59: RunState.LOST}.get(number % 60, RunState.SUCCEEDED)
    took = timedelta(seconds=20 + number % 40)
    run = Run(
        stream=stream,
        trigger=TriggerKind.SCHEDULE,
        state=state,
        phase="follow",
        created_at=finished_at - took - timedelta(seconds=1),
        started_at=finished_at - took,
        heartbeat_at=finished_at,
        finished_at=finished_at,
        supervised=True,
        owner_host="alpha",
        plan={"mode": "syncing", "table": {"table_name": stream.name, "primary_key": "id", "bookmark": "updated_at"}},
        read=1000 + number,
        inserted=100 + number,
        updated=10,
        deleted=1,
        byte_count=1_000_000 + number,
    )
    if state == RunState.FAILED:
        run.error_class = "SourceUnavailable"
        run.error_message = run.reason = "source pgsql: the server does not answer; see that it is up"
    if state == RunState.STOPPED:
        run.stop_reason, run.reason = "operator", "an operator stopped it"
    return run


def _copy_runs(streams: list[Stream]) -> None:
    """Give every other stream the runs of a template, earlier by some seconds."""
    if len(streams) <= _TEMPLATES:
        return
    is_sqlite = connection.vendor == "sqlite"
    quote = connection.ops.quote_name
    fresh = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
    made_here = {"id": fresh, "trigger_id": fresh, "stream_id": "s.id"}
    columns = [(field, str(field.column)) for field in Run._meta.concrete_fields]
    values = [
        made_here.get(column) or _shifted(field, f"r.{quote(column)}", is_sqlite=is_sqlite) for field, column in columns
    ]
    first, last = streams[0].pk, streams[_TEMPLATES - 1].pk
    runs, kept = quote(Run._meta.db_table), quote(Stream._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {runs} ({', '.join(quote(column) for _, column in columns)})"
            f" SELECT {', '.join(values)} FROM {runs} r JOIN {kept} s"
            f" ON s.id > {last} AND (s.id - {first}) % {_TEMPLATES} = r.stream_id - {first}"
        )


def _shifted(field: models.Field[Any, Any], column: str, *, is_sqlite: bool) -> str:
    if not isinstance(field, models.DateTimeField):
        return column
    seconds = f"(s.id % {_SHIFTS})"
    if is_sqlite:
        return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-' || {seconds} || ' seconds')"
    return f"{column} - {seconds} * interval '1 second'"


def _make_active(size: Size, streams: list[Stream], now: datetime) -> None:
    running = [
        Run(
            stream=stream,
            trigger=TriggerKind.SCHEDULE,
            state=RunState.RUNNING,
            phase="copy" if number % 2 else "follow",
            created_at=now - timedelta(minutes=3, seconds=number),
            started_at=now - timedelta(minutes=2, seconds=number),
            heartbeat_at=now,
            lease_until=now + timedelta(minutes=1),
            supervised=True,
            owner_host="alpha",
            read=100_000 * number,
            inserted=100_000 * number,
            rows_expected=2_000_000 if number % 2 else None,
        )
        for number, stream in enumerate(streams[: size.running], start=1)
    ]
    queued = [
        Run(
            stream=stream,
            trigger=TriggerKind.SCHEDULE,
            state=RunState.QUEUED,
            created_at=now - timedelta(seconds=30 + number),
        )
        for number, stream in enumerate(streams[size.running : size.running + size.queued])
    ]
    Run.objects.bulk_create([*running, *queued])
    RunProgress.objects.bulk_create(
        [RunProgress(run=run, at=now, rows_before=0, rows_per_s=run.read / 120) for run in running]
    )


def _place(size: Size, number: int) -> str:
    for word in ("running", "queued", "failing", "late", "paused"):
        count: int = getattr(size, word)
        if number < count:
            return word
        number -= count
    return "on time"


def _totals(size: Size, number: int, stream: Stream, now: datetime) -> StreamTotals:
    place = _place(size, number)
    age = timedelta(minutes=5 + number % 50)
    is_behind = place in {"failing", "late"}
    state = {"failing": RunState.FAILED, "late": RunState.STOPPED}.get(place, RunState.SUCCEEDED)
    return StreamTotals(
        stream=stream,
        succeeded=180,
        failed=10,
        stopped=5,
        lost=5,
        read=200_000,
        inserted=30_000,
        byte_count=2_000_000_000,
        seconds=8_000.0,
        failures_in_row=1 + number % 5 if place == "failing" else 0,
        last_state=state,
        last_seconds=30.0,
        last_finished_at=now - age,
        last_success_at=now - age - (timedelta(days=1) if is_behind else timedelta()),
    )


def _schedule(size: Size, number: int, stream: Stream, now: datetime) -> StreamSchedule:
    place = _place(size, number)
    if place == "paused":
        Stream.objects.filter(pk=stream.pk).update(paused=True)
        return StreamSchedule(stream=stream)
    return StreamSchedule(
        stream=stream,
        cron=HOURLY,
        timezone="Asia/Kolkata",
        last_due_at=now - timedelta(minutes=58 if place not in {"running", "queued"} else 3),
        next_due_at=now + timedelta(seconds=60 + number),
    )
