"""manage.py export_mapping: a mapping as the documented Python, JSON or YAML."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from connectors import mapping as contract
from migrations_app import mapping_io, secrets
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.models import Mapping

_DUMPS = {"python": contract.dump_python, "json": contract.dump_json, "yaml": contract.dump_yaml}


class Command(BaseCommand):
    """Prints a mapping. Secrets that are kept here come out masked; references come out as references."""

    help = "Print a mapping as the documented Python, JSON or YAML."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--format", choices=sorted(_DUMPS), default="python")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Print the mapping."""
        row = Mapping.objects.filter(pk=options["id"]).first()
        if row is None:
            known = ", ".join(Mapping.objects.values_list("pk", flat=True)) or "none yet"
            raise refusal([f"there is no mapping {options['id']}; there are: {known}"])
        try:
            stored = mapping_io.load_contract(row)
        except contract.MappingError as error:
            raise refusal(issue_lines(row.pk, error)) from None
        except secrets.SecretUnreadableError as error:
            raise refusal([f"{row.pk}: {error}"]) from None
        self.stdout.write(_DUMPS[options["format"]](stored), ending="")
