"""Sources and destinations in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.endpoint_form import EndpointForm, endpoint_form
from migrations_app.admin.managing import ManagedElsewhere
from migrations_app.models import Destination, Source


class EndpointAdmin(ManagedElsewhere, BaseAdmin):
    """What both have in common."""

    search_fields = ("name",)
    ordering = ("name",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """A line for each field, since whole lines appear and disappear with the kind."""
        names = [name for name in self._form_class().base_fields if name != "forget"]
        stored = obj.secrets if obj is not None else {}
        return [(None, {"fields": [*names, *(["forget"] if any(stored.values()) else [])]})]

    def _form_class(self) -> type[EndpointForm]:
        form: Any = self.form
        return form  # type: ignore[no-any-return]


def _conditions(form: type[EndpointForm]) -> dict[str, str]:
    return {name: f"{form.kind.type_key} == '{name.partition('__')[0]}'" for name in form.base_fields if "__" in name}


@admin.register(Source)
class SourceAdmin(EndpointAdmin):
    """Where rows come from."""

    form = endpoint_form(Source)
    conditional_fields = _conditions(form)
    list_display = ("name", "source_type", "address", "updated_at")
    list_filter = ("source_type",)


@admin.register(Destination)
class DestinationAdmin(EndpointAdmin):
    """Where rows go."""

    form = endpoint_form(Destination)
    conditional_fields = _conditions(form)
    list_display = ("name", "destination_type", "address", "updated_at")
    list_filter = ("destination_type",)
