"""What is done to a mapping as a whole: pause, resume, test, preview, and its schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from django.db import transaction
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from connectors.mapping.base import Contract
from migrations_app import audit, plans
from migrations_app.api.bodies import read_body
from migrations_app.api.mapping_shapes import EndShape
from migrations_app.api.mappings import find_mapping
from migrations_app.api.run_shapes import Selection, Text
from migrations_app.api.view import ApiView, answer, operation
from migrations_app.enums import Scope
from migrations_app.models import Stream
from migrations_app.scheduling.coming import coming
from migrations_app.settings_io import schedule_settings
from migrations_app.verbs import connections, pausing
from migrations_app.verbs.preview import ROWS, as_dict, preview


class Paused(BaseModel):
    """Whether a mapping is scheduled."""

    mapping: str
    enabled: bool = Field(description="false when nothing of it is scheduled")
    paused: list[str] = Field(description="streams that are paused by themselves")


class TestResult(BaseModel):
    """What a connection test found."""

    # pytest takes a class of this name for a test.
    __test__ = False

    ok: bool = Field(description="false when a run could not work")
    ends: list[EndShape]


class PreviewBody(Contract):
    """Which rows to show."""

    table: Text = Field(description="the table, collection, topic or API")
    rows: Annotated[int, Field(ge=1, le=100)] = Field(default=ROWS, description="how many rows")


class PreviewShape(BaseModel):
    """Rows as they would arrive: renamed, cast and masked."""

    columns: list[dict[str, Any]]
    rows: list[dict[str, str | None]]


class ScheduleQuery(Contract):
    """How much of a schedule."""

    next: Annotated[int, Field(ge=1, le=100)] = Field(default=5, description="due times of each stream")


class ComingShape(BaseModel):
    """One stream's schedule."""

    stream: str
    cron: str
    next: list[str] = Field(description="due times in the time zone of the settings")
    skips: int = Field(description="due times at which it was still busy")
    misfires: int = Field(description="times at which one run made up for several")
    problem: str = Field(description="why the cron cannot be followed; empty for no problem")


class ScheduleShape(BaseModel):
    """What of a mapping runs when."""

    is_on: bool = Field(description="false when fastapi_server is off in the settings, and nothing is scheduled")
    timezone: str
    streams: list[ComingShape]


class PauseView(ApiView):
    """Pausing."""

    @operation(
        "pause_mapping",
        "Pause a mapping",
        scope=Scope.RUN_WRITE,
        body=Selection,
        answers={200: Paused},
        refusals=(404,),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """Nothing of it, or of the streams that are selected, is scheduled any more. What runs goes on to its end."""
        return _scheduled(self.actor, "pause", pausing.pause, request, mapping_id)


class ResumeView(ApiView):
    """Resuming."""

    @operation(
        "resume_mapping",
        "Resume a mapping",
        scope=Scope.RUN_WRITE,
        body=Selection,
        answers={200: Paused},
        refusals=(404,),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """It is scheduled again; without a selection all of it, streams that were paused by themselves included."""
        return _scheduled(self.actor, "resume", pausing.resume, request, mapping_id)


class TestView(ApiView):
    """Testing connections."""

    # pytest takes a class of this name for a test.
    __test__ = False

    @operation(
        "test_mapping",
        "Test the connections of a mapping",
        scope=Scope.CONNECTION_TEST,
        answers={200: TestResult},
        refusals=(404, 409, 422, 424),
    )
    def post(self, _request: Request, mapping_id: str) -> Response:
        """Both ends, step by step. Nothing stays behind at either."""
        ends = connections.test_ends(find_mapping(mapping_id).pk)
        return answer(test_result(ends))


class PreviewView(ApiView):
    """Looking at rows."""

    @operation(
        "preview_mapping",
        "See some rows as they would arrive",
        scope=Scope.DATA_READ,
        body=PreviewBody,
        answers={200: PreviewShape},
        refusals=(404, 409, 424),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """Reads the source and writes nothing. Masked columns are masked here too."""
        mapping = find_mapping(mapping_id)
        body = read_body(request, PreviewBody)
        built = plans.build(mapping.pk, table=body.table)
        if not built:
            return answer(PreviewShape(columns=[], rows=[]))
        return answer(PreviewShape.model_validate(_preview(built[0], body.rows)))


class ScheduleView(ApiView):
    """What runs when."""

    @operation(
        "get_schedule",
        "See when a mapping runs",
        scope=Scope.MAPPING_READ,
        query=ScheduleQuery,
        answers={200: ScheduleShape},
        refusals=(404,),
    )
    def get(self, _request: Request, mapping_id: str) -> Response:
        """The next due times of its streams that have a schedule, the earliest first."""
        query: Any = self.query
        mapping = find_mapping(mapping_id)
        is_on, zone = schedule_settings()
        found = coming(Stream.objects.filter(mapping=mapping), zone, query.next)
        shapes = [ComingShape.model_validate(each, from_attributes=True) for each in found]
        return answer(ScheduleShape(is_on=is_on, timezone=zone, streams=shapes))


def test_result(ends: list[connections.TestedEnd]) -> TestResult:
    """The answer for tested ends."""
    return TestResult(
        ok=not any(each.has_failed for each in ends), ends=[EndShape.model_validate(each.as_dict()) for each in ends]
    )


def _preview(plan: plans.Plan, rows: int) -> dict[str, Any]:
    return as_dict(preview(plan, row_count=rows))


def _scheduled(
    actor: audit.Actor, action: str, verb: Callable[..., None], request: Request, mapping_id: str
) -> Response:
    """Pause or resume what the body selects, and say what is scheduled then."""
    mapping = find_mapping(mapping_id)
    body = read_body(request, Selection)
    with transaction.atomic():
        verb(mapping, table=body.table, destination=body.destination)
        audit.record(actor, action, mapping, details=body.model_dump(exclude_none=True))
    mapping.refresh_from_db()
    names = list(mapping.streams.filter(paused=True).values_list("unique_id", flat=True))
    return answer(Paused(mapping=mapping.pk, enabled=mapping.enabled, paused=names))
