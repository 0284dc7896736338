"""Runs that pages show: one at work, and one that a value has ended."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from migrations_app.enums import EventLevel, RunState
from migrations_app.models import Run, RunProgress, Stream
from tests.controlplane.builders import make_run
from tests.controlplane.pages import url

KEY = "4711-secret-key"
PLAN = {
    "mode": "syncing",
    "source_type": "pgsql",
    "destination_type": "pgsql",
    "spec": {"table_name": "orders", "bookmark": "updated_at"},
}


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def page_of(client: Client, run: Run) -> str:
    answer = client.get(url(Run, "change", run.pk))
    assert answer.status_code == 200
    return text_of(answer)


def working(stream: Stream | None = None, **fields: Any) -> Run:
    """A run in the middle of a first copy."""
    now = timezone.now()
    began = now - timedelta(seconds=100)
    values = {"started_at": began, "heartbeat_at": now, "phase": "copy", "plan": PLAN, "read": 1000, "inserted": 900}
    run = make_run(stream, **(values | {"rows_expected": 5000} | fields))
    RunProgress.objects.create(
        run=run,
        at=now,
        commits=2,
        last_commits=[
            [1, began.timestamp(), 5.0, 400, 390, 0, 0, 4000],
            [2, now.timestamp(), 5.0, 600, 510, 7, 0, 600],
        ],
        phases=[["open", began.timestamp()], ["copy", began.timestamp() + 2]],
        bytes_moved=9_000_000,
        rows_before=0,
        rows_per_s=100.0,
        bytes_per_s=2_000_000.0,
        lower=f"above key {KEY}",
        upper="key 9000",
        altered={"colour": "added"},
    )
    return run


def failed(stream: Stream | None = None, **fields: Any) -> Run:
    """A run that a value of a row has ended."""
    now = timezone.now()
    sentence = f"pgsql destination: a value of column price (row with key {KEY}) does not fit numeric(38,9)"
    values = {
        "state": RunState.FAILED,
        "finished_at": now,
        "phase": "follow",
        "plan": PLAN,
        "error_class": "ValueNotRepresentable",
        "error_message": sentence,
        "reason": sentence,
        "trace": f"  connectors/x.py:1 in go\nconnectors.errors.SourceError: key {KEY}",
        "counters": {"failed_casts.birthday": 12, "inexact_casts.price": 3, "reconnects": 2},
        "warnings": ["a column came"],
    }
    run = make_run(stream, **(values | fields))
    run.events.create(level=EventLevel.WARNING, message="connects anew in 1 s")
    run.events.create(level=EventLevel.ERROR, message=f"failed: {run.reason}")
    return run
