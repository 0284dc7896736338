"""What is sent and answered where mappings are run and runs are watched."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from connectors.mapping.base import Contract
from migrations_app.api.paging import Page, PageQuery, in_utc
from migrations_app.enums import EventLevel, RunState, TriggerKind
from migrations_app.error_guide import guide_of
from migrations_app.live import phase_alone
from migrations_app.models import Run

Text = Annotated[str, Field(max_length=300)]
Moment = Annotated[datetime, AfterValidator(in_utc)]
LONGEST_WAIT_S = 30
_UNTOLD = "What the error says itself can name a key of a row; it needs the scope state:read."


class Selection(Contract):
    """Some of a mapping's streams; without any key all of them."""

    table: Text | None = Field(default=None, description="only this table, collection, topic or API")
    destination: Text | None = Field(default=None, description="only to this destination")


class StartBody(Selection):
    """Which streams to run."""

    allow_deletes: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = Field(
        default=None, description="approve up to so many deletions that mirroring's guard refuses"
    )


class BackfillBody(Contract):
    """A range of one table that is to be read again: by keys, or by bookmarks. Both ends are included."""

    table: Text = Field(description="the table, collection, topic or API")
    destination: Text | None = Field(default=None, description="only to this destination")
    from_key: Text | None = Field(default=None, description="lowest key; a JSON list for a key of several columns")
    to_key: Text | None = Field(default=None, description="highest key")
    since: Text | None = Field(default=None, description="earliest bookmark, ISO 8601; without zone: the settings'")
    until: Text | None = Field(default=None, description="latest bookmark")


class WaitQuery(Contract):
    """How long to wait for the end."""

    wait: Annotated[int, Field(ge=0, le=LONGEST_WAIT_S)] = Field(
        default=0, description="seconds to wait for the end before answering"
    )


class RunQuery(PageQuery):
    """Which runs."""

    mapping: Text | None = Field(default=None, description="only of this mapping")
    table: Text | None = Field(default=None, description="only of this table, collection, topic or API")
    destination: Text | None = Field(default=None, description="only to this destination")
    state: RunState | None = Field(default=None, description="only those in this state")
    trigger: TriggerKind | None = Field(default=None, description="only those that were started so")
    trigger_id: UUID | None = Field(default=None, description="only those that were started together")
    since: Moment | None = Field(default=None, description="only those that were queued then or later")
    until: Moment | None = Field(default=None, description="only those that were queued before")


class LogQuery(Contract):
    """Which lines of a run's log."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(default=0, description="only lines after this id")
    level: EventLevel | None = Field(default=None, description="only lines of this level")
    limit: Annotated[int, Field(ge=1, le=1000)] = Field(default=200, description="lines at a time")


class RunShape(BaseModel):
    """One execution of one stream."""

    id: UUID
    mapping: str
    stream: str
    table: str = Field(description="the table, collection, topic or API")
    destination: str
    state: RunState
    is_final: bool = Field(description="true when the state does not change any more")
    reason: str = Field(
        description="why it is in its state, for people; without state:read what its class of error means"
    )
    error_class: str
    stop_reason: str
    phase: str = Field(description="what goes on; of a backfill also how far it is, for who has state:read")
    trigger: TriggerKind
    trigger_id: UUID
    requested_by: str
    resumes: UUID | None = Field(description="the run that it goes on from")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    read: int
    inserted: int
    updated: int
    deleted: int
    bytes: int
    rows_expected: int | None
    warnings: list[str]
    counters: dict[str, Any]


class RunPage(Page):
    """Runs, the newest first."""

    items: list[RunShape]


class TriggerShape(BaseModel):
    """The runs that were started together."""

    trigger_id: UUID
    is_final: bool = Field(description="true when all of them have ended")
    states: dict[str, int] = Field(description="how many runs are in each state")
    runs: list[RunShape]


class Queued(BaseModel):
    """What was queued."""

    trigger_id: UUID
    runs: list[RunShape]
    busy: list[RunShape] = Field(description="runs of streams that had one already, for which none was queued")


class EventShape(BaseModel):
    """A line of a run's log."""

    id: int
    at: datetime
    level: EventLevel
    message: str


class Log(BaseModel):
    """Lines of a run's log, the oldest first."""

    items: list[EventShape]
    last: int = Field(description="to be sent as after for the lines that follow")


class Stopping(BaseModel):
    """What stopping came to."""

    run: UUID
    stopping: bool = Field(description="false when the run had ended already")


def shape_of(run: Run, *, sees_values: bool) -> RunShape:
    """The answer for a run, which comes with its stream; what can name a key of a row is for who may see keys."""
    stream = run.stream
    same = {name: getattr(run, name) for name in _SAME}
    if not sees_values:
        same |= {"reason": told_of(run) or run.reason, "phase": phase_alone(run.phase)}
    return RunShape(
        id=run.pk,
        mapping=stream.mapping_id,
        stream=stream.unique_id,
        table=stream.name,
        destination=stream.destination_name,
        state=RunState(run.state),
        is_final=not RunState(run.state).is_active,
        trigger=TriggerKind(run.trigger),
        resumes=run.resumes_id,
        bytes=run.byte_count,
        **same,
    )


def told_of(run: Run) -> str:
    """What stands in place of an error's own words: what its class means; empty for ends without an error."""
    if not run.error_class:
        return ""
    guide = guide_of(run.error_class)
    return f"{guide.cause} {guide.remedy} {_UNTOLD}"


_SAME = (
    *("reason", "error_class", "stop_reason", "phase", "trigger_id", "requested_by", "created_at", "started_at"),
    *("finished_at", "seconds", "read", "inserted", "updated", "deleted", "rows_expected", "warnings", "counters"),
)
