"""What is sent and answered where sources, destinations and settings are registered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from connectors.mapping.base import Contract
from migrations_app.api.changes import ChangeShape, shapes_of
from migrations_app.api.mapping_shapes import Allow
from migrations_app.api.mappings import IF_MATCH
from migrations_app.api.paging import Page
from migrations_app.api.run_shapes import Text
from migrations_app.api.view import answer
from migrations_app.impact import Impact
from migrations_app.mapping_io import Outcome
from migrations_app.verbs.registering import Conditions
from migrations_app.verbs.registering_parts import PartRegistration

PUT_HEADERS = IF_MATCH | {"If-None-Match": "* to create only; 412 when it is there"}


class PartQuery(Contract):
    """How a document is registered."""

    dry_run: bool = Field(default=False, description="change nothing; answer what would be changed")
    allow: Allow = Field(default=Allow.NEXT_RUN, description="the greatest impact that is meant")


class SettingsQuery(Contract):
    """How the settings are registered."""

    dry_run: bool = Field(default=False, description="change nothing; answer what would be changed")


class CatalogQuery(Contract):
    """What of a source."""

    database_schema: Text | None = Field(default=None, description="only this schema of the database")


class PartRegistered(BaseModel):
    """What registering has changed, or would change."""

    name: str
    action: Outcome = Field(description="created, changed or unchanged")
    changed: bool
    dry_run: bool
    impact: Impact = Field(description="of all changes on the mappings that use it")
    changes: list[ChangeShape]
    used_by: list[str] = Field(description="mappings that it is part of")


class PartShape(BaseModel):
    """A source or destination, without its document."""

    name: str
    type: str
    address: str = Field(description="host and database, or bucket")
    mappings: int = Field(description="how many mappings use it")
    created_at: datetime
    updated_at: datetime


class PartPage(Page):
    """In the order of their names."""

    items: list[PartShape]


class Catalog(BaseModel):
    """What could be copied from a source, each with a proposal how."""

    source: str
    tables: list[dict[str, Any]]


def put_conditions(request: Request, allow: Impact) -> Conditions:
    """What the headers of a PUT ask for."""
    absent = request.headers.get("If-None-Match", "").strip() == "*"
    return Conditions(etag=request.headers.get("If-Match"), absent=absent, allow=allow)


def registered(name: str, made: PartRegistration, *, dry_run: bool) -> Response:
    """The answer to a PUT."""
    body = PartRegistered(
        name=name,
        action=made.outcome,
        changed=made.outcome is not Outcome.UNCHANGED,
        dry_run=dry_run,
        impact=made.impact,
        changes=shapes_of(made.changes),
        used_by=made.used_by,
    )
    status = 201 if made.outcome is Outcome.CREATED and not dry_run else 200
    return answer(body, status, **({} if dry_run else {"ETag": made.etag}))
