"""`manage.py reset_checkpoint ID`: make the next run go on from an earlier place, or copy everything anew."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from migrations_app.audit import actor_of_command
from migrations_app.management.selecting import (
    ExitCode,
    add_selection,
    refuse_several_tables,
    refusing,
    selected_plans,
)
from migrations_app.plans import Plan
from migrations_app.runs import AlreadyRunningError
from migrations_app.verbs import reset
from migrations_app.verbs.keys import read_key
from migrations_app.verbs.reset import Reset


class Command(BaseCommand):
    """Reset streams."""

    requires_system_checks = ()
    help = (
        "Show where the streams of a mapping stand and what their next run would copy after a reset, and reset them"
        " when that is confirmed. No row is removed. Exit codes: 0 done or declined, 1 failed, 2 mapping or settings"
        " wrong, 3 a run is active."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        parser.add_argument(
            "--to-key", metavar="K", help="go on above this key instead of copying everything; of one table"
        )
        parser.add_argument(
            "--release", action="store_true", help="give the tables up, so that another stream may write them"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print one JSON document; asks nothing, needs --yes")

    def handle(self, *_args: Any, **options: Any) -> None:
        planned = selected_plans(options)
        if options["to_key"] is not None:
            refuse_several_tables(planned, options["mapping_id"])
        with refusing(options["mapping_id"]):
            to_key = read_key("to_key", options["to_key"], planned)
        described = []
        for plan in planned:
            with refusing(options["mapping_id"]):
                described.append((plan, reset.describe(plan, to_key=to_key, release=options["release"])))
        if not options["json"]:
            for _, each in described:
                self._show(each)
        is_confirmed = options["yes"] or (not options["json"] and self._confirm(len(described)))
        if is_confirmed:
            self._carry_out(described, options["mapping_id"])
        if options["json"]:
            shown = [each.as_dict() | {"done": is_confirmed} for _, each in described]
            self.stdout.write(json.dumps(shown, indent=2))
        else:
            self.stdout.write("reset" if is_confirmed and described else "nothing was changed")

    def _show(self, each: Reset) -> None:
        lines = (
            each.stream_id,
            f"  stands at:  {each.before}",
            f"  reset to:   {each.after}",
            f"  then:       {each.consequence}",
        )
        self.stdout.write("\n".join(lines))

    def _confirm(self, count: int) -> bool:
        if not count:
            return False
        noun = "this stream" if count == 1 else f"these {count} streams"
        try:
            return input(f"Reset {noun}? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            self.stderr.write("nobody is there to ask; confirm with --yes")
            return False

    def _carry_out(self, described: list[tuple[Plan, Reset]], mapping_id: str) -> None:
        try:
            for plan, _ in described:
                reset.refuse_while_running(plan)
            for plan, each in described:
                with refusing(mapping_id):
                    reset.carry_out(plan, each, by=actor_of_command())
        except AlreadyRunningError as error:
            self.stderr.write(str(error))
            raise SystemExit(int(ExitCode.ALREADY_RUNNING)) from error
