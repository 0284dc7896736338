"""`manage.py schedule`: what runs when."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from migrations_app.management.listing import write_rows
from migrations_app.models import Stream
from migrations_app.scheduling.coming import coming
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
        chosen = Stream.objects.all()
        if options["mapping_id"]:
            chosen = chosen.filter(mapping=options["mapping_id"])
        found = [asdict(each) for each in coming(chosen, zone, max(1, options["next"]))]
        if options["json"]:
            self.stdout.write(json.dumps({"is_on": is_on, "timezone": zone, "streams": found}, indent=2))
            return
        if found:
            write_rows(self.stdout, ("stream", "cron", f"next ({zone})", "skipped"), [_row(each) for each in found])
        else:
            self.stdout.write("no stream has a schedule; give a table a `cron` other than self-managed")
        if not is_on:
            self.stdout.write("nothing is scheduled now: `fastapi_server` is off in the service settings")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    times = ", ".join(datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S") for at in each["next"])
    return each["stream"], each["cron"], times or "never again", str(each["skips"])
