"""manage.py import_settings: the service settings from a Python, JSON or YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from connectors import mapping as contract
from connectors.mapping.files import load_file
from migrations_app import settings_io, snapshots
from migrations_app.audit import actor_of_command
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.mapping_io import Outcome
from migrations_app.models import ServiceSettings


class Command(BaseCommand):
    """Imports the one settings document."""

    help = "Import the service settings from a file (.py, .json, .yaml). A Python file is read, never executed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--check", action="store_true", help="say what would happen and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Parse the file and save it."""
        file: Path = options["file"]
        try:
            loaded = load_file(file, "settings")
            parsed = settings_io.parse_settings(loaded.data)
        except contract.MappingError as error:
            raise refusal(issue_lines(file, error)) from None
        for warning in loaded.warnings:
            self.stderr.write(f"{file}: warning: {warning}")
        outcome = settings_io.compare_settings(parsed)
        if outcome is not Outcome.UNCHANGED and not options["check"]:
            with transaction.atomic():
                former = ServiceSettings.objects.first()
                before = snapshots.of(former) if former is not None else None
                snapshots.note_saved(actor_of_command(), before, settings_io.save_settings(parsed))
        self.stdout.write(f"settings: {outcome}")
