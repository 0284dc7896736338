from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F

BAD = ("failed", "lost")
FINISHED = ("succeeded", "stopped", *BAD)


def judge_anew(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let streams that were last judged by a backfill stand as their own last run left them."""
    runs: Any = apps.get_model("migrations_app", "Run").objects.filter(state__in=FINISHED)
    totals: Any = apps.get_model("migrations_app", "StreamTotals").objects
    judged_by_backfill = runs.filter(trigger="backfill", finished_at=F("stream__totals__last_finished_at"))
    for stream in set(judged_by_backfill.values_list("stream_id", flat=True)):
        own = runs.filter(stream_id=stream).exclude(trigger="backfill").order_by("-finished_at")
        last, success = own.first(), own.filter(state="succeeded").first()
        if last is None:
            # Its own runs were deleted; that it has a backfill says that one of them has succeeded.
            totals.filter(pk=stream).update(last_state="succeeded", failures_in_row=0)
            continue
        failed = own.filter(state__in=BAD)
        if success is not None:
            failed = failed.filter(finished_at__gt=success.finished_at)
            totals.filter(pk=stream).update(last_success_at=success.finished_at)
        totals.filter(pk=stream).update(
            last_state=last.state,
            last_finished_at=last.finished_at,
            last_seconds=(last.finished_at - last.started_at).total_seconds() if last.started_at else None,
            failures_in_row=failed.count(),
        )


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0017_data_check_progress"),
    ]

    operations = [
        migrations.RunPython(judge_anew, migrations.RunPython.noop),
    ]
