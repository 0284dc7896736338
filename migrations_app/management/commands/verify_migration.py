"""`manage.py verify_migration ID`: is at the destination what is at the source?"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from connectors.comparison import Comparison, Difference, Verdict
from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import ExitCode, add_selection, selected_plans
from migrations_app.plans import Plan
from migrations_app.verbs import checking
from migrations_app.verbs.verify import NAMED_KEYS, Look, Verification, verify
from migrations_app.watch import Watch


class Command(BaseCommand):
    """Compare source and destination."""

    requires_system_checks = ()
    help = (
        "Compare row counts and full-row hashes of source and destination by key range, and name the first keys that"
        " differ. Changes nothing. What changed at the source since the last run differs too: run the mapping first,"
        " or while nobody writes. Exit codes: 0 all equal, 5 a difference, 1 it could not be found out, 2 mapping or"
        " settings wrong, 4 stopped by Ctrl-C, SIGTERM or, with --keep, on a page."
    )

    #: Something was left out, or ended early, since a person or the system asked for it.
    _is_cut_short = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        parser.add_argument(
            "--keys", type=int, default=NAMED_KEYS, metavar="N", help="how many differing keys to name (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument("--keep", action="store_true", help="keep the results, for the pages of the streams")

    def handle(self, *_args: Any, **options: Any) -> None:
        watch = Watch()
        with watch.signals():
            found = self._kept(options, watch) if options["keep"] else self._found(options, watch)
        if options["json"]:
            self.stdout.write(json.dumps([each.as_dict() for each in found], indent=2))
        else:
            # What is kept is shown to those who may see keys; the output of a detached process is a log.
            self._print(found, with_keys=not options["keep"])
        code = ExitCode.STOPPED if self._is_cut_short else _exit_code(found)
        if any(each.is_left_behind for each in found):
            # A thread that waits for a server that hangs would keep the process, and the connection with it.
            self.stdout.flush()
            os._exit(int(code))
        if code:
            raise SystemExit(int(code))

    def _found(self, options: dict[str, Any], watch: Watch) -> list[Verification]:
        found = list(_each(selected_plans(options), options, watch, lambda _: _why(watch)))
        self._is_cut_short = bool(_why(watch))
        return found

    def _kept(self, options: dict[str, Any], watch: Watch) -> list[Verification]:
        chosen = {"name": options["table"], "destination_name": options["destination"]}
        streams = Q(mapping=options["mapping_id"], **{key: value for key, value in chosen.items() if value is not None})
        checking.take(streams)
        try:
            plans = selected_plans(options)
        except CommandError as error:
            checking.give_up(streams, str(error))
            raise
        attendance = checking.Attendance(watch)
        begun = (plan for plan in plans if attendance.begins(plan.stream.unique_id))
        found = []
        for each in _each(begun, options, watch, attendance.look):
            checking.keep(each)
            found.append(each)
        if why := _why(watch):
            checking.give_up(streams, f"not begun: {why}")
        self._is_cut_short = bool(why) or attendance.has_cancelled
        return found

    def _print(self, found: list[Verification], *, with_keys: bool) -> None:
        if not found:
            self.stdout.write("nothing was compared: the mapping has no destination, or the data check was cancelled")
            return
        numbers = ("rows at source", "at destination", *(each.value for each in Difference), "time")
        rows = [
            (each.stream_id, each.mode, each.verdict.value, *_figures(each.comparison), f"{each.seconds:.1f} s")
            for each in found
        ]
        write_rows(self.stdout, ("stream", "mode", "result", *numbers), rows, numbers=numbers)
        for each in found:
            for line in _details(each, with_keys=with_keys):
                self.stdout.write(f"{each.stream_id} {line}")


def _each(plans: Iterable[Plan], options: dict[str, Any], watch: Watch, look: Look) -> Iterator[Verification]:
    """One after the other, as long as nothing asks the process to end."""
    for plan in plans:
        if watch.look() is not None:
            return
        yield verify(plan, named_keys=max(1, options["keys"]), look=look)


def _why(watch: Watch) -> str:
    stop = watch.look()
    return "" if stop is None else stop.sentence


def _figures(found: Comparison | None) -> list[str]:
    if found is None:
        return ["-"] * (2 + len(Difference))
    least = "" if found.is_counted else "at least "
    counts = [found.counts[difference] for difference in Difference]
    return [
        f"{found.source_rows:,}",
        f"{found.destination_rows:,}",
        *(f"{least if count else ''}{count:,}" for count in counts),
    ]


def _details(each: Verification, *, with_keys: bool) -> list[str]:
    lines = [f"error: {each.error}"] if each.error else []
    found = each.comparison
    if found is not None:
        lines += found.reasons
        lines += [f"note: {note}" for note in found.notes]
        if found.ignored_columns:
            lines.append(f"note: not compared, as only the destination has them: {', '.join(found.ignored_columns)}")
        if found.differing and with_keys:
            lines.append(f"keys ({', '.join(found.key)}) that differ, the first {len(found.differing)}:")
            lines += [f"  {differing.difference:<10} {', '.join(differing.key)}" for differing in found.differing]
    return lines


def _exit_code(found: list[Verification]) -> ExitCode:
    """A difference that was found says more than what could not be found out."""
    verdicts = {each.verdict for each in found}
    if Verdict.DIFFERENT in verdicts:
        return ExitCode.MISMATCH
    if any(each.is_stopped for each in found):
        return ExitCode.STOPPED
    return ExitCode.FAILED if Verdict.UNKNOWN in verdicts else ExitCode.DONE
