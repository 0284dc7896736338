"""Sources and destinations by themselves."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.db.models import Count
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app import sent
from migrations_app.api.bodies import read_object
from migrations_app.api.commands import TestResult, test_result
from migrations_app.api.mapping_shapes import SHOWN
from migrations_app.api.mappings import IF_MATCH
from migrations_app.api.paging import PageQuery, by_name
from migrations_app.api.part_shapes import (
    PUT_HEADERS,
    Catalog,
    CatalogQuery,
    PartPage,
    PartQuery,
    PartRegistered,
    PartShape,
    put_conditions,
    registered,
)
from migrations_app.api.problems import Mistake, Problem, not_found
from migrations_app.api.view import ApiView, answer, nothing, operation
from migrations_app.endpoints_io import DESTINATION, SOURCE, EndpointKind
from migrations_app.enums import Scope
from migrations_app.impact import Impact
from migrations_app.models import Destination, Source
from migrations_app.verbs import connections, registering_parts
from migrations_app.verbs.discover import as_dict, discover_source
from migrations_app.verbs.registering import etag_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,198}")


class _EndpointView(ApiView):
    """What sources and destinations have in common."""

    kind: ClassVar[EndpointKind]

    def find(self, name: str) -> Any:
        """The row of that name."""
        model: Any = self.kind.model
        row = model.objects.filter(name=name).first() if "\0" not in name else None
        if row is None:
            raise not_found(name, noun=self.kind.noun)
        return row

    def page(self) -> Response:
        """The list."""
        model: Any = self.kind.model
        query: Any = self.query
        found, cursor = by_name(model.objects.annotate(mapping_count=Count("mappings", distinct=True)), query)
        items = [
            PartShape(
                name=row.name,
                type=getattr(row, self.kind.type_key),
                address=row.address,
                mappings=row.mapping_count,
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
            for row in found
        ]
        return answer(PartPage(items=items, next_cursor=cursor))

    def shown(self, name: str) -> Response:
        """The document."""
        row = self.find(name)
        stored = self.kind.load(row)
        return answer(sent.show(row.sent, stored), ETag=etag_of(stored))

    def register(self, request: Request, name: str) -> Response:
        """Create or change."""
        query: Any = self.query
        if not _NAME.fullmatch(name):
            detail = "a name is made of letters, digits and . _ : -, at most 199 of them"
            mistake = Mistake(parameter="name", code="invalid", detail=detail)
            raise Problem(422, "document_invalid", detail, errors=[mistake])
        conditions = put_conditions(request, Impact(query.allow))
        raw = read_object(request)
        made = registering_parts.register_endpoint(
            self.kind, name, raw, conditions, dry_run=query.dry_run, by=self.actor
        )
        return registered(name, made, dry_run=query.dry_run)

    def remove(self, request: Request, name: str) -> Response:
        """Forget it."""
        etag = request.headers.get("If-Match")
        registering_parts.remove_endpoint(self.kind, self.find(name), etag=etag, by=self.actor)
        return nothing()


_READING: dict[str, Any] = {"scope": Scope.CONNECTION_READ}
_WRITING: dict[str, Any] = {"scope": Scope.CONNECTION_WRITE}


class SourcesView(_EndpointView):
    """All sources."""

    kind = SOURCE

    @operation("list_sources", "List sources", query=PageQuery, answers={200: PartPage}, **_READING)
    def get(self, _request: Request) -> Response:
        """In the order of their names, without their documents."""
        return self.page()


class SourceView(_EndpointView):
    """One source."""

    kind = SOURCE

    @operation("get_source", "Read a source", answers={200: SHOWN}, refusals=(404, 409, 422), **_READING)
    def get(self, _request: Request, name: str) -> Response:
        """The document as it was sent, with secrets masked, and its version as ETag."""
        return self.shown(name)

    @operation(
        "put_source",
        "Register a source",
        query=PartQuery,
        body={"application/json": {"$ref": "#/components/schemas/Source"}},
        headers=PUT_HEADERS,
        answers={200: PartRegistered, 201: PartRegistered},
        refusals=(409, 412, 423),
        **_WRITING,
    )
    def put(self, request: Request, name: str) -> Response:
        """Create it, or make it what the document says, for all mappings that use it."""
        return self.register(request, name)

    @operation(
        "delete_source",
        "Forget a source",
        headers=IF_MATCH,
        answers={204: None},
        refusals=(404, 409, 412),
        **_WRITING,
    )
    def delete(self, request: Request, name: str) -> Response:
        """Only while no mapping uses it (409)."""
        return self.remove(request, name)


class SourceTestView(_EndpointView):
    """Testing a source."""

    kind = SOURCE

    @operation(
        "test_source",
        "Test the connection to a source",
        scope=Scope.CONNECTION_TEST,
        answers={200: TestResult},
        refusals=(404, 409, 422, 424),
    )
    def post(self, _request: Request, name: str) -> Response:
        """Step by step, up to the first that fails."""
        row: Source = self.find(name)
        return answer(test_result([connections.test_source(row)]))


class CatalogView(_EndpointView):
    """What is in a source."""

    kind = SOURCE

    @operation(
        "get_catalog",
        "See what a source holds",
        query=CatalogQuery,
        answers={200: Catalog},
        refusals=(404, 409, 422, 424),
        **_READING,
    )
    def get(self, _request: Request, name: str) -> Response:
        """Its tables with keys, bookmarks and a proposal how to copy each; no row is read."""
        if self.caller.is_person:
            # The source is asked for it, which people may have done who may test connections.
            self.need(Scope.CONNECTION_TEST)
        query: Any = self.query
        row: Source = self.find(name)
        found = discover_source(row, schema=query.database_schema)
        return answer(Catalog(source=name, tables=[as_dict(table) for table in found]))


class DestinationsView(_EndpointView):
    """All destinations."""

    kind = DESTINATION

    @operation(
        "list_destinations",
        "List destinations",
        query=PageQuery,
        answers={200: PartPage},
        **_READING,
    )
    def get(self, _request: Request) -> Response:
        """In the order of their names, without their documents."""
        return self.page()


class DestinationView(_EndpointView):
    """One destination."""

    kind = DESTINATION

    @operation(
        "get_destination",
        "Read a destination",
        answers={200: SHOWN},
        refusals=(404, 409, 422),
        **_READING,
    )
    def get(self, _request: Request, name: str) -> Response:
        """The document as it was sent, with secrets masked, and its version as ETag."""
        return self.shown(name)

    @operation(
        "put_destination",
        "Register a destination",
        query=PartQuery,
        body={"application/json": {"$ref": "#/components/schemas/Destination"}},
        headers=PUT_HEADERS,
        answers={200: PartRegistered, 201: PartRegistered},
        refusals=(409, 412, 423),
        **_WRITING,
    )
    def put(self, request: Request, name: str) -> Response:
        """Create it, or make it what the document says, for all mappings that use it."""
        return self.register(request, name)

    @operation(
        "delete_destination",
        "Forget a destination",
        headers=IF_MATCH,
        answers={204: None},
        refusals=(404, 409, 412),
        **_WRITING,
    )
    def delete(self, request: Request, name: str) -> Response:
        """Only while no mapping uses it (409). No row there is touched."""
        return self.remove(request, name)


class DestinationTestView(_EndpointView):
    """Testing a destination."""

    kind = DESTINATION

    @operation(
        "test_destination",
        "Test the connection to a destination",
        scope=Scope.CONNECTION_TEST,
        answers={200: TestResult},
        refusals=(404, 409, 422, 424),
    )
    def post(self, _request: Request, name: str) -> Response:
        """Step by step, up to the first that fails. Nothing stays behind."""
        row: Destination = self.find(name)
        return answer(test_result([connections.test_destination(row)]))
