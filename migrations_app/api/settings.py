"""The service settings."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app import sent, settings_io
from migrations_app.api.bodies import read_object
from migrations_app.api.mapping_shapes import SHOWN
from migrations_app.api.part_shapes import PUT_HEADERS, PartRegistered, SettingsQuery, put_conditions, registered
from migrations_app.api.problems import Problem
from migrations_app.api.view import ApiView, answer, operation
from migrations_app.enums import Scope
from migrations_app.impact import Impact
from migrations_app.models import ServiceSettings
from migrations_app.verbs import registering_parts
from migrations_app.verbs.registering import etag_of


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
        headers=PUT_HEADERS,
        answers={200: PartRegistered, 201: PartRegistered},
        refusals=(412,),
    )
    def put(self, request: Request) -> Response:
        """All of them; what is left out gets its default."""
        query: Any = self.query
        conditions = put_conditions(request, Impact.DESTRUCTIVE)
        raw = read_object(request)
        made = registering_parts.register_settings(raw, conditions, dry_run=query.dry_run, by=self.actor)
        return registered("settings", made, dry_run=query.dry_run)
