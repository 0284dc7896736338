"""manage.py import_mapping: mappings from Python, JSON or YAML files into the control database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from connectors import mapping as contract
from connectors.mapping.files import Loaded, load_file
from migrations_app import mapping_io, snapshots
from migrations_app.audit import actor_of_command
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.mapping_io import Outcome
from migrations_app.models import Mapping

_NOT_A_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


class Command(BaseCommand):
    """Imports one mapping a file; all files or none."""

    help = "Import mappings from files (.py, .json, .yaml). A Python file is read, never executed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--id", help="id of the mapping, with a single file; default: the file's name")
        parser.add_argument("--check", action="store_true", help="say what would happen and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Parse every file, and save all of them when none has a mistake."""
        files: list[Path] = options["files"]
        if options["id"] and len(files) > 1:
            raise refusal(["--id names one mapping; import the files one by one"])
        parsed: dict[str, tuple[Path, contract.Mapping]] = {}
        mistakes: list[str] = []
        for file in files:
            try:
                loaded = load_file(file, "mapping")
                mapping_id = _mapping_id(file, options["id"], parsed)
                parsed[mapping_id] = (file, mapping_io.parse(loaded.data))
            except contract.MappingError as error:
                mistakes += issue_lines(file, error)
            else:
                self._warn(file, loaded)
        if not mistakes:
            mistakes = self._save(parsed, check=options["check"])
        if mistakes:
            raise refusal(mistakes)

    def _save(self, parsed: dict[str, tuple[Path, contract.Mapping]], *, check: bool) -> list[str]:
        """Save all, or none when one cannot be saved; return what is wrong."""
        mistakes: list[str] = []
        lines: list[str] = []
        with transaction.atomic():
            for mapping_id, (file, mapping) in parsed.items():
                try:
                    lines += _save_one(mapping_id, mapping)
                except contract.MappingError as error:
                    mistakes += issue_lines(file, error)
            transaction.set_rollback(check or bool(mistakes))
        if not mistakes:
            self.stdout.write("\n".join(lines))
        return mistakes

    def _warn(self, file: Path, loaded: Loaded) -> None:
        for warning in loaded.warnings:
            self.stderr.write(f"{file}: warning: {warning}")


def _save_one(mapping_id: str, mapping: contract.Mapping) -> list[str]:
    outcome = mapping_io.compare(mapping_id, mapping)
    if outcome is Outcome.UNCHANGED:
        return [f"{mapping_id}: unchanged"]
    former = Mapping.objects.filter(pk=mapping_id).first()
    before = snapshots.of(former) if former is not None else None
    row = mapping_io.save_mapping(mapping_id, mapping)
    snapshots.note_saved(actor_of_command(), before, row)
    streams = row.streams.filter(active=True).count()
    line = f"{mapping_id}: {outcome}, {streams} {'stream' if streams == 1 else 'streams'}"
    return [line, *(f"{mapping_id}: warning: {sentence}" for sentence in mapping_io.shared_with(row))]


def _mapping_id(file: Path, given: str | None, taken: dict[str, Any]) -> str:
    mapping_id = given or _NOT_A_SLUG.sub("-", file.stem).strip("-")
    if not mapping_id or _NOT_A_SLUG.search(mapping_id):
        message = "the id of a mapping is made of letters, digits, dashes and underscores; give one with --id"
        raise contract.MappingError([contract.Issue((), message)])
    if mapping_id in taken:
        message = f"{taken[mapping_id][0]} gives the same id, {mapping_id}; import the files one by one with --id"
        raise contract.MappingError([contract.Issue((), message)])
    return mapping_id
