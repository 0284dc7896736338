"""How long the runs of streams usually take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from migrations_app.durations import usual_seconds
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Stream
from tests.controlplane.builders import make_run, make_stream

pytestmark = pytest.mark.django_db


def took(stream: Stream, *seconds: float, **fields: Any) -> None:
    """Finished runs, the first one the oldest."""
    now = timezone.now()
    for number, each in enumerate(seconds):
        began = now - timedelta(days=1) + timedelta(minutes=number)
        values: dict[str, Any] = {"state": RunState.SUCCEEDED, "created_at": began, "started_at": began}
        make_run(stream, **(values | {"finished_at": began + timedelta(seconds=each)} | fields))


def test_median_of_successes_alone() -> None:
    stream = make_stream()
    took(stream, 10, 30, 50)
    took(stream, 1000, 1000, 1000, state=RunState.FAILED)
    took(stream, 5000, 5000, 5000, trigger=TriggerKind.BACKFILL)

    assert usual_seconds([stream.pk]) == {stream.pk: pytest.approx(30)}


def test_only_the_last_ones_count() -> None:
    stream = make_stream()
    took(stream, *([1000] * 30), *([7] * 21))

    assert usual_seconds([stream.pk]) == {stream.pk: pytest.approx(7)}


def test_few_runs_say_nothing() -> None:
    stream = make_stream()
    took(stream, 10, 30)

    assert usual_seconds([stream.pk]) == {}


def test_many_streams_are_one_query(django_assert_num_queries: Any) -> None:
    streams = [make_stream(f"shop-{number}") for number in range(4)]
    for number, stream in enumerate(streams, start=1):
        took(stream, *([number] * 3))

    with django_assert_num_queries(1):
        found = usual_seconds([stream.pk for stream in streams] * 2)

    assert found == {stream.pk: pytest.approx(number) for number, stream in enumerate(streams, start=1)}
    with django_assert_num_queries(0):
        assert usual_seconds([]) == {}
