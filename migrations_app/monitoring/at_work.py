"""What runs at this moment, and how far it is: two queries for any number of runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F

from migrations_app import live
from migrations_app.enums import ACTIVE_STATES, RunState
from migrations_app.live import how_far
from migrations_app.models import Run


@dataclass(frozen=True, slots=True)
class Working:
    """A run under way.

    Attributes:
        run, stream, unique_id: Its id, its stream's primary key and id.
        doing: The phase in words.
        seconds: Since it began.
        rows: Read so far, of those that are committed.
        rows_per_s: Over the last commits; None before there is one.
        percent: Of the rows of a backfill, or of a first copy, those that earlier runs brought included; None where
            that is not known.
        left_s: How long the rest takes at this rate; None where that is not known.
        is_stopping: Somebody asked it to stop.
    """

    run: uuid.UUID
    stream: int
    unique_id: str
    doing: str
    seconds: float
    rows: int
    rows_per_s: float | None
    percent: int | None
    left_s: float | None
    is_stopping: bool


@dataclass(frozen=True, slots=True)
class AtWork:
    """The first of the runs under way, and how many there are.

    Attributes:
        runs: Those that began first at the front.
        running, queued: How many there are.
    """

    runs: list[Working]
    running: int
    queued: int

    @property
    def is_idle(self) -> bool:
        """True when nothing runs, and nothing is about to."""
        return not self.running and not self.queued


def look(now: datetime, limit: int = 20) -> AtWork:
    """See what runs.

    Args:
        now: The moment that times are counted to.
        limit: How many runs to describe.
    """
    rows: Any = Run.objects.filter(state__in=ACTIVE_STATES).order_by().values_list("state").annotate(n=Count("pk"))
    counts = dict(rows)
    found: Any = Run.objects.filter(state=RunState.RUNNING).select_related("stream").order_by("started_at", "pk")
    found = found.annotate(rows_before=F("progress__rows_before"), rate=F("progress__rows_per_s"))
    return AtWork(
        runs=[_working(run, now) for run in found[:limit]],
        running=counts.get(RunState.RUNNING, 0),
        queued=counts.get(RunState.QUEUED, 0),
    )


def _working(run: Any, now: datetime) -> Working:
    seconds = max(0.0, (now - (run.started_at or run.created_at)).total_seconds())
    done = None if run.rows_before is None else run.rows_before + run.read
    far = how_far(run.phase, done, run.rows_expected, run.rate)
    return Working(
        run=run.pk,
        stream=run.stream_id,
        unique_id=run.stream.unique_id,
        doing="stopping at its last commit" if run.stop_requested else live.doing(run),
        seconds=seconds,
        rows=run.read,
        rows_per_s=run.rate,
        percent=far.percent,
        left_s=far.seconds_left,
        is_stopping=run.stop_requested,
    )
