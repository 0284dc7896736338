"""What runs came to, by the hour and by the day of the settings' time zone: the figures behind the charts.

Each slot and outcome is one range of the index `run_history`, and all of them together are one query. Of one mapping,
each slot and stream is one range of `run_stream_history`. That is right at any moment, keeps nothing that could go
stale, and reads 200,000 runs faster than a page is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from migrations_app.enums import RunState
from migrations_app.models import Run, Stream

#: How a run can end, as charts stack it: what is well at the bottom.
OUTCOMES = (RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED, RunState.LOST)


@dataclass(slots=True)
class Slot:
    """An hour or a day, and the runs that ended in it.

    Attributes:
        begin: In the time zone of the slots, inclusive.
        end: Exclusive.
        runs: By outcome.
        rows: Written, whatever became of the run: a commit stays.
        byte_count: Moved; of all mappings alone.
        longest_s: How long the longest of them took; of one mapping alone.
    """

    begin: datetime
    end: datetime
    runs: dict[RunState, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    rows: int = 0
    byte_count: int = 0
    longest_s: float = 0.0

    @property
    def total(self) -> int:
        """Runs of any outcome."""
        return sum(self.runs.values())


def hours(zone: ZoneInfo, now: datetime, count: int = 24) -> list[Slot]:
    """The last hours with the one under way, as clocks in that zone show them; the earliest first."""
    # Back in UTC: on a day on which clocks are put back, an hour has two turns.
    first = now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    return _slots(zone, [first - timedelta(hours=count - 1 - number) for number in range(count + 1)])


def days(zone: ZoneInfo, now: datetime, count: int = 14) -> list[Slot]:
    """The last days with today, from midnight to midnight in that zone; the earliest first."""
    first = now.astimezone(zone).date() - timedelta(days=count - 1)
    return _slots(zone, [_midnight(first + timedelta(days=number), zone) for number in range(count + 1)])


def fill(slots: Sequence[Slot]) -> None:
    """Count the runs of all the slots by one query."""
    if not slots:
        return
    params: list[Any] = []
    for slot in slots:
        for outcome in OUTCOMES:
            params += [outcome.value, _moment(slot.begin), _moment(slot.end)]
    terms = (_term(number, place) for number in range(len(slots)) for place in range(len(OUTCOMES)))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(terms), params)
        for number, place, runs, rows, byte_count in cursor.fetchall():
            slot = slots[number]
            slot.runs[OUTCOMES[place]] = runs
            slot.rows += int(rows or 0)
            slot.byte_count += int(byte_count or 0)


def fill_of_mapping(slots: Sequence[Slot], mapping_id: str) -> None:
    """Count the runs of a mapping's streams in all the slots by one query."""
    if not slots:
        return
    params: list[Any] = []
    for slot in slots:
        params += [mapping_id, _moment(slot.begin), _moment(slot.end)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(map(_term_of_mapping, range(len(slots)))), params)
        for number, state, runs, rows, longest_s in cursor.fetchall():
            slot = slots[number]
            slot.runs[RunState(state)] = runs
            slot.rows += int(rows or 0)
            slot.longest_s = max(slot.longest_s, float(longest_s or 0.0))


def _slots(zone: ZoneInfo, bounds: Sequence[datetime]) -> list[Slot]:
    local = [moment.astimezone(zone) for moment in bounds]
    return [Slot(begin, end) for begin, end in pairwise(local)]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins; also where clocks are put forward at midnight."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _moment(moment: datetime) -> Any:
    """As the control database writes times."""
    return connection.ops.adapt_datetimefield_value(moment.astimezone(UTC))


def _term(slot: int, place: int) -> str:
    columns = {name: connection.ops.quote_name(name) for name in ("state", "finished_at", "byte_count")}
    rows = " + ".join(connection.ops.quote_name(name) for name in ("inserted", "updated", "deleted"))
    # Names of our own models and numbers counted here; every value is bound.
    return (
        f"SELECT {slot}, {place}, COUNT(*), SUM({rows}), SUM({columns['byte_count']})"  # noqa: S608 - see above
        f" FROM {connection.ops.quote_name(Run._meta.db_table)} WHERE {columns['state']} = %s"
        f" AND {columns['finished_at']} >= %s AND {columns['finished_at']} < %s"
    )


def _term_of_mapping(slot: int) -> str:
    quote = connection.ops.quote_name
    began, ended = quote("started_at"), quote("finished_at")
    took = (
        f"EXTRACT(EPOCH FROM MAX({ended} - {began}))"
        if connection.vendor == "postgresql"
        else f"86400 * MAX(julianday({ended}) - julianday({began}))"
    )
    rows = " + ".join(map(quote, ("inserted", "updated", "deleted")))
    streams = f"SELECT {quote('id')} FROM {quote(Stream._meta.db_table)} WHERE {quote('mapping_id')} = %s"  # noqa: S608 - as above
    return (
        f"SELECT {slot}, {quote('state')}, COUNT(*), SUM({rows}), {took}"  # noqa: S608 - as above
        f" FROM {quote(Run._meta.db_table)} WHERE {quote('stream_id')} IN ({streams})"
        f" AND {ended} >= %s AND {ended} < %s GROUP BY {quote('state')}"
    )
