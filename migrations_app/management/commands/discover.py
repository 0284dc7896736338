"""`manage.py discover ID`: what the source holds, and how each table could be copied."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors import mapping as contract
from connectors.verbs import FoundTable
from migrations_app.formats import human_bytes
from migrations_app.management.listing import write_rows
from migrations_app.management.selecting import refusing
from migrations_app.verbs import choosing, discover


class Command(BaseCommand):
    """Explore a source."""

    requires_system_checks = ()
    help = (
        "List what a mapping's source holds, with sizes, keys and bookmarks, and propose a spec for each table or"
        " collection with its reason. Reads the catalog only, or of a collection some hundred documents. Exit codes:"
        " 0 done, 1 the source cannot be asked, 2 mapping wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("mapping_id", metavar="ID", help="the mapping's id; its specs do not matter here")
        parser.add_argument("--schema", help="only this schema of the source")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print one JSON document")
        form.add_argument(
            "--as-mapping", action="store_true", help="print a mapping file with the proposals; secrets are masked"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        mapping_id = options["mapping_id"]
        with refusing(mapping_id):
            found = discover.discover(mapping_id, schema=options["schema"])
        if options["json"]:
            self.stdout.write(json.dumps([discover.as_dict(table) for table in found], indent=2))
        elif options["as_mapping"]:
            with refusing(mapping_id):
                proposed = discover.propose(mapping_id, found)
            for sentence in proposed.left_out:
                self.stderr.write(sentence)
            self.stdout.write(contract.dump_python(proposed.mapping), ending="")
        else:
            self._list(found)

    def _list(self, found: list[FoundTable]) -> None:
        headings = ("name", "kind", "rows, about", "size", "key", "bookmark", "mode", "reason")
        write_rows(self.stdout, headings, [_row(table) for table in found], numbers=("rows, about", "size"))
        for table in found:
            if table.fields:
                self.stdout.write(f"fields of {table.table_name}, in a sample of its first and last documents")
                write_rows(self.stdout, ("field", "column", "in", "types"), _field_rows(table), numbers=("in",))
        self.stdout.write(f"{len(found)} found; --as-mapping prints the proposals as a mapping file")


def _field_rows(table: FoundTable) -> list[tuple[str, ...]]:
    return [
        (
            each.name,
            each.column,
            f"{each.share:.0%}",
            ", ".join(f"{kind} {share:.0%}" for kind, share in each.types.items()),
        )
        for each in table.fields
    ]


def _row(table: FoundTable) -> tuple[str, ...]:
    spec = table.proposal.spec
    return (
        table.table_name,
        table.kind,
        f"{table.estimated_rows:,}" if table.estimated_rows is not None else "-",
        human_bytes(table.byte_count) if table.byte_count is not None else "-",
        ", ".join(table.primary_key) or "-",
        str(spec.get("bookmark") or "-"),
        spec["mode"],
        choosing.obstacle_of(table) or table.proposal.reason,
    )
