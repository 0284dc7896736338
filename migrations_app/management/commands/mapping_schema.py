"""manage.py mapping_schema: the JSON Schema of a mapping, or of the settings, for editors."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from connectors.mapping.schema import mapping_json_schema, settings_json_schema


class Command(BaseCommand):
    """Prints the JSON Schema of the contract."""

    help = "Print the JSON Schema of a mapping, or of the settings."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        # Not --settings: every command of Django has an option of that name.
        parser.add_argument("document", nargs="?", choices=("mapping", "settings"), default="mapping")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Print the schema."""
        schema = settings_json_schema() if options["document"] == "settings" else mapping_json_schema()
        self.stdout.write(json.dumps(schema, indent=2))
