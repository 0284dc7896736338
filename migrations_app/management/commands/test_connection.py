"""`manage.py test_connection ID`: can both ends be reached, and do the rights suffice?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import ExitCode, refusing
from migrations_app.verbs import connections


class Command(BaseCommand):
    """Test connections."""

    requires_system_checks = ()
    help = (
        "Test the source and every destination of a mapping, step by step: name, port, TLS, sign-in, version, rights,"
        " tables, clock. Leaves nothing behind. Exit codes: 0 all work (warnings included), 1 a step failed, 2 mapping"
        " wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("mapping_id", metavar="ID", help="the mapping's id")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        with refusing(options["mapping_id"]):
            ends = connections.test_ends(options["mapping_id"])
        if options["json"]:
            self.stdout.write(json.dumps([end.as_dict() for end in ends], indent=2))
        else:
            rows = [(end.end, step.name, step.outcome, step.detail) for end in ends for step in end.steps]
            write_rows(self.stdout, ("end", "step", "result", "detail"), rows)
        if any(end.has_failed for end in ends):
            raise SystemExit(int(ExitCode.FAILED))
