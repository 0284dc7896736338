"""Who signs in: a user for each role. Runs backstage, where Django is set up."""

from __future__ import annotations

from enum import StrEnum

PASSWORD = "correct horse battery staple"


class Role(StrEnum):
    """Names of the users, whose groups have the same names; two have none."""

    SUPERUSER = "superuser"
    NO_ROLE = "no role"
    VIEWER = "Viewer"
    OPERATOR = "Operator"
    EDITOR = "Editor"
    CONNECTION_ADMIN = "Connection admin"
    ADMIN = "Admin"


def make() -> dict[str, str]:
    """Make the control database and the users.

    Returns:
        The key of a session that is signed in, by role.
    """
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    password = make_password(PASSWORD)
    sessions = {}
    for role in Role:
        user = User(username=role, password=password, is_staff=True, is_superuser=role == Role.SUPERUSER)
        user.save()
        user.groups.set(Group.objects.filter(name=role))
        client = Client()
        client.force_login(user)
        sessions[str(role)] = client.cookies["sessionid"].value
    return sessions


def is_worker_up() -> bool:
    """Whether a worker has said that it lives."""
    from migrations_app.models import Heartbeat

    return Heartbeat.objects.filter(name__startswith="worker:").exists()
