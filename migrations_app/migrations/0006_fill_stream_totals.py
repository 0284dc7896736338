from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Q, Sum

FINISHED = ("succeeded", "failed", "stopped", "lost")
SUMS = ("read", "inserted", "updated", "deleted", "byte_count")


def fill(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add up what the runs so far came to."""
    runs: Any = apps.get_model("migrations_app", "Run").objects.filter(state__in=FINISHED)
    totals = apps.get_model("migrations_app", "StreamTotals").objects
    time = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    rows = (
        runs.order_by()
        .values("stream_id")
        .annotate(
            **{f"count_{state}": Count("pk", filter=Q(state=state)) for state in FINISHED},
            **{f"sum_{name}": Sum(name) for name in SUMS},
            time=Sum(time),
            finished=Max("finished_at"),
            success=Max("finished_at", filter=Q(state="succeeded")),
        )
    )
    for row in rows.iterator():
        of_stream = runs.filter(stream_id=row["stream_id"])
        last = of_stream.order_by("-finished_at").first()
        since = of_stream.filter(state__in=("failed", "lost"))
        if row["success"] is not None:
            since = since.filter(finished_at__gt=row["success"])
        seconds = (last.finished_at - last.started_at).total_seconds() if last.started_at and last.finished_at else None
        totals.create(
            stream_id=row["stream_id"],
            **{state: row[f"count_{state}"] for state in FINISHED},
            **{name: row[f"sum_{name}"] for name in SUMS},
            seconds=row["time"].total_seconds() if row["time"] else 0.0,
            failures_in_row=since.count(),
            last_state=last.state,
            last_seconds=seconds,
            last_finished_at=row["finished"],
            last_success_at=row["success"],
        )


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0005_stream_totals"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
