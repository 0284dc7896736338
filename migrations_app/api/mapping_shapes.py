"""What is sent and answered where mappings are registered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from connectors.mapping.base import Contract
from migrations_app.api.changes import ChangeShape, shapes_of
from migrations_app.api.paging import Page, PageQuery
from migrations_app.impact import Impact
from migrations_app.mapping_io import Outcome
from migrations_app.verbs.registering import Registration

#: A mapping's document in the OpenAPI document, where `openapi.finish` puts it.
DOCUMENT = {"$ref": "#/components/schemas/Mapping"}
SHOWN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "the document as it was sent, with ******** in place of secrets",
}


class Allow(StrEnum):
    """The greatest impact that the caller accepts."""

    NEXT_RUN = "next_run"
    FULL_RECOPY = "full_recopy"
    DESTRUCTIVE = "destructive"


class CheckQuery(Contract):
    """How a document is registered."""

    dry_run: bool = Field(default=False, description="change nothing; answer what would be changed")
    connect: bool = Field(
        default=False, description="test both ends first, and register only when no step fails; needs connection:test"
    )
    allow: Allow = Field(default=Allow.NEXT_RUN, description="the greatest impact that is meant")


Short = Annotated[str, Field(max_length=300)]


class PutQuery(CheckQuery):
    """The same for one mapping, with what keeps it elsewhere."""

    managed_by: Annotated[str, Field(max_length=50)] | None = Field(
        default=None, description="what keeps the mapping, such as ci: pages then only show it; empty to end that"
    )
    repository: Short | None = Field(default=None, description="where it is kept, to be shown")
    commit: Short | None = Field(default=None, description="the commit that was applied, to be shown")
    path: Short | None = Field(default=None, description="the file in the repository, to be shown")


class BundleQuery(CheckQuery):
    """The same for a bundle."""

    prune: bool = Field(default=False, description="remove mappings that this bundle owns and no longer holds")


class Keeper(Contract):
    """What keeps the mappings of a bundle."""

    managed_by: Annotated[str, Field(min_length=1, max_length=50)] = Field(
        default="ci", description="what keeps the mappings"
    )
    repository: Short | None = Field(default=None, description="where they are kept, to be shown")
    commit: Short | None = Field(default=None, description="the commit that was applied, to be shown")


class BundleBody(Contract):
    """A set of mappings."""

    mappings: Annotated[dict[str, dict[str, Any]], Field(max_length=500)] = Field(
        description='mappings by id: the document, or {"file": "shop.py", "text": "..."} for a file as it is'
    )
    keeper: Keeper | None = Field(default=None, description="what keeps them; without it they stay editable here")


class StepShape(BaseModel):
    """One step of a connection test."""

    name: str
    outcome: str = Field(description="ok, warning or failed")
    detail: str = Field(description="what was found, and what to change")


class EndShape(BaseModel):
    """The connection test of one end."""

    end: str = Field(description="source, or destination and its name")
    ok: bool = Field(description="false when a run could not work")
    steps: list[StepShape]


class Registered(BaseModel):
    """What registering has changed, or would change."""

    id: str
    action: Outcome = Field(description="created, changed or unchanged")
    changed: bool = Field(description="false when the document says what is stored already")
    dry_run: bool = Field(description="true when nothing was written")
    impact: Impact = Field(description="of all changes")
    changes: list[ChangeShape] = Field(description="each key that differs; none for a mapping that is created")
    warnings: list[str]
    tests: list[EndShape] = Field(description="with connect=true: what the connection tests found")


class BundleApplied(BaseModel):
    """What applying a bundle has changed, or would change."""

    bundle: str
    changed: bool
    dry_run: bool
    impact: Impact = Field(description="of all changes of all mappings")
    mappings: list[Registered]
    pruned: list[str] = Field(description="mappings that were removed, since the bundle no longer holds them")
    kept: list[str] = Field(description="those that the bundle no longer holds and that stay, without prune=true")


class BundleShape(BaseModel):
    """A bundle."""

    bundle: str
    mappings: list[str] = Field(description="ids of the mappings that it owns")


class MappingQuery(PageQuery):
    """Which mappings."""

    managed_by: str | None = Field(default=None, description="only those that are kept so")
    bundle: str | None = Field(default=None, description="only those of this bundle")
    enabled: bool | None = Field(default=None, description="only those that are scheduled, or are not")


class MappingShape(BaseModel):
    """A mapping, without its document."""

    id: str
    source_type: str
    enabled: bool = Field(description="false when nothing of it is scheduled")
    description: str
    streams: int = Field(description="how many streams it has")
    managed_by: str = Field(description="what keeps it elsewhere; empty for nothing")
    origin: dict[str, str] = Field(description="repository, commit and path, where that is known")
    bundle: str = Field(description="the bundle that owns it; empty for none")
    created_at: datetime
    updated_at: datetime


class MappingPage(Page):
    """Mappings in the order of their ids."""

    items: list[MappingShape]


class StreamShape(BaseModel):
    """A stream of a mapping."""

    stream: str
    name: str = Field(description="the table, collection, topic or API")
    destination: str
    active: bool = Field(description="false when the mapping no longer has it")
    paused: bool
    last_state: str | None = Field(description="how its last run ended; null before any has")
    last_success_at: datetime | None
    failures_in_row: int
    active_run: str | None = Field(description="id of the run that is queued or running; null for none")


class MappingStatus(MappingShape):
    """A mapping and how its streams are."""

    stream_list: list[StreamShape]


def registered(made: Registration, *, dry_run: bool, tests: list[Any] | None = None) -> Registered:
    """The answer for a mapping."""
    return Registered(
        id=made.mapping_id,
        action=made.outcome,
        changed=made.outcome is not Outcome.UNCHANGED,
        dry_run=dry_run,
        impact=made.impact,
        changes=shapes_of(made.changes),
        warnings=made.warnings,
        tests=[EndShape.model_validate(each.as_dict()) for each in tests or []],
    )
