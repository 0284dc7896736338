"""`manage.py compact ID`: merge the small files of tables in a bucket; no row changes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from migrations_app import audit, plans
from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import add_selection, refusing, running_refused, selected_plans
from migrations_app.verbs import upkeep

_NUMBERS = ("parts merged", "into", "rows", "partitions")


class Command(BaseCommand):
    """Merge small files."""

    requires_system_checks = ()
    help = (
        "Merge the small parts of each partition of tables in a bucket into few full ones. Rows and values stay as they"
        " are; every run does the same where small parts are many. Exit codes: 0 done, 1 failed, 2 mapping or settings"
        " wrong, 3 a run is active."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be merged, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        done = []
        for plan in selected_plans(options):
            with running_refused(self.stderr), refusing(options["mapping_id"]):
                done.append((plan.stream.unique_id, upkeep.compact(plan, dry_run=options["dry_run"])))
                if not options["dry_run"]:
                    audit.record(audit.actor_of_command(), "compact", plans.stream_row(plan))
        if options["json"]:
            documents = [
                {"stream": stream_id, **asdict(each), "done": not options["dry_run"]} for stream_id, each in done
            ]
            self.stdout.write(json.dumps(documents, indent=2))
            return
        rows = [
            (stream_id, *(f"{figure:,}" for figure in (each.merged, each.made, each.rows, each.partitions)))
            for stream_id, each in done
        ]
        write_rows(self.stdout, ("stream", *_NUMBERS), rows, numbers=_NUMBERS)
        if options["dry_run"]:
            self.stdout.write("nothing was changed")
