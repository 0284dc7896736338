"""Metrics are what Prometheus' own parser reads, are right, and cost the same for ten and for a thousand streams."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from migrations_app import mirror, runs, totals
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Heartbeat, Run, Stream, StreamTotals
from migrations_app.monitoring import metrics, picture
from migrations_app.monitoring.exposition import Metric, text_of
from tests.controlplane.builders import make_run, make_stream

pytestmark = pytest.mark.django_db

Sample = tuple[str, tuple[tuple[str, str], ...]]


def read(text: str) -> dict[Sample, float]:
    """The samples of a text, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: dict[Sample, float], name: str, **labels: str) -> float:
    (found,) = [value for (each, had), value in samples.items() if each == name and labels.items() <= dict(had).items()]
    return found


def finished(stream: Stream, state: RunState, ago: timedelta, **fields: Any) -> Run:
    end = timezone.now() - ago
    run = make_run(stream, state=state, started_at=end - timedelta(seconds=30), finished_at=end, **fields)
    totals.count(run)
    return run


def test_streams_tell_totals_and_freshness() -> None:
    stream = make_stream()
    finished(stream, RunState.SUCCEEDED, timedelta(hours=2), read=10, inserted=8, updated=2, byte_count=1000)
    finished(stream, RunState.SUCCEEDED, timedelta(hours=1), read=5, inserted=5, byte_count=500)
    finished(stream, RunState.FAILED, timedelta(minutes=30))

    samples = read(metrics.exposition())

    labels = {"mapping": "shop", "stream": "shop_DMS_orders_warehouse"}
    assert of(samples, "dms_stream_runs_total", **labels, state="succeeded") == 2
    assert of(samples, "dms_stream_runs_total", **labels, state="failed") == 1
    assert of(samples, "dms_stream_rows_total", **labels, action="inserted") == 13
    assert of(samples, "dms_stream_bytes_total", **labels) == 1500
    assert of(samples, "dms_stream_run_seconds_total", **labels) == pytest.approx(90, abs=1)
    assert of(samples, "dms_stream_last_run_seconds", **labels) == pytest.approx(30, abs=1)
    assert of(samples, "dms_stream_failures_in_row", **labels) == 1
    assert of(samples, "dms_stream_freshness_seconds", **labels) == pytest.approx(3600, abs=10)


def test_stream_that_never_succeeded_gets_older_and_one_that_left_is_gone() -> None:
    stream = make_stream()
    Stream.objects.update(created_at=timezone.now() - timedelta(days=1))

    samples = read(metrics.exposition())

    assert of(samples, "dms_stream_freshness_seconds") == pytest.approx(86400, abs=10)
    assert of(samples, "dms_stream_last_success_timestamp_seconds") == 0
    assert of(samples, "dms_stream_runs_total", state="succeeded") == 0
    Stream.objects.filter(pk=stream.pk).update(active=False)
    assert not [name for name, _ in read(metrics.exposition()) if name.startswith("dms_stream")]


def test_service_tells_queue_leases_outbox_tick_and_workers() -> None:
    now = timezone.now()
    queued = make_run(make_stream("a"), state=RunState.QUEUED)
    Run.objects.filter(pk=queued.pk).update(created_at=now - timedelta(seconds=90))
    make_run(
        make_stream("b"),
        heartbeat_at=now - timedelta(seconds=20),
        lease_until=now - timedelta(seconds=5),
    )
    make_run(make_stream("c"), heartbeat_at=now, lease_until=now + timedelta(seconds=60))
    mirror.enqueue_checkpoint(queued.stream, {"cursor": ["1"]}, epoch=1)
    Heartbeat.objects.create(name="tick", at=now - timedelta(seconds=7))
    for name, age in (("worker:alpha", 1), ("worker:beta", 2), ("worker:gone", 500)):
        Heartbeat.objects.create(name=name, at=now - timedelta(seconds=age))

    samples = read(metrics.exposition())

    assert of(samples, "dms_runs_active", state="queued") == 1
    assert of(samples, "dms_runs_active", state="running") == 2
    assert of(samples, "dms_queue_oldest_seconds") == pytest.approx(90, abs=5)
    assert of(samples, "dms_run_silent_seconds") == pytest.approx(20, abs=5)
    assert of(samples, "dms_lease_overdue_seconds") == pytest.approx(5, abs=4)
    assert of(samples, "dms_outbox_waiting", kind="last_record") == 1
    assert of(samples, "dms_outbox_waiting", kind="slack") == 0
    assert of(samples, "dms_tick_age_seconds") == pytest.approx(7, abs=5)
    assert of(samples, "dms_workers") == 2
    assert of(samples, "dms_scheduling_enabled") == 0


def test_labels_are_escaped() -> None:
    odd = 'back\\slash "quoted"\nnew line'
    metric = Metric("dms_test", "A test.")
    metric.add(1.5, stream=odd)

    assert read(text_of([metric])) == {("dms_test", (("stream", odd),)): 1.5}


@pytest.mark.parametrize("count", [10, 1000])
def test_queries_do_not_grow_with_streams(count: int) -> None:
    first = make_stream()
    Stream.objects.bulk_create(
        Stream(unique_id=f"s{n}", mapping=first.mapping, noun="table", name=f"t{n}", destination_name="d")
        for n in range(count - 1)
    )
    StreamTotals.objects.bulk_create(StreamTotals(stream=stream, succeeded=1) for stream in Stream.objects.all())

    with CaptureQueriesContext(
        connection,
    ) as queries:
        text = metrics.exposition()

    assert len(queries) == 6
    assert sum(name == "dms_stream_bytes_total" for name, _ in read(text)) == count


def test_outcomes_recorded_by_runs_are_counted() -> None:
    stream = make_stream()
    assert runs.request_stop(runs.queue(stream, trigger=TriggerKind.CLI))

    assert of(read(metrics.exposition()), "dms_stream_runs_total", state="stopped") == 1
    assert picture.take().active["queued"].count == 0
