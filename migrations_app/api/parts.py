"""Sources, destinations and the service settings by themselves."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from connectors.mapping.base import Contract
from migrations_app import sent, settings_io
from migrations_app.api.bodies import read_object
from migrations_app.api.changes import ChangeShape, shapes_of
from migrations_app.api.commands import TestResult, test_result
from migrations_app.api.mapping_shapes import SHOWN, Allow
from migrations_app.api.mappings import IF_MATCH
from migrations_app.api.paging import Page, PageQuery, by_name
from migrations_app.api.problems import Mistake, Problem, not_found
from migrations_app.api.run_shapes import Text
from migrations_app.api.view import ApiView, answer, nothing, operation
from migrations_app.endpoints_io import DESTINATION, SOURCE, EndpointKind
from migrations_app.enums import Scope
from migrations_app.impact import Impact
from migrations_app.mapping_io import Outcome
from migrations_app.models import Destination, Source
from migrations_app.verbs import connections, registering_parts
from migrations_app.verbs.discover import as_dict, discover_source
from migrations_app.verbs.registering import Conditions, etag_of
from migrations_app.verbs.registering_parts import PartRegistration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,198}")
_PUT_HEADERS = IF_MATCH | {"If-None-Match": "* to create only; 412 when it is there"}


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
        from django.db.models import Count

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
        made = registering_parts.register_endpoint(self.kind, name, raw, conditions, dry_run=query.dry_run)
        return registered(name, made, dry_run=query.dry_run)

    def remove(self, request: Request, name: str) -> Response:
        """Forget it."""
        registering_parts.remove_endpoint(self.kind, self.find(name), etag=request.headers.get("If-Match"))
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
        headers=_PUT_HEADERS,
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
        headers=_PUT_HEADERS,
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


class SettingsView(ApiView):
    """The service settings."""

    @operation(
        "get_settings",
        "Read the service settings",
        scope=Scope.SETTINGS_READ,
        answers={200: SHOWN},
        refusals=(404, 409),
    )
    def get(self, _request: Request) -> Response:
        """The document as it was sent, with secrets masked, and its version as ETag."""
        from migrations_app.models import ServiceSettings

        row = ServiceSettings.objects.first()
        if row is None:
            raise Problem(404, "not_found", "the service settings are not set yet; put them here")
        stored = settings_io.load_settings()
        return answer(sent.show(row.sent, stored), ETag=etag_of(stored))

    @operation(
        "put_settings",
        "Set the service settings",
        scope=Scope.SETTINGS_WRITE,
        query=SettingsQuery,
        body={"application/json": {"$ref": "#/components/schemas/Settings"}},
        headers=_PUT_HEADERS,
        answers={200: PartRegistered, 201: PartRegistered},
        refusals=(412,),
    )
    def put(self, request: Request) -> Response:
        """All of them; what is left out gets its default."""
        query: Any = self.query
        conditions = put_conditions(request, Impact.DESTRUCTIVE)
        made = registering_parts.register_settings(read_object(request), conditions, dry_run=query.dry_run)
        return registered("settings", made, dry_run=query.dry_run)
