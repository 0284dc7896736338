"""Checkpoints: read, and reset under conditions that nobody meets by accident."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from django.utils.crypto import salted_hmac
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from connectors.mapping import Issue, MappingError
from connectors.mapping.base import Contract
from migrations_app import plans
from migrations_app.api.bodies import read_body
from migrations_app.api.mappings import find_mapping
from migrations_app.api.problems import Problem
from migrations_app.api.run_shapes import Selection, Text
from migrations_app.api.view import ApiView, answer, operation
from migrations_app.enums import Scope
from migrations_app.models import Mapping, Stream
from migrations_app.plans import Plan
from migrations_app.runs import AlreadyRunningError
from migrations_app.senders import request_id_of
from migrations_app.verbs import pausing, reset
from migrations_app.verbs.keys import read_key
from migrations_app.verbs.registering import LockedError, StaleError

logger = logging.getLogger(__name__)


class CheckpointShape(BaseModel):
    """The place that a stream has reached, as our own record has it; the destination's wins over it."""

    stream: str
    table: str = Field(description="the table, collection, topic or API")
    destination: str
    position: dict[str, Any] | None = Field(description="null before the first commit")
    epoch: int
    rows_total: int = Field(description="rows that all runs have written")
    updated_at: str | None


class Checkpoints(BaseModel):
    """The places of a mapping's streams; the ETag stands for all of them."""

    items: list[CheckpointShape]


class ResetBody(Contract):
    """What to reset, and why."""

    table: Text | None = Field(default=None, description="only this table, collection, topic or API")
    destination: Text | None = Field(default=None, description="only to this destination")
    to_key: Text | None = Field(
        default=None, description="go on above this key instead of copying everything; needs one table"
    )
    release: bool = Field(default=False, description="give the tables up, so that another stream may write them")
    reason: Annotated[str, Field(min_length=3, max_length=500)] = Field(description="why, for the log")


#: In place of places, which hold keys of rows.
_UNTOLD = "it needs the scope state:read"


class ResetQuery(Contract):
    """How to reset."""

    dry_run: bool = Field(default=False, description="change nothing; answer what would happen")


class ResetShape(BaseModel):
    """What a reset did, or would do, to one stream."""

    stream: str
    before: str
    after: str
    next_run: str
    releases_table: bool


class ResetResult(BaseModel):
    """What a reset did, or would do."""

    done: bool = Field(description="false in a dry run")
    streams: list[ResetShape]


class CheckpointView(ApiView):
    """Reading them."""

    @operation(
        "get_checkpoints",
        "See how far streams are",
        scope=Scope.STATE_READ,
        query=Selection,
        answers={200: Checkpoints},
        refusals=(404,),
    )
    def get(self, _request: Request, mapping_id: str) -> Response:
        """Positions hold the last key that was copied. The ETag is what a reset of the same selection asks for."""
        query: Any = self.query
        streams = _streams(find_mapping(mapping_id), query.table, query.destination)
        return answer(Checkpoints(items=[_shape(stream) for stream in streams]), ETag=_etag(streams))


class ResetView(ApiView):
    """Resetting them."""

    @operation(
        "reset_checkpoints",
        "Copy anew, or go on from a key",
        scope=Scope.STATE_WRITE,
        query=ResetQuery,
        body=ResetBody,
        headers={"If-Match": "ETag of the checkpoints of the same selection; required unless it is a dry run"},
        answers={200: ResetResult},
        refusals=(404, 409, 412, 423, 424, 428),
    )
    def post(self, request: Request, mapping_id: str) -> Response:
        """No row is removed. The mapping, or the streams, have to be paused, and no run may be active."""
        query: Any = self.query
        mapping = find_mapping(mapping_id)
        body = read_body(request, ResetBody)
        streams = _streams(mapping, body.table, body.destination)
        if not query.dry_run:
            _check(request, streams)
        planned = plans.build(mapping.pk, table=body.table, destination=body.destination)
        if body.to_key is not None and len({plan.stream.spec.name for plan in planned}) > 1:
            message = "is that of one table, and several are selected; choose one with table"
            raise MappingError([Issue(("to_key",), message)])
        to_key = read_key("to_key", body.to_key, planned)
        described = [(plan, reset.describe(plan, to_key=to_key, release=body.release)) for plan in planned]
        if not query.dry_run:
            self._carry_out(described, body.reason)
        hidden = {} if self.caller.sees_values else dict.fromkeys(("before", "after"), _UNTOLD)
        shapes = [ResetShape.model_validate(each.as_dict() | hidden) for _, each in described]
        return answer(ResetResult(done=not query.dry_run, streams=shapes))

    def _carry_out(self, described: list[tuple[Plan, reset.Reset]], reason: str) -> None:
        try:
            for plan, _ in described:
                reset.refuse_while_running(plan)
            for plan, each in described:
                reset.carry_out(plan, each, by=self.actor, reason=reason)
                extra = {
                    "action": "reset",
                    "stream": each.stream_id,
                    "caller": self.caller.name,
                    "request_id": request_id_of(self.request),
                }
                logger.warning("checkpoint reset: %s", reason.replace("\n", " "), extra=extra)
        except AlreadyRunningError as error:
            raise LockedError(str(error)) from error


def _check(request: Request, streams: list[Stream]) -> None:
    given = request.headers.get("If-Match")
    if given is None:
        raise Problem(428, "if_match_needed", "read the checkpoints first, and send their ETag as If-Match")
    if running := [stream for stream in streams if not pausing.is_paused(stream)]:
        message = f"{running[0].unique_id} is not paused; pause the mapping first, and resume it afterwards"
        raise Problem(409, "not_paused", message)
    if given.strip() != _etag(streams):
        message = "the checkpoints are others by now; read them again, and send their ETag as If-Match"
        raise StaleError(message)


def _streams(mapping: Mapping, table: str | None, destination: str | None) -> list[Stream]:
    chosen = {"name": table, "destination_name": destination}
    wanted = {key: value for key, value in chosen.items() if value is not None}
    return list(mapping.streams.filter(**wanted).select_related("checkpoint", "mapping").order_by("unique_id"))


def _shape(stream: Stream) -> CheckpointShape:
    checkpoint = getattr(stream, "checkpoint", None)
    return CheckpointShape(
        stream=stream.unique_id,
        table=stream.name,
        destination=stream.destination_name,
        position=checkpoint.position if checkpoint else None,
        epoch=stream.epoch,
        rows_total=checkpoint.rows_total if checkpoint else 0,
        updated_at=checkpoint.updated_at.isoformat() if checkpoint else None,
    )


def _etag(streams: list[Stream]) -> str:
    text = repr([_shape(stream).model_dump() for stream in streams])
    return f'"{salted_hmac("migrations_app.checkpoints", text, algorithm="sha256").hexdigest()[:32]}"'
