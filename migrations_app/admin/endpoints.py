"""Sources and destinations in the admin."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.text import Truncator

from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.discovering import DiscoveringAdmin
from migrations_app.admin.endpoint_form import EndpointForm, endpoint_form
from migrations_app.admin.endpoint_shown import shown_fields
from migrations_app.admin.endpoint_testing import TestedAdmin
from migrations_app.admin.managing import ManagedElsewhere
from migrations_app.admin.posting import Done, posted, url_of
from migrations_app.admin.users_of import NAMED, users_of, why_kept
from migrations_app.endpoints_io import DESTINATION, SOURCE, Row
from migrations_app.models import Destination, Source
from migrations_app.templatetags.dms import ago, status

_NAME_LENGTH = 200
_ADDRESS_LENGTH = 60


class EndpointAdmin(ManagedElsewhere, TestedAdmin, BaseAdmin):
    """What both have in common."""

    search_fields = ("name",)
    ordering = ("name",)
    change_form_outer_before_template = "parts/endpoint_head.html"
    change_form_after_template = "parts/endpoint_test.html"
    change_form_outer_after_template = "parts/endpoint_users.html"

    class Media:
        css = {"all": ("dms/endpoints.css",)}  # noqa: RUF012 - Django's form
        js = ("dms/endpoints.js", "dms/steps.js")

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the number of mappings that use each."""
        return super().get_queryset(request).annotate(mapping_count=Count("mappings", distinct=True))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A line for each field, since whole lines appear and disappear with the kind."""
        if obj is not None and not self.has_change_permission(request, obj):
            return [(None, {"fields": shown_fields(self.kind, self._form_class().base_fields, obj)})]
        names = [name for name in self._form_class().base_fields if name != "forget"]
        stored = obj.secrets if obj is not None else {}
        return [(None, {"fields": [*names, *(["forget"] if any(stored.values()) else [])]})]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What was tested before it was saved need not be tested again."""
        self.remember_test(request, form, obj)
        super().save_model(request, obj, form, change)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """What stands around the form."""
        row = context.get("original")
        if request.user.has_perm("migrations_app.test_connection"):
            name, of = ("test", row) if row is not None else ("test_new", self.model)
            context["test_url"] = url_of(of, name)
        if row is not None:
            context |= {"users": users_of(row), "users_more": max(0, row.mapping_count - NAMED)}
            context |= {"noun": self.kind.noun, "may_add": self.has_add_permission(request)}
        return super().render_change_form(request, context, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """One that mappings use stays."""
        row = self.get_object(request, object_id)
        if row is not None and self.has_delete_permission(request, row) and row.mapping_count:
            messages.error(request, why_kept(row, self.kind.noun))
            return HttpResponseRedirect(self.page_of(request, row))
        return super().delete_view(request, object_id, extra_context)

    def clone_row(self, request: HttpRequest, row: Row) -> Done:
        """A second one of another name, secrets included: it says the same place."""
        made = copy(row)
        made.pk, made.name, made.sent = None, _free_name(row), None
        made.save(force_insert=True)
        sentence = f"{made.name} is a copy of {row.name}; change what is to be different, and save."
        return Done(sentence, to=self.page_of(request, made), details={"copy": made.name})

    @admin.display(description="used by", ordering="mapping_count")
    def used_by(self, row: Any) -> str:
        """How many mappings use it."""
        return f"{row.mapping_count} mapping{'' if row.mapping_count == 1 else 's'}" if row.mapping_count else "none"

    @admin.display(description="connection")
    def tested(self, row: Any) -> Any:
        """How its last test ended."""
        if row.last_test is None:
            return "not tested"
        word = row.last_test["outcome"]
        return format_html("{} {}", status(word, row.last_test["steps"]), ago(row.tested_at))

    @admin.display(description="address")
    def place(self, row: Any) -> Any:
        """Host and database, or bucket."""
        address = row.address
        return format_html('<span title="{}">{}</span>', address, _cut(address))

    def _form_class(self) -> type[EndpointForm]:
        form: Any = self.form
        return form  # type: ignore[no-any-return]


def _cut(address: str) -> str:
    """As much as a list has room for: of many servers the first, and the database in any case."""
    servers, slash, name = address.rpartition(" / ")
    if not slash:
        return Truncator(name).chars(_ADDRESS_LENGTH)
    name = Truncator(name).chars(_ADDRESS_LENGTH // 2)
    return Truncator(servers).chars(_ADDRESS_LENGTH - len(slash) - len(name)) + slash + name


def _free_name(row: Row) -> str:
    model: Any = type(row)
    for number in range(1, 1000):
        ending = " copy" if number == 1 else f" copy {number}"
        name = row.name[: _NAME_LENGTH - len(ending)] + ending
        if not model.objects.filter(name=name).exists():
            return name
    return f"{row.name[:100]} {row.pk} copy"


def _conditions(form: type[EndpointForm]) -> dict[str, str]:
    key = form.kind.type_key
    return {name: f"{key} == '{name.partition('__')[0]}'" for name in form.base_fields if "__" in name}


@admin.register(Source)
class SourceAdmin(DiscoveringAdmin, EndpointAdmin):
    """Where rows come from."""

    kind = SOURCE
    form = endpoint_form(Source)
    conditional_fields = _conditions(form)
    list_display = ("name", "source_type", "place", "used_by", "tested", "updated_at")
    list_filter = ("source_type",)

    @posted("migrations_app.add_source")
    def clone(self, request: HttpRequest, row: Source) -> Done:
        """Make another one like it."""
        return self.clone_row(request, row)


@admin.register(Destination)
class DestinationAdmin(EndpointAdmin):
    """Where rows go."""

    kind = DESTINATION
    form = endpoint_form(Destination)
    conditional_fields = _conditions(form)
    list_display = ("name", "destination_type", "place", "used_by", "tested", "updated_at")
    list_filter = ("destination_type",)

    @posted("migrations_app.add_destination")
    def clone(self, request: HttpRequest, row: Destination) -> Done:
        """Make another one like it."""
        return self.clone_row(request, row)
