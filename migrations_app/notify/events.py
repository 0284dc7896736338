"""What is told of a run: one event for each outcome, as the outbox keeps it and the webhook sends it."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings

from connectors.mapping import EVERY_TABLE
from migrations_app import outbox
from migrations_app.enums import Noun, OutboxKind, RunState
from migrations_app.masking import mask
from migrations_app.models import Run, ServiceSettings
from migrations_app.models.specs import SPEC_ROWS
from migrations_app.secrets import is_reference

#: The key of a row, as `ValueNotRepresentable` names it: the run's own page shows it, messages do not.
_ROW_KEY = re.compile(r" \(row with key .*\)(?= does not fit )", re.DOTALL)
_LONGEST_REASON = 2500


class Event(StrEnum):
    """What happened."""

    SUCCEEDED = "succeeded"
    #: The first success after runs that failed or were lost.
    RECOVERED = "recovered"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


def enqueue(run: Run, *, failures_before: int) -> None:
    """Tell of a finished run, if the settings want it. Call it in the transaction that records the outcome.

    Args:
        run: With its outcome.
        failures_before: Runs of the stream that failed or were lost since its last success, this one left out.
    """
    # The plain column: no secret is opened, and none has to be there, when nobody wants to be told.
    if not ServiceSettings.objects.filter(notify=True).exists():
        return
    content = content_of(run, failures_before)
    key = f"{run.pk}:{content['event']}"
    outbox.put_once(OutboxKind.SLACK, key, {**content, "trace": run.trace, "channel": _channel_of(run)})
    if settings.DMS_WEBHOOK_URL:
        outbox.put_once(OutboxKind.WEBHOOK, key, content)


def content_of(run: Run, failures_before: int) -> dict[str, Any]:
    """The event as JSON: counts and sentences, no row value and no secret."""
    stream = run.stream
    return {
        "event": _event_of(run, failures_before).value,
        "run": str(run.pk),
        "stream": stream.unique_id,
        "mapping": stream.mapping_id,
        "noun": stream.noun,
        "name": stream.name,
        "destination": stream.destination_name,
        "destination_type": run.plan.get("destination_type", ""),
        "mode": run.plan.get("mode", ""),
        "trigger": str(run.trigger),
        "trigger_id": str(run.trigger_id),
        "state": str(run.state),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "seconds": None if run.seconds is None or run.started_at is None else round(run.seconds, 3),
        "counts": {
            "read": run.read,
            "inserted": run.inserted,
            "updated": run.updated,
            "deleted": run.deleted,
            "bytes": run.byte_count,
        },
        "warnings": len(run.warnings),
        "reason": mask(_ROW_KEY.sub("", run.reason))[:_LONGEST_REASON],
        "error_class": run.error_class,
        "stop_reason": str(run.stop_reason),
        "resumes": run.resume_at is not None,
        "failures_before": failures_before,
    }


def _event_of(run: Run, failures_before: int) -> Event:
    if run.state == RunState.SUCCEEDED:
        return Event.RECOVERED if failures_before else Event.SUCCEEDED
    return Event(str(run.state))


def _channel_of(run: Run) -> str:
    """The spec's own Slack channel; empty for that of the settings. A run may have failed before it had a plan."""
    if run.plan:
        return str(run.plan.get("spec", {}).get("slack_channel") or "")
    rows = SPEC_ROWS[Noun(run.stream.noun)]
    name = rows.noun.name_key
    specs: Any = rows
    found = dict(
        specs.objects.filter(
            mapping_id=run.stream.mapping_id, **{f"{name}__in": [run.stream.name, EVERY_TABLE]}
        ).values_list(name, "slack_channel")
    )
    channel = str(found.get(run.stream.name, found.get(EVERY_TABLE, "")))
    return "" if is_reference(channel) else channel


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
