"""What the control database holds of streams becomes the facts that the rules judge."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.base import RunReport
from connectors.errors import SourceUnavailable
from migrations_app import runs
from migrations_app.enums import RunState, StopReason, TriggerKind
from migrations_app.error_guide import guide_of
from migrations_app.models import Mapping, Run, ServiceSettings, Stream, StreamSchedule, StreamTotals
from migrations_app.standing.gathering import verdict, verdicts
from migrations_app.standing.judging import Standing
from tests.controlplane.builders import make_run, make_stream

pytestmark = pytest.mark.django_db


def claimed(stream: Stream, trigger: TriggerKind = TriggerKind.CLI) -> Run:
    run = runs.queue(stream, trigger=trigger)
    assert runs.claim(run)
    return run


def test_stream_goes_from_never_run_to_on_time() -> None:
    stream = make_stream()
    assert verdict(stream).standing is Standing.NEVER_RUN

    run = runs.queue(stream, trigger=TriggerKind.CLI)
    assert verdict(stream).standing is Standing.QUEUED
    runs.claim(run)
    assert verdict(stream).standing is Standing.RUNNING
    runs.succeed(run, RunReport())
    assert verdict(stream).standing is Standing.ON_TIME


def test_failing_stream_quotes_its_newest_run_apart_from_what_everybody_may_see() -> None:
    stream = make_stream()
    for message in ("the first message, row 4711", "the second message, row 4712"):
        runs.fail(claimed(stream), SourceUnavailable("away", connector="c", stream="s"), message, RunReport())

    found = verdict(stream)

    assert found.standing is Standing.FAILING
    assert "2 runs failed in a row" in found.reason
    assert guide_of("SourceUnavailable").cause in found.reason
    assert guide_of("SourceUnavailable").remedy in found.remedy
    assert "471" not in found.reason + found.remedy
    assert found.quote == "the second message, row 4712"


def test_outcome_of_a_backfill_is_not_that_of_the_stream() -> None:
    stream = make_stream()
    error = SourceUnavailable("away", connector="c", stream="s")
    runs.succeed(claimed(stream), RunReport())
    before = StreamTotals.objects.get()

    runs.fail(claimed(stream, TriggerKind.BACKFILL), error, "the backfill's message", RunReport())

    assert verdict(stream).standing is Standing.ON_TIME
    after = StreamTotals.objects.get()
    assert (after.failed, after.failures_in_row, after.last_finished_at) == (1, 0, before.last_finished_at)

    runs.fail(claimed(stream), error, "the stream's message", RunReport())
    runs.succeed(claimed(stream, TriggerKind.BACKFILL), RunReport())

    found = verdict(stream)
    assert found.standing is Standing.FAILING
    assert found.quote == "the stream's message"
    assert StreamTotals.objects.get().failures_in_row == 1


def test_stopped_stream_says_who_stopped_it() -> None:
    stream = make_stream()
    runs.stop(claimed(stream), StopReason.OPERATOR, "an operator stopped it", RunReport())

    assert "An operator stopped it." in verdict(stream).reason


def test_what_is_paused_disabled_or_gone_says_so() -> None:
    stream = make_stream()
    Stream.objects.update(paused=True)
    assert verdict(stream).standing is Standing.PAUSED
    Mapping.objects.update(enabled=False)
    assert verdict(stream).standing is Standing.DISABLED
    Stream.objects.update(active=False)
    assert verdict(stream).standing is Standing.GONE


def test_stream_whose_due_time_has_passed_is_late_while_schedules_are_kept() -> None:
    stream = make_stream()
    StreamSchedule.objects.create(
        stream=stream, cron="* * * * * * * 0", next_due_at=timezone.now() - timedelta(minutes=10)
    )
    assert verdict(stream).standing is Standing.NEVER_RUN

    ServiceSettings.objects.create(fastapi_server=True)

    assert verdict(stream).standing is Standing.LATE


@pytest.mark.parametrize("count", [10, 1000])
def test_number_of_queries_does_not_grow_with_the_streams(count: int) -> None:
    mapping = make_stream().mapping
    Stream.objects.bulk_create(
        Stream(unique_id=f"shop_DMS_{n}_lake", mapping=mapping, noun="table", name=str(n), destination_name="lake")
        for n in range(count)
    )
    streams = list(Stream.objects.all())
    StreamTotals.objects.bulk_create(StreamTotals(stream=each, last_state=RunState.FAILED) for each in streams)
    for each in streams[:5]:
        make_run(each)

    with CaptureQueriesContext(connection) as seen:
        found = verdicts(Stream.objects.all())

    assert len(found) == count + 1
    assert len(seen) == 4
