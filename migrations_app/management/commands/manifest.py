"""`manage.py manifest ID --check | --rebuild`: are a table's files as its manifest says, or shall they say it anew?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.verbs import FileCheck, Finding, Rebuilt
from connectors.wording import counted
from migrations_app import audit
from migrations_app import plans as plans_of
from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import ExitCode, add_selection, refusing, running_refused, selected_plans
from migrations_app.verbs import upkeep


class Command(BaseCommand):
    """Check or rebuild manifests."""

    requires_system_checks = ()
    help = (
        "Compare the files of tables in a bucket with their manifests: name parts that are missing or changed, orphans,"
        " foreign objects and open uploads; or write a manifest anew from the parts' footers. Removes nothing."
        " Exit codes: 0 in order or rebuilt, 5 something was found, 1 failed, 2 mapping or settings wrong, 3 a run is"
        " active."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        action = parser.add_mutually_exclusive_group(required=True)
        action.add_argument("--check", action="store_true", help="compare, change nothing")
        action.add_argument(
            "--rebuild",
            action="store_true",
            help="write a manifest of what is there and keep the old one beside it; the next run reads everything",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        plans = selected_plans(options)
        place = options["mapping_id"]
        if options["check"]:
            checked = []
            for plan in plans:
                with refusing(place):
                    checked.append((plan.stream.unique_id, upkeep.check(plan)))
            self._show_checks(checked, as_json=options["json"])
            if any(found.findings for _, found in checked):
                raise SystemExit(int(ExitCode.MISMATCH))
            return
        rebuilt = []
        for plan in plans:
            with running_refused(self.stderr), refusing(place):
                rebuilt.append((plan.stream.unique_id, upkeep.rebuild(plan)))
                audit.record(audit.actor_of_command(), "rebuild_manifest", plans_of.stream_row(plan))
        self._show_rebuilt(rebuilt, as_json=options["json"])

    def _show_checks(self, checked: list[tuple[str, FileCheck]], *, as_json: bool) -> None:
        if as_json:
            documents = [
                {
                    "stream": stream_id,
                    "location": found.location,
                    "parts": found.parts,
                    "rows": found.rows,
                    "in_order": not found.findings,
                    "findings": [each.as_dict() for each in found.findings],
                }
                for stream_id, found in checked
            ]
            self.stdout.write(json.dumps(documents, indent=2))
            return
        rows = [
            (stream_id, found.location, f"{found.parts:,}", f"{found.rows:,}", _result(found.findings))
            for stream_id, found in checked
        ]
        write_rows(self.stdout, ("stream", "location", "parts", "rows", "result"), rows, numbers=("parts", "rows"))
        for stream_id, found in checked:
            self._show_findings(stream_id, found.findings)

    def _show_rebuilt(self, rebuilt: list[tuple[str, Rebuilt]], *, as_json: bool) -> None:
        if as_json:
            documents = [
                {
                    "stream": stream_id,
                    "location": done.location,
                    "epoch": done.epoch,
                    "parts": done.parts,
                    "rows": done.rows,
                    "left_alone": [each.as_dict() for each in done.left_alone],
                    "notes": list(done.notes),
                }
                for stream_id, done in rebuilt
            ]
            self.stdout.write(json.dumps(documents, indent=2))
            return
        for stream_id, done in rebuilt:
            self.stdout.write(
                f"{stream_id}: rebuilt from {counted(done.parts, 'part')} with {counted(done.rows, 'row')},"
                f" {done.location}"
            )
            self._show_findings(stream_id, done.left_alone)
            for note in done.notes:
                self.stdout.write(f"{stream_id} note: {note}")

    def _show_findings(self, stream_id: str, findings: tuple[Finding, ...]) -> None:
        for each in findings:
            self.stdout.write(f"{stream_id} {each.problem:<8} {each.key}: {each.detail}")


def _result(findings: tuple[Finding, ...]) -> str:
    return counted(len(findings), "finding") if findings else "ok"
