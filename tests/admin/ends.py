"""Forms of sources and destinations as a browser sends them, and people who may do some of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from controlplane.sandbox import S3Server
from tests.admin.people import staff
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
    return staff(*permissions, name="bob")


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


_STEP = re.compile(
    r'<li class="dms-step"[^>]*> <span class="dms-status .*?</span>(\w+)</span>'
    r' <span class="dms-step-name">(.*?)</span> <span class="dms-step-detail">(.*?)</span> </li>\n'
)


@dataclass(frozen=True)
class Answer:
    """The answer to a connection test, as far as it has come.

    Attributes:
        text: Its lines: a step each, and at last the verdict.
    """

    text: str

    @property
    def told(self) -> list[tuple[str, str]]:
        """Name and outcome of each step, once as it began and once as it ended."""
        return [(unescape(name), outcome) for outcome, name, _ in _STEP.findall(self.text)]

    @property
    def steps(self) -> dict[str, tuple[str, str]]:
        """Outcome and detail of each step that has ended."""
        found = {unescape(name): (outcome, unescape(detail)) for outcome, name, detail in _STEP.findall(self.text)}
        return {name: (outcome, detail) for name, (outcome, detail) in found.items() if outcome != "running"}

    @property
    def verdict(self) -> str:
        """What it has come to, as text; empty before the end."""
        line = next((line for line in self.text.splitlines() if "data-dms-verdict" in line), "")
        return unescape(re.sub(r"<[^>]+>", "", line)).strip()

    @property
    def mistakes(self) -> list[tuple[str, str]]:
        """Field and message of each mistake for which nothing was tested."""
        return [
            (field, unescape(message))
            for field, message in re.findall(r"<li>(?:<code>(.*?)</code> )?(.*?)</li>", self.text)
        ]


def ask_test(client: Client, path: str, form: dict[str, Any] | None = None) -> Answer:
    """Ask for a connection test, and read the whole answer."""
    response: Any = client.post(path, form or {})
    assert response.status_code == 200
    return Answer(response.getvalue().decode())
