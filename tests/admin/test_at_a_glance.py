"""Freshness, what runs now and what comes next: right, in order, and by as many queries for ten streams as for many."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app.enums import RunState
from migrations_app.models import Checkpoint, Run, RunProgress, Stream, StreamSchedule, StreamTotals
from migrations_app.monitoring import ahead, at_work, freshness
from migrations_app.standing.judging import Standing
from tests.admin.many import Size, make_many
from tests.controlplane.builders import make_run, make_stream
from tests.scheduling.builders import turn_on

pytestmark = pytest.mark.django_db


def totals(stream: Stream, **fields: Any) -> None:
    StreamTotals.objects.update_or_create(stream=stream, defaults=fields)


def test_streams_are_sorted_by_standing_and_the_stalest_come_first() -> None:
    now = timezone.now()
    fresh, stale, failing, longer, late, never, gone = (make_stream(name) for name in "abcdefg")
    turn_on()
    for stream, hours in ((fresh, 1), (stale, 30)):
        totals(stream, last_state=RunState.SUCCEEDED, last_success_at=now - timedelta(hours=hours))
    for stream, hours in ((failing, 2), (longer, 9)):
        totals(stream, last_state=RunState.FAILED, failures_in_row=3, last_success_at=now - timedelta(hours=hours))
    StreamSchedule.objects.create(stream=late, cron="* * * * * * 0 0", next_due_at=now - timedelta(minutes=10))
    Stream.objects.filter(pk=gone.pk).update(active=False)

    found = freshness.look(now)

    assert {standing: [each.pk for each in ages] for standing, ages in found.wanting.items()} == {
        Standing.FAILING: [longer.pk, failing.pk],
        Standing.LATE: [late.pk],
    }
    assert [each.pk for each in found.others] == [never.pk, stale.pk, fresh.pk]
    assert found.counts == {Standing.FAILING: 2, Standing.LATE: 1, Standing.NEVER_RUN: 1, Standing.ON_TIME: 2}
    assert found.total == 6
    (said,) = [each.verdict.reason for each in found.wanting[Standing.LATE]]
    assert "10 min" in said


def test_paused_streams_are_counted_and_not_listed_as_stale() -> None:
    make_stream()
    Stream.objects.update(paused=True)

    found = freshness.look(timezone.now())

    assert (found.others, found.wanting, found.counts) == ([], {}, {Standing.PAUSED: 1})


def test_oldest_data_is_of_the_stream_whose_place_is_the_earliest() -> None:
    now = timezone.now()

    def place(name: str, **position: Any) -> Stream:
        stream = make_stream(name)
        Checkpoint.objects.create(stream=stream, position=position, epoch=1)
        return stream

    assert freshness.look(now).oldest is None
    place("recent", phase="follow", watermark="2026-11-28T11:00:00+00:00")
    # In UTC it is the earlier one.
    old = place("old", phase="follow", watermark="2026-11-28T15:00:00+05:30")
    place("dumped", phase="follow", snapshot="2026-11-28T10:00:00+00:00")
    place("unfinished", phase="copy", watermark="2026-11-01T00:00:00+00:00")
    place("by_key", phase="follow", safe_key="5")
    place("unreadable", phase="follow", watermark="yesterday")
    Stream.objects.filter(pk=place("paused", phase="follow", watermark="2020-01-01T00:00:00Z").pk).update(paused=True)

    found = freshness.look(now).oldest

    assert found is not None
    assert (found.pk, found.at.isoformat()) == (old.pk, "2026-11-28T15:00:00+05:30")


def test_lists_are_cut_and_counts_are_not() -> None:
    make_many(Size(streams=60, runs=0, running=0, queued=0, failing=25, late=0, paused=3))

    found = freshness.look(timezone.now(), limit=20)

    assert len(found.wanting[Standing.FAILING]) == 20
    assert found.counts[Standing.FAILING] == 25
    assert (len(found.others), found.others_count) == (20, 32)


def test_run_tells_rate_share_and_rest_where_they_are_known() -> None:
    now = timezone.now()

    def running(name: str, seconds: int, progress: dict[str, Any] | None, **fields: Any) -> Run:
        run = make_run(make_stream(name), started_at=now - timedelta(seconds=seconds), **fields)
        if progress is not None:
            RunProgress.objects.create(run=run, at=now, **progress)
        return run

    at_ten = {"rows_before": 0, "rows_per_s": 10.0}
    known = running("a", 100, at_ten, phase="copy", read=1000, rows_expected=4000)
    running("b", 90, at_ten | {"rows_before": 1000}, phase="copy", read=1000, rows_expected=4000)
    running("c", 80, at_ten, phase="follow", read=500, rows_expected=4000)
    running("d", 70, at_ten, phase="copy", read=5000, rows_expected=4000)
    running("e", 60, None, phase="copy", read=10, rows_expected=4000)
    running("f", 50, None, phase="", stop_requested=True)
    make_run(make_stream("g"), state=RunState.QUEUED, started_at=None)

    found = at_work.look(now)

    first, resumed, following, past, silent, stopping = found.runs
    assert (first.run, first.doing, first.rows_per_s, first.percent) == (known.pk, "first copy", 10.0, 25)
    assert first.left_s == pytest.approx(300)
    assert [resumed.percent, resumed.left_s] == [50, pytest.approx(200)], "what earlier runs copied counts"
    assert (following.rows_per_s, following.percent, following.left_s) == (10.0, None, None)
    assert (past.percent, past.left_s) == (99, None), "an estimate that was passed promises nothing"
    assert (silent.percent, silent.rows_per_s) == (None, None)
    assert (stopping.doing, stopping.is_stopping) == ("stopping at its last commit", True)
    assert (found.running, found.queued, found.is_idle) == (6, 1, False)


def test_nothing_at_work_is_idle() -> None:
    make_run(state=RunState.SUCCEEDED, finished_at=timezone.now())

    found = at_work.look(timezone.now())

    assert (found.runs, found.is_idle) == ([], True)


def test_what_is_due_first_comes_first() -> None:
    now = timezone.now()
    streams = [make_stream(name) for name in "abcd"]
    for stream, minutes in zip(streams, (30, 5, -1, None), strict=True):
        due = None if minutes is None else now + timedelta(minutes=minutes)
        StreamSchedule.objects.create(stream=stream, next_due_at=due)

    assert [each.unique_id[0] for each in ahead.look(now)] == ["b", "a"]
    assert [each.unique_id[0] for each in ahead.look(now, limit=1)] == ["b"]


@pytest.mark.parametrize("streams", [10, 1000])
def test_queries_do_not_grow_with_streams(streams: int) -> None:
    tenth = streams // 10
    make_many(Size(streams=streams, runs=streams, running=tenth, queued=tenth, failing=tenth, late=tenth, paused=tenth))
    assert Run.objects.filter(state=RunState.RUNNING).count() == tenth
    counts = []

    for look in (freshness.look, at_work.look, ahead.look):
        with CaptureQueriesContext(connection) as captured:
            look(timezone.now())
        counts.append(len(captured))

    assert counts == [6, 2, 1]
