"""`manage.py create_user NAME --role ROLE`: somebody who may sign in to the pages."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import transaction

from migrations_app import snapshots
from migrations_app.audit import actor_of_command
from migrations_app.enums import RoleName
from migrations_app.management.refusals import refusal
from migrations_app.models import Role


class Command(BaseCommand):
    """Make a user."""

    requires_system_checks = ()
    help = (
        "Make a user in a role. The password is asked for, or read from standard input where that is no terminal. Exit"
        " codes: 0 done, 2 the name is taken or no name, or the password is too weak."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the name to sign in with")
        parser.add_argument(
            "--role",
            choices=[role.value for role in RoleName],
            default=RoleName.VIEWER.value,
            help="what the user may do; docs/roles.md has a table (default: %(default)s)",
        )
        parser.add_argument("--email", default="", help="the user's address")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User(username=options["name"], email=options["email"], is_staff=True)
        group = Role.objects.get(pk=options["role"]).group
        if group is None:
            raise refusal([f"the group of the role {options['role']} was deleted; make a user in the admin instead"])
        try:
            user.full_clean(exclude=["password"])
            password = self._password()
            validate_password(password, user)
        except ValidationError as error:
            raise refusal(error.messages) from error
        user.set_password(password)
        with transaction.atomic():
            user.save()
            user.groups.add(group)
            snapshots.note_saved(actor_of_command(), None, user)
        self.stdout.write(f"{user} may sign in as {options['role']}")

    def _password(self) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise refusal(["the two passwords differ; nothing was made"])
        return password
