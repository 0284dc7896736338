"""Forms of sources and destinations as a browser sends them, and people who may do some of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from controlplane.sandbox import S3Server
from tests.databases import PgDatabase


def source_form(database: PgDatabase, **changes: Any) -> dict[str, Any]:
    """The form of a source."""
    server = database.server
    return {
        "name": "shop db",
        "source_type": "pgsql",
        "pgsql__url": server.host,
        "pgsql__port": str(server.port),
        "pgsql__db_name": database.name,
        "pgsql__username": server.user,
        "pgsql__password": server.password,
    } | changes


def destination_form(database: PgDatabase, **changes: Any) -> dict[str, Any]:
    """The form of a destination."""
    form = source_form(database)
    return {key: value for key, value in form.items() if key != "source_type"} | {
        "name": "warehouse",
        "destination_type": "pgsql",
        "pgsql__schema": "arrived",
        **changes,
    }


def bucket_form(server: S3Server, bucket: str, **changes: Any) -> dict[str, Any]:
    """The form of a bucket."""
    return {
        "name": "lake",
        "destination_type": "s3",
        "s3__endpoint_url": server.endpoint_url,
        "s3__region": server.region,
        "s3__s3_bucket_name": bucket,
        "s3__access_key_id": server.access_key_id,
        "s3__secret_access_key": server.secret_access_key,
    } | changes


def person(*permissions: str) -> Client:
    """Somebody with these permissions of the application, signed in."""
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def do(model: str, name: str, *arguments: object) -> str:
    """The address of an action."""
    return reverse(f"admin:migrations_app_{model}_do_{name}", args=arguments)


def see(model: str, name: str, *arguments: object) -> str:
    """The address of a page."""
    return reverse(f"admin:migrations_app_{model}_see_{name}", args=arguments)


def shown_by(response: Any) -> dict[str, Any]:
    """What the template of an answer was given."""
    assert response.status_code == 200
    return dict(response.context_data)


def steps_of(response: Any) -> dict[str, tuple[str, str]]:
    """Outcome and detail of each step that the answer shows."""
    assert response.status_code == 200
    assert "tested" in response.context_data, response.content.decode()
    return {step.name: (step.outcome, step.detail) for step in response.context_data["tested"].steps}
