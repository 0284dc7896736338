"""`manage.py preview ID --table T`: the first rows as they would arrive."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.base import Preview
from connectors.wording import counted
from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import add_selection, refusing, selected_plans
from migrations_app.verbs import preview

_SHOWN_CHARACTERS = 60


class Command(BaseCommand):
    """Preview streams."""

    requires_system_checks = ()
    help = (
        "Show the first rows of a mapping's tables as they would arrive, masked and renamed, with the types of source"
        " and destination side by side. Writes nothing. Exit codes: 0 done, 1 the source cannot be read, 2 mapping or"
        " settings wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_selection(parser)
        parser.add_argument("--rows", type=int, default=preview.ROWS, metavar="N", help="how many rows (%(default)s)")
        parser.add_argument("--json", action="store_true", help="print one JSON document, values uncut")

    def handle(self, *_args: Any, **options: Any) -> None:
        found: dict[str, Preview] = {}
        for plan in selected_plans(options):
            with refusing(options["mapping_id"]):
                found[plan.stream.unique_id] = preview.preview(plan, row_count=max(1, options["rows"]))
        if options["json"]:
            shown = [{"stream": stream_id} | preview.as_dict(each) for stream_id, each in found.items()]
            self.stdout.write(json.dumps(shown, indent=2))
            return
        for stream_id, each in found.items():
            self._show(stream_id, each)

    def _show(self, stream_id: str, found: Preview) -> None:
        self.stdout.write(stream_id)
        types = [
            (
                column.source_name or "(added by the run)",
                column.source_type or "-",
                column.name,
                column.type,
                "masked" if column.is_masked else "",
            )
            for column in found.columns
        ]
        write_rows(self.stdout, ("at the source", "type", "arrives as", "as type", ""), types)
        self.stdout.write("")
        rows = [[_cell(value) for value in row] for row in found.rows]
        write_rows(self.stdout, [column.name for column in found.columns], rows)
        self.stdout.write(f"{counted(len(rows), 'row')}\n")


def _cell(value: str | None) -> str:
    """A value on one line, and cut."""
    if value is None:
        return "NULL"
    line = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
