"""`manage.py run_migration ID`: run a mapping's streams now, one after the other."""

from __future__ import annotations

import json
import uuid
from argparse import ArgumentParser
from enum import IntEnum
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.table import Table

from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import MappingError
from migrations_app import plans, runner, runs
from migrations_app.dry_run import describe
from migrations_app.enums import RunState, TriggerKind
from migrations_app.management.console import console_on
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.models import Run
from migrations_app.owner import this_process
from migrations_app.plans import Plan
from migrations_app.progress import Display, human_bytes, human_seconds
from migrations_app.secrets import SecretUnreadableError


class ExitCode(IntEnum):
    """What the command's exit code says; documented in docs/."""

    DONE = 0
    FAILED = 1
    DOCUMENT_WRONG = 2
    ALREADY_RUNNING = 3
    STOPPED = 4


class Command(BaseCommand):
    """Run a mapping."""

    # Checks import the admin and every page: a second at each start, for what `manage.py check` says in CI.
    requires_system_checks = ()
    help = (
        "Run every stream of a mapping now, or the ones selected. Exit codes: 0 done, 1 failed, 2 mapping or settings"
        " wrong, 3 already running, 4 stopped (cut-off, signal, operator)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("mapping_id", metavar="ID", help="the mapping's id")
        parser.add_argument("--table", help="only this table (collection, topic or API), as the mapping names it")
        parser.add_argument("--destination", help="only to this destination")
        parser.add_argument("--dry-run", action="store_true", help="show queries, DDL and estimates; write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON document with the outcome")
        parser.add_argument(
            "--allow-deletes", type=int, metavar="N", help="approve up to N deletions that mirroring's guard refuses"
        )
        parser.add_argument("--run", metavar="UUID", help="execute this queued run, as a worker does")
        parser.add_argument(
            "--trigger",
            choices=[kind.value for kind in TriggerKind],
            default=TriggerKind.CLI.value,
            help="who asks, as the runs record it",
        )
        parser.add_argument("--requested-by", default="", metavar="NAME", help="the user who asks")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["run"]:
            outcomes = [self._execute_queued(options["run"], options)]
        else:
            planned = self._plans(options)
            if options["dry_run"]:
                self._dry_run(planned, as_json=options["json"])
                return
            outcomes = self._run_all(planned, options)
        if options["json"]:
            self.stdout.write(json.dumps([_summary(run) for run in outcomes], indent=2))
        else:
            self._print(outcomes)
        code = _exit_code(outcomes)
        if code:
            raise SystemExit(int(code))

    def _plans(self, options: dict[str, Any]) -> list[Plan]:
        mapping_id = options["mapping_id"]
        try:
            return plans.build(mapping_id, table=options["table"], destination=options["destination"])
        except MappingError as error:
            raise refusal(issue_lines(mapping_id, error)) from error
        except (ConfigError, SecretUnreadableError) as error:
            raise refusal([f"{mapping_id}: {error}"]) from error
        except ConnectorError as error:
            message = f"{mapping_id}: {error}"
            raise CommandError(message, returncode=ExitCode.FAILED) from error

    def _run_all(self, planned: list[Plan], options: dict[str, Any]) -> list[Run]:
        trigger_id = uuid.uuid4()
        outcomes: list[Run] = []
        for plan in planned:
            stream = plans.stream_row(plan)
            try:
                run = runs.queue(
                    stream,
                    trigger=TriggerKind(options["trigger"]),
                    trigger_id=trigger_id,
                    allow_deletes=options["allow_deletes"],
                    requested_by=options["requested_by"],
                    owner=this_process(),
                )
            except runs.AlreadyRunningError as error:
                self.stderr.write(str(error))
                outcomes.append(error.run)
                continue
            outcomes.append(self._execute(run, plan, quiet=options["json"]))
            if outcomes[-1].state == RunState.STOPPED:
                break
        return outcomes

    def _execute_queued(self, run_id: str, options: dict[str, Any]) -> Run:
        run = Run.objects.filter(pk=run_id, stream__mapping=options["mapping_id"]).select_related("stream").first()
        if run is None:
            raise refusal([f"{options['mapping_id']}: it has no run {run_id}"])
        stream = run.stream
        selected = options | {"table": stream.name, "destination": stream.destination_name}
        (plan,) = self._plans(selected)
        return self._execute(run, plan, quiet=options["json"])

    def _execute(self, run: Run, plan: Plan, *, quiet: bool) -> Run:
        if quiet:
            return runner.execute(run, lambda: plan)
        with Display(plan.stream.unique_id, console_on(self.stdout)) as display:
            return runner.execute(run, lambda: plan, onlooker=display.update)

    def _dry_run(self, planned: list[Plan], *, as_json: bool) -> None:
        described = []
        for plan in planned:
            try:
                described.append(describe(plan))
            except ConnectorError as error:
                raise CommandError(str(error), returncode=ExitCode.FAILED) from error
        if as_json:
            self.stdout.write(json.dumps([each.as_json() for each in described], indent=2))
        else:
            self.stdout.write("\n\n".join(each.as_text() for each in described))

    def _print(self, outcomes: list[Run]) -> None:
        if not outcomes:
            self.stdout.write("the mapping has no destination, so there is nothing to do")
            return
        console = console_on(self.stdout)
        table = Table("stream", "state", box=None, pad_edge=False)
        for heading in ("read", "inserted", "updated", "deleted", "size", "time", "rows/s"):
            table.add_column(heading, justify="right")
        for run in outcomes:
            table.add_row(run.stream.unique_id, run.state, *_figures(run))
        console.print(table, soft_wrap=True)
        for run in outcomes:
            if run.state != RunState.SUCCEEDED and run.reason:
                console.print(f"{run.stream.unique_id} {run.state}: {run.reason}", soft_wrap=True, markup=False)
            for warning in run.warnings:
                console.print(f"{run.stream.unique_id} warning: {warning}", soft_wrap=True, markup=False)


def _figures(run: Run) -> list[str]:
    counts = [f"{count:,}" for count in (run.read, run.inserted, run.updated, run.deleted)]
    seconds = run.seconds
    if seconds is None:
        return [*counts, human_bytes(run.byte_count), "-", "-"]
    rate = f"{run.read / seconds:,.0f}" if seconds > 0 else "-"
    return [*counts, human_bytes(run.byte_count), human_seconds(seconds), rate]


def _summary(run: Run) -> dict[str, Any]:
    return {
        "run": str(run.pk),
        "stream": run.stream.unique_id,
        "state": run.state,
        "reason": run.reason,
        "error_class": run.error_class,
        "stop_reason": run.stop_reason,
        "read": run.read,
        "inserted": run.inserted,
        "updated": run.updated,
        "deleted": run.deleted,
        "bytes": run.byte_count,
        "seconds": run.seconds,
        "warnings": run.warnings,
        "counters": run.counters,
    }


def _exit_code(outcomes: list[Run]) -> ExitCode:
    """The worst outcome decides: a failure before a stop before a run that goes on elsewhere."""
    states = {run.state for run in outcomes}
    if states & {RunState.FAILED, RunState.LOST}:
        return ExitCode.FAILED
    if RunState.STOPPED in states:
        return ExitCode.STOPPED
    return ExitCode.ALREADY_RUNNING if states & {RunState.QUEUED, RunState.RUNNING} else ExitCode.DONE
