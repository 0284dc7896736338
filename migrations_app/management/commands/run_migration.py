"""`manage.py run_migration ID`: run a mapping's streams now, one after the other."""

from __future__ import annotations

import json
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction

from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import MappingError
from migrations_app import audit, plans, runner, runs
from migrations_app.dry_run import describe
from migrations_app.enums import RunState, TriggerKind
from migrations_app.executing import execute_queued
from migrations_app.management.console import console_on
from migrations_app.management.outcomes import ExitCode, as_json, exit_code, print_outcomes
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.models import Run
from migrations_app.owner import this_process
from migrations_app.plans import Plan
from migrations_app.progress import Display
from migrations_app.runner import Onlooker
from migrations_app.secrets import SecretUnreadableError
from migrations_app.watch import Watch


class Command(BaseCommand):
    """Run a mapping."""

    _is_cut_short = False
    #: Runs that this command has left to the workers.
    _left: frozenset[uuid.UUID] = frozenset()
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
        parser.add_argument("--queue", action="store_true", help="leave it to the workers, and do not wait for the end")
        parser.add_argument(
            "--run",
            type=uuid.UUID,
            action="append",
            metavar="UUID",
            help="execute this queued run, as a worker does; several of them one after the other",
        )
        parser.add_argument(
            "--trigger",
            choices=[kind.value for kind in TriggerKind],
            default=TriggerKind.CLI.value,
            help="who asks, as the runs record it",
        )
        parser.add_argument("--requested-by", default="", metavar="NAME", help="the user who asks")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["dry_run"]:
                self._dry_run(self._plans(options), as_json=options["json"])
                return
            outcomes = self._execute_queued(options) if options["run"] else self._run_all(options)
        except KeyboardInterrupt as error:
            # Before the first run or in a dry run; runs notice signals themselves.
            raise SystemExit(int(ExitCode.STOPPED)) from error
        if options["json"]:
            self.stdout.write(json.dumps([as_json(run) for run in outcomes], indent=2))
        elif outcomes:
            print_outcomes(outcomes, console_on(self.stdout))
        elif not self._is_cut_short:
            self.stdout.write(f"mapping {options['mapping_id']} has no destination, so there is nothing to do")
        code = exit_code([run for run in outcomes if run.pk not in self._left], is_cut_short=self._is_cut_short)
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
        except DatabaseError as error:
            message = (
                f"{mapping_id}: the control database could not be asked ({type(error).__name__});"
                " run `manage.py migrate` where it is new, else check DATABASE_URL"
            )
            raise CommandError(message, returncode=ExitCode.FAILED) from error

    def _run_all(self, options: dict[str, Any]) -> list[Run]:
        planned = self._plans(options)
        watch = Watch()
        outcomes: list[Run] = []
        trigger_id = uuid.uuid4()
        with watch.signals():
            for plan in planned:
                if (stop := watch.look()) is not None:
                    left = len(planned) - len(outcomes)
                    self.stderr.write(f"{left} of {len(planned)} streams were not begun: {stop.sentence}")
                    self._is_cut_short = True
                    break
                outcomes.append(self._run_one(plan, trigger_id, options, watch))
        if watch.look() is None:
            runner.deliver_rest()
        return outcomes

    def _run_one(self, plan: Plan, trigger_id: uuid.UUID, options: dict[str, Any], watch: Watch) -> Run:
        try:
            run = _begin(plan, trigger_id, options)
        except runs.AlreadyRunningError as error:
            if not _is_the_same(error.run, options):
                self.stderr.write(str(error))
                return error.run
            # It waits for a worker, which may be long in coming; whoever claims it runs it.
            run = error.run
        if options["queue"]:
            self._left |= {run.pk}
            return run
        return self._execute(run, lambda: plan, options, watch)

    def _execute_queued(self, options: dict[str, Any]) -> list[Run]:
        """Runs that are in the queue: what is wrong with the plan of one is its outcome."""
        mapping_id = options["mapping_id"]
        queued = Run.objects.filter(pk__in=options["run"], stream__mapping=mapping_id).select_related("stream")
        found = {run.pk: run for run in queued}
        if missing := [str(pk) for pk in options["run"] if pk not in found]:
            raise refusal([f"{mapping_id}: it has no run {', '.join(missing)}"])
        watch = Watch()
        outcomes: list[Run] = []
        with watch.signals():
            for pk in options["run"]:
                if outcomes and watch.look() is not None:
                    self._is_cut_short = True
                    break
                with self._showing(found[pk], options) as onlooker:
                    outcomes.append(execute_queued(found[pk], watch=watch, onlooker=onlooker))
        return outcomes

    def _execute(self, run: Run, plan: Callable[[], Plan], options: dict[str, Any], watch: Watch) -> Run:
        with self._showing(run, options) as onlooker:
            return runner.execute(run, plan, onlooker=onlooker, watch=watch)

    @contextmanager
    def _showing(self, run: Run, options: dict[str, Any]) -> Iterator[Onlooker | None]:
        """Show the progress of a run, unless a program reads what is printed."""
        if options["json"]:
            yield None
            return
        with Display(run.stream.unique_id, console_on(self.stdout)) as display:
            yield display.update

    def _dry_run(self, planned: list[Plan], *, as_json: bool) -> None:
        described = []
        refused = []
        for plan in planned:
            try:
                described.append(describe(plan))
            except ConnectorError as error:
                refused.append(str(error))
        if as_json:
            self.stdout.write(json.dumps([each.as_json() for each in described], indent=2))
        elif described:
            self.stdout.write("\n\n".join(each.as_text() for each in described))
        if refused:
            raise CommandError("\n".join(refused), returncode=ExitCode.FAILED)


def _begin(plan: Plan, trigger_id: uuid.UUID, options: dict[str, Any]) -> Run:
    """A run of the stream, and the audit log's entry where this command is what a person or a scheduler has called."""
    trigger = TriggerKind(options["trigger"])
    stream = plans.stream_row(plan)
    with transaction.atomic():
        run = runs.queue(
            stream,
            trigger=trigger,
            trigger_id=trigger_id,
            allow_deletes=options["allow_deletes"],
            requested_by=options["requested_by"],
            owner=None if options["queue"] else this_process(),
        )
        if trigger is TriggerKind.CLI:
            asked = {} if options["allow_deletes"] is None else {"allow_deletes": options["allow_deletes"]}
            audit.record(audit.actor_of_command(), "run", stream, details=asked)
    return run


def _is_the_same(run: Run, options: dict[str, Any]) -> bool:
    """True for a run in the queue that nobody has begun, and that does what the command is to do."""
    is_free = run.state == RunState.QUEUED and run.owner_pid is None
    return is_free and not run.request and run.allow_deletes == options["allow_deletes"] and not options["queue"]
