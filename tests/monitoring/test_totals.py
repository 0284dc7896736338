"""Totals that are filled from the history are those that every outcome would have added up."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.forms import model_to_dict
from django.utils import timezone

from migrations_app import totals
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import StreamTotals
from tests.controlplane.builders import make_run, make_stream

pytestmark = pytest.mark.django_db


def test_history_fills_the_totals_that_outcomes_make() -> None:
    first, second = make_stream("first"), make_stream("second")
    begin = timezone.now() - timedelta(days=1)
    states = (RunState.FAILED, RunState.SUCCEEDED, RunState.STOPPED, RunState.LOST, RunState.FAILED)
    for hour, state in enumerate(states):
        for stream in (first, second):
            if stream == second and state == RunState.SUCCEEDED:
                continue
            start = begin + timedelta(hours=hour)
            end = start + timedelta(minutes=hour + 1)
            run = make_run(stream, state=state, started_at=start, finished_at=end, read=10 + hour, byte_count=7)
            totals.count(run)
    make_run(first)
    counted = [model_to_dict(row) for row in StreamTotals.objects.order_by("stream_id")]
    StreamTotals.objects.all().delete()

    import_module("migrations_app.migrations.0006_fill_stream_totals").fill(apps, None)

    filled = [model_to_dict(row) for row in StreamTotals.objects.order_by("stream_id")]
    assert filled == counted
    assert [row["failures_in_row"] for row in filled] == [2, 3]


def test_streams_that_backfills_have_judged_stand_as_their_own_runs_left_them() -> None:
    backfill = {"trigger": TriggerKind.BACKFILL}
    history: dict[str, list[tuple[RunState, dict[str, Any]]]] = {
        "spoiled": [(RunState.SUCCEEDED, {}), (RunState.FAILED, backfill), (RunState.LOST, backfill)],
        "glossed": [(RunState.SUCCEEDED, {}), (RunState.FAILED, {}), (RunState.SUCCEEDED, backfill)],
        "untouched": [(RunState.FAILED, backfill), (RunState.FAILED, {})],
    }
    begin = timezone.now() - timedelta(days=1)
    for name, ends in history.items():
        stream = make_stream(name)
        for hour, (state, fields) in enumerate(ends):
            start = begin + timedelta(hours=hour)
            end = start + timedelta(minutes=5)
            totals.count(make_run(stream, state=state, started_at=start, finished_at=end, read=10, **fields))
    counted = {row.pk: model_to_dict(row) for row in StreamTotals.objects.all()}
    StreamTotals.objects.all().delete()
    # It takes every run for the stream's own, as outcomes once did.
    import_module("migrations_app.migrations.0006_fill_stream_totals").fill(apps, None)
    StreamTotals.objects.filter(stream__mapping="untouched").update(failures_in_row=1)
    assert StreamTotals.objects.get(stream__mapping="spoiled").last_state == RunState.LOST

    import_module("migrations_app.migrations.0018_totals_of_own_runs").judge_anew(apps, None)

    assert {row.pk: model_to_dict(row) for row in StreamTotals.objects.all()} == counted
    assert StreamTotals.objects.get(stream__mapping="spoiled").last_state == RunState.SUCCEEDED
