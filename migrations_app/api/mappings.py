"""Mappings: registered, read and forgotten under the id that the caller chooses."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Count, Prefetch, Q
from rest_framework.request import Request
from rest_framework.response import Response

from connectors import mapping as contract
from migrations_app import mapping_io, sent
from migrations_app.api.bodies import JsonParser, PythonParser, YamlParser, read_object
from migrations_app.api.mapping_shapes import (
    DOCUMENT,
    SHOWN,
    MappingPage,
    MappingQuery,
    MappingShape,
    MappingStatus,
    PutQuery,
    Registered,
    StreamShape,
    registered,
)
from migrations_app.api.paging import by_key
from migrations_app.api.problems import Mistake, Problem, not_found
from migrations_app.api.view import ApiView, answer, nothing, operation
from migrations_app.enums import ACTIVE_STATES, Scope
from migrations_app.impact import Impact
from migrations_app.mapping_io import Outcome
from migrations_app.models import Mapping, Run
from migrations_app.verbs import connections, registering
from migrations_app.verbs.connections import TestedEnd
from migrations_app.verbs.registering import Conditions, Marker, Wanted

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
NOT_AN_ID = "the id of a mapping is made of letters, digits, dashes and underscores, at most 100 of them"
IF_MATCH = {"If-Match": "ETag of the version that the change is meant for; 412 when it is another one by now"}
_PUT_HEADERS = IF_MATCH | {"If-None-Match": "* to create only; 412 when the mapping is there"}
_FILE: dict[str, Any] = {"type": "string", "description": "a mapping file as it is"}


def find_mapping(mapping_id: str) -> Mapping:
    """The mapping of that id.

    Raises:
        Problem: There is none.
    """
    row = Mapping.objects.select_related("source").filter(pk=mapping_id).first() if is_id(mapping_id) else None
    if row is None:
        raise not_found(mapping_id, noun="mapping")
    return row


def is_id(text: str) -> bool:
    """Whether a mapping can be called so."""
    return _ID.fullmatch(text) is not None


def check_id(mapping_id: str) -> None:
    """Refuse what is no id of a mapping.

    Raises:
        Problem: As it says.
    """
    if not is_id(mapping_id):
        mistake = Mistake(parameter="mapping_id", code="invalid", detail=NOT_AN_ID)
        raise Problem(422, "document_invalid", NOT_AN_ID, errors=[mistake])


def tested(mapping_id: str, parsed: contract.Mapping, *, dry_run: bool) -> list[TestedEnd]:
    """Both ends of a document that is not stored yet.

    Raises:
        Problem: A step fails, and it is not only a dry run.
    """
    ends = connections.test_document(mapping_id, mapping_io.resolved(parsed))
    failed = [each for each in ends if each.has_failed]
    if failed and not dry_run:
        mistakes = [
            Mistake(pointer="/" + each.end.replace(" ", "/", 1), code="test_failed", detail=each.steps[-1].detail)
            for each in failed
        ]
        raise Problem(424, "test_failed", "the connection test failed, and nothing was changed", errors=mistakes)
    return ends


class MappingsView(ApiView):
    """All mappings."""

    @operation(
        "list_mappings",
        "List mappings",
        scope=Scope.MAPPING_READ,
        query=MappingQuery,
        answers={200: MappingPage},
    )
    def get(self, _request: Request) -> Response:
        """In the order of their ids, without their documents."""
        query: Any = self.query
        rows = _with_counts().all()
        for name in ("managed_by", "bundle", "enabled"):
            if getattr(query, name) is not None:
                rows = rows.filter(**{name: getattr(query, name)})
        found, cursor = by_key(rows, query)
        return answer(MappingPage(items=[MappingShape(**_shape(row)) for row in found], next_cursor=cursor))


class MappingView(ApiView):
    """One mapping."""

    parser_classes = (JsonParser, PythonParser, YamlParser)

    @operation(
        "get_mapping",
        "Read a mapping",
        scope=Scope.MAPPING_READ,
        answers={200: SHOWN},
        refusals=(404, 409, 422),
    )
    def get(self, _request: Request, mapping_id: str) -> Response:
        """The document as it was sent, with secrets masked, and its version as ETag."""
        row = find_mapping(mapping_id)
        stored = mapping_io.load_contract(row)
        return answer(sent.show(row.sent, stored), ETag=registering.etag_of(stored))

    @operation(
        "put_mapping",
        "Register a mapping",
        scope=Scope.MAPPING_WRITE,
        query=PutQuery,
        body={"application/json": DOCUMENT, "text/x-python": _FILE, "application/yaml": _FILE},
        headers=_PUT_HEADERS,
        answers={200: Registered, 201: Registered},
        refusals=(409, 412, 423, 424),
    )
    def put(self, request: Request, mapping_id: str) -> Response:
        """Create the mapping, or make it what the document says. Sending the same again changes nothing.

        A secret that the document shows as ******** stays what it is, while the part around it names the same server.
        Changes whose impact is greater than `allow` are refused (409), and so is, while a run is active, whatever
        reaches further than the next run (423). Other changes count from the next run on.
        """
        query: Any = self.query
        check_id(mapping_id)
        if query.connect:
            self.need(Scope.CONNECTION_TEST)
        raw = read_object(request)
        parsed = registering.read(mapping_id, raw)
        ends = tested(mapping_id, parsed, dry_run=query.dry_run) if query.connect else []
        wanted = Wanted(mapping_id, raw, parsed, _marker(query))
        conditions = Conditions(
            etag=request.headers.get("If-Match"),
            absent=request.headers.get("If-None-Match", "").strip() == "*",
            allow=Impact(query.allow),
        )
        made = registering.register(wanted, conditions, dry_run=query.dry_run, by=self.actor)
        body = registered(made, dry_run=query.dry_run, tests=ends)
        status = 201 if made.outcome is Outcome.CREATED and not query.dry_run else 200
        return answer(body, status, **({} if query.dry_run else {"ETag": made.etag}))

    @operation(
        "delete_mapping",
        "Forget a mapping",
        scope=Scope.MAPPING_WRITE,
        headers=IF_MATCH,
        answers={204: None},
        refusals=(404, 412, 423),
    )
    def delete(self, request: Request, mapping_id: str) -> Response:
        """With its streams and their history. No row at a destination is touched."""
        row = find_mapping(mapping_id)
        try:
            registering.remove(row.pk, etag=request.headers.get("If-Match"), by=self.actor)
        except Mapping.DoesNotExist:
            raise not_found(mapping_id, noun="mapping") from None
        return nothing()


class MappingStatusView(ApiView):
    """One mapping and how it is."""

    @operation(
        "get_mapping_status",
        "See how a mapping is",
        scope=Scope.MAPPING_READ,
        answers={200: MappingStatus},
        refusals=(404,),
    )
    def get(self, _request: Request, mapping_id: str) -> Response:
        """Where it comes from, and each stream with its last outcome."""
        find_mapping(mapping_id)
        row = _with_counts().get(pk=mapping_id)
        active = Run.objects.filter(state__in=ACTIVE_STATES).only("pk", "stream_id")
        streams = row.streams.select_related("totals").prefetch_related(Prefetch("runs", active, to_attr="active_runs"))
        return answer(MappingStatus(**_shape(row), stream_list=[_stream(stream) for stream in streams]))


def _with_counts() -> Any:
    return Mapping.objects.select_related("source").annotate(
        stream_count=Count("streams", filter=Q(streams__active=True))
    )


def _shape(row: Any) -> dict[str, Any]:
    names = ("id", "enabled", "description", "managed_by", "origin", "bundle", "created_at", "updated_at")
    shape = {name: getattr(row, name) for name in names}
    return shape | {"source_type": row.source.source_type, "streams": row.stream_count}


def _stream(stream: Any) -> StreamShape:
    totals = getattr(stream, "totals", None)
    return StreamShape(
        stream=stream.unique_id,
        name=stream.name,
        destination=stream.destination_name,
        active=stream.active,
        paused=stream.paused,
        last_state=(totals.last_state or None) if totals else None,
        last_success_at=totals.last_success_at if totals else None,
        failures_in_row=totals.failures_in_row if totals else 0,
        active_run=next((str(run.pk) for run in stream.active_runs), None),
    )


def _marker(query: Any) -> Marker | None:
    origin = {name: getattr(query, name) for name in ("repository", "commit", "path") if getattr(query, name)}
    if query.managed_by is None:
        return None
    return Marker(query.managed_by, origin if query.managed_by else {})
