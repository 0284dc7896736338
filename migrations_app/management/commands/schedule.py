"""`manage.py schedule`: what runs when."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand

from migrations_app.management.listing import write_rows
from migrations_app.models import Stream
from migrations_app.scheduling.following import with_cron
from migrations_app.scheduling.times import due_times
from migrations_app.settings_io import schedule_settings


class Command(BaseCommand):
    """List what is coming."""

    requires_system_checks = ()
    help = "List the streams that have a schedule, and when they run next, in the time zone of the settings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("mapping_id", metavar="ID", nargs="?", help="only this mapping")
        parser.add_argument("--next", type=int, default=1, metavar="N", help="how many times of each stream to list")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        is_on, zone = schedule_settings()
        chosen = Stream.objects.select_related("schedule")
        if options["mapping_id"]:
            chosen = chosen.filter(mapping=options["mapping_id"])
        now = datetime.now(UTC)
        found = [_coming(stream, zone, now, max(1, options["next"])) for stream in with_cron(chosen) if stream.cron]
        found.sort(key=lambda each: each["next"] or ["9999"])
        if options["json"]:
            self.stdout.write(json.dumps({"is_on": is_on, "timezone": zone, "streams": found}, indent=2))
            return
        if found:
            write_rows(self.stdout, ("stream", "cron", f"next ({zone})", "skipped"), [_row(each) for each in found])
        else:
            self.stdout.write("no stream has a schedule; give a table a `cron` other than self-managed")
        if not is_on:
            self.stdout.write("nothing is scheduled now: `fastapi_server` is off in the service settings")


def _coming(stream: Any, zone: str, now: datetime, count: int) -> dict[str, Any]:
    schedule = getattr(stream, "schedule", None)
    return {
        "stream": stream.unique_id,
        "cron": stream.cron,
        "next": [at.astimezone(ZoneInfo(zone)).isoformat() for at in islice(due_times(stream.cron, zone, now), count)],
        "skips": schedule.skips if schedule else 0,
        "misfires": schedule.misfires if schedule else 0,
        "problem": schedule.problem if schedule else "",
    }


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    times = ", ".join(datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S") for at in each["next"])
    return each["stream"], each["cron"], times or "never again", str(each["skips"])
