"""`manage.py backfill ID`: read a range of keys or bookmarks anew, without moving the stream."""

from __future__ import annotations

import json
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from connectors.base import Selection
from migrations_app import audit, runner, runs
from migrations_app.enums import RunState
from migrations_app.management.console import console_on
from migrations_app.management.outcomes import as_json, exit_code, print_outcomes
from migrations_app.management.selecting import add_selection, refuse_several_tables, refusing, selected_plans
from migrations_app.models import Run
from migrations_app.owner import this_process
from migrations_app.plans import Plan
from migrations_app.progress import Display
from migrations_app.verbs import backfill

_RANGE = ("from_key", "to_key", "since", "until")


class Command(BaseCommand):
    """Backfill streams."""

    requires_system_checks = ()
    help = (
        "Read a range of a table again and write it to the destination: rows that are not there are inserted, others"
        " updated (in logging mode: left alone). The stream's own position stays. Both ends of a range are included."
        " Exit codes: 0 done, 1 failed, 2 mapping or settings wrong, 3 already running, 4 stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        several = "; a JSON list for a key of several columns"
        parser.add_argument("--from-key", metavar="K", help=f"lowest key{several}")
        parser.add_argument("--to-key", metavar="K", help=f"highest key{several}")
        parser.add_argument("--since", metavar="TIME", help="earliest bookmark, ISO 8601; without zone: the settings'")
        parser.add_argument("--until", metavar="TIME", help="latest bookmark, ISO 8601")
        parser.add_argument("--json", action="store_true", help="print one JSON document with the outcome")
        parser.add_argument("--requested-by", default="", metavar="NAME", help="the user who asks")

    def handle(self, *_args: Any, **options: Any) -> None:
        planned = selected_plans(options)
        refuse_several_tables(planned, options["mapping_id"])
        with refusing(options["mapping_id"]):
            selection = backfill.parse_selection(
                planned,
                from_key=options["from_key"],
                to_key=options["to_key"],
                since=options["since"],
                until=options["until"],
                timezone=planned[0].stream.timezone if planned else "UTC",
            )
        outcomes: list[Run] = []
        trigger_id = uuid.uuid4()
        for plan in planned:
            outcomes.append(self._run_one(plan, selection, trigger_id, options))
            if outcomes[-1].state == RunState.STOPPED:
                break
        self._show(outcomes, as_document=options["json"])
        code = exit_code(outcomes, is_cut_short=len(outcomes) < len(planned))
        if code:
            raise SystemExit(int(code))

    def _run_one(self, plan: Plan, selection: Selection, trigger_id: uuid.UUID, options: dict[str, Any]) -> Run:
        try:
            with transaction.atomic():
                run = backfill.queue(
                    plan, selection, trigger_id=trigger_id, requested_by=options["requested_by"], owner=this_process()
                )
                asked = {name: options[name] for name in _RANGE if options[name] is not None}
                audit.record(audit.actor_of_command(), "backfill", run.stream, details=asked)
        except runs.AlreadyRunningError as error:
            self.stderr.write(str(error))
            return error.run
        chosen = backfill.plan_of(run, plan)
        if options["json"]:
            return runner.execute(run, lambda: chosen)
        with Display(run.stream.unique_id, console_on(self.stdout)) as display:
            return runner.execute(run, lambda: chosen, onlooker=display.update)

    def _show(self, outcomes: list[Run], *, as_document: bool) -> None:
        if as_document:
            self.stdout.write(json.dumps([as_json(run) for run in outcomes], indent=2))
        elif not outcomes:
            self.stdout.write("the mapping has no destination, so there is nothing to do")
        else:
            print_outcomes(outcomes, console_on(self.stdout))
            for run in outcomes:
                if run.state != RunState.SUCCEEDED and "up to key" in run.phase:
                    self.stdout.write(f"{run.stream.unique_id} {run.phase} is done; go on with --from-key")
