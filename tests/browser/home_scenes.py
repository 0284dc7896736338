"""What the home page shows while a test looks at it. These run backstage, where Django is set up."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from migrations_app.enums import RunState
from migrations_app.models import Run, RunProgress, Stream
from tests.admin.many import Size, make_many
from tests.controlplane.builders import make_run, make_stream
from tests.scheduling.builders import turn_on


def several_streams() -> None:
    """Streams of every standing, some with long names, and what they have done."""
    turn_on("Asia/Kolkata")
    make_many(Size(streams=60, runs=1200, running=3, queued=2, failing=25, late=4, paused=2))


def run_at_work() -> str:
    """A first copy, a quarter done.

    Returns:
        Its id.
    """
    run = make_run(make_stream(), phase="copy", read=1000, rows_expected=4000)
    RunProgress.objects.create(run=run, at=timezone.now(), rows_before=0, rows_per_s=20.0)
    return str(run.pk)


def go_on(run: str, rows: int) -> None:
    """The run has read so many rows."""
    Run.objects.filter(pk=run).update(read=rows)


def end(run: str) -> None:
    """The run has succeeded."""
    now = timezone.now() + timedelta(seconds=1)
    Run.objects.filter(pk=run).update(state=RunState.SUCCEEDED, finished_at=now, lease_until=None)


def ended_badly(count: int) -> None:
    """So many more runs have failed just now."""
    stream = Stream.objects.first()
    assert stream is not None
    for _ in range(count):
        make_run(stream, state=RunState.FAILED, finished_at=timezone.now(), inserted=10)
