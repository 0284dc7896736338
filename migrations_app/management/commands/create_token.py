"""`manage.py create_token NAME`: a key to the API, shown this once."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from migrations_app import snapshots, tokens
from migrations_app.audit import actor_of_command
from migrations_app.management.refusals import refusal
from migrations_app.models import ApiToken

_LONGEST_NAME = 100


class Command(BaseCommand):
    """Make a token."""

    requires_system_checks = ()
    help = (
        "Make a token of the API and print its key, which is not kept and cannot be shown again. Exit codes: 0 done,"
        " 2 the name is taken, or a scope or network is none."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="who will use it; runs show it as who asked")
        parser.add_argument(
            "--scope",
            action="append",
            metavar="SCOPE",
            help="what it may do, such as mapping:write; also ci, read and all, which stand for several (default: ci)",
        )
        parser.add_argument("--days", type=int, default=90, help="days until it expires, 0 for never (default: 90)")
        parser.add_argument(
            "--network", action="append", default=[], metavar="CIDR", help="a network that it may be used from"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            scopes = tokens.read_scopes(options["scope"] or ["ci"])
            networks = tokens.read_networks(options["network"])
        except ValueError as error:
            raise refusal([str(error)]) from error
        name, days = options["name"].strip(), options["days"]
        if not 0 < len(name) <= _LONGEST_NAME or days < 0:
            raise refusal(
                [f"a token has a name of at most {_LONGEST_NAME} characters, and expires after some days or never (0)"]
            )
        if ApiToken.objects.filter(name=name).exists():
            raise refusal([f"there is a token {name} already; choose another name, or delete that one in the admin"])
        expires_at = timezone.now() + timedelta(days=days) if days else None
        with transaction.atomic():
            row, key = tokens.create(name, scopes, networks=networks, expires_at=expires_at)
            snapshots.note_saved(actor_of_command(), None, row)
        until = f"expires on {expires_at:%Y-%m-%d}" if expires_at else "never expires"
        self.stderr.write(f"token {name} {until} and may do: {', '.join(scopes)}; this is the only time it is shown")
        self.stdout.write(key)
