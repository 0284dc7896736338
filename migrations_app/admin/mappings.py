"""Mappings in the admin: one page for a job, its destinations and specs."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html

from connectors.mapping import RedisConfig
from migrations_app import secrets
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.editor import opening
from migrations_app.admin.editor.keys import rules_of
from migrations_app.admin.editor.pages import Editor
from migrations_app.admin.managing import ManagedElsewhere, origin_of
from migrations_app.admin.mapping_actions import MappingActions
from migrations_app.admin.mapping_pages import MappingPages, overview_url
from migrations_app.admin.secret_fields import SecretFormField
from migrations_app.admin.specs import SPEC_INLINES, DestinationInline, MappingPartFormSet, SpecInline
from migrations_app.endpoints_io import part_issues
from migrations_app.enums import ACTIVE_STATES, Noun
from migrations_app.models import Mapping, Run, Stream
from migrations_app.streams import sync_streams

_AT_A_GLANCE = 3
_REDIS = {"redis_url": "redis.url", "redis_password": "redis.password"}


class MappingForm(forms.ModelForm):  # type: ignore[type-arg]
    """The head of a mapping's page."""

    redis_url = SecretFormField(label="Redis url", help_text="Kafka: where records wait for a full batch.")
    redis_password = SecretFormField(label="Redis password")

    class Meta:
        model = Mapping
        fields = ("id", "enabled", "priority", "description", "source", "get_table_name", "process_dict")

    #: Values that the page opens with, not saved.
    drafted: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(self.drafted)
        if "priority" in self.fields:
            self.fields["priority"].required = False
        for name, path in _REDIS.items():
            field = self.fields.get(name)
            if isinstance(field, SecretFormField):
                field.tell(self.instance.secrets.get(path))

    def clean_id(self) -> str:
        """Who has come back to a form that is saved already is told where what it made is."""
        given: str = self.cleaned_data["id"]
        if given != self.instance.pk and Mapping.objects.filter(pk=given).exists():
            there = overview_url(Mapping(pk=given))
            raise forms.ValidationError(
                format_html(
                    'A mapping with this id exists already: <a class="dms-link" href="{}">{}</a>.', there, given
                )
            )
        return given

    def clean_priority(self) -> int:
        """Most mappings have no priority of their own."""
        return self.cleaned_data["priority"] or 0

    def clean(self) -> dict[str, Any]:
        """Take the Redis server over; the mapping as a whole is checked with its lists."""
        cleaned: dict[str, Any] = super().clean() or {}
        source = cleaned.get("source", getattr(self.instance, "source", None))
        given = {path: cleaned[name] for name, path in _REDIS.items() if cleaned.get(name)}
        kept = {} if "redis.url" in given else self.instance.secrets
        sealed = {**kept, **secrets.seal_all(given)} if source and source.source_type == "kafka" else {}
        self.instance.secrets = sealed
        self.instance.redis = {} if sealed else None
        if sealed:
            self._check_redis({path.removeprefix("redis."): value for path, value in sealed.items()})
        return cleaned

    def _check_redis(self, sealed: dict[str, str]) -> None:
        try:
            raw = secrets.unseal_all(sealed)
        except secrets.SecretUnreadableError as error:
            self.add_error(None, str(error))
            return
        for issue in part_issues(RedisConfig, raw):
            self.add_error(f"redis_{issue.loc[0]}", issue.message)


@admin.register(Mapping)
class MappingAdmin(MappingPages, MappingActions, Editor, ManagedElsewhere, BaseAdmin):
    """Jobs: what to copy from where to where, and when."""

    form = MappingForm
    search_fields = ("id", "description")
    list_select_related = ("source",)
    autocomplete_fields = ("source",)
    actions = ("run_now", "pause", "resume")
    fieldsets = (
        (None, {"fields": ("id", "source", "description", "enabled", "priority")}),
        (
            "Kafka",
            {"fields": ("redis_url", "redis_password", "get_table_name", "process_dict"), "classes": ("collapse",)},
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 - Django's signature
        """The id is for good."""
        return ("id",) if obj is not None else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:  # noqa: ARG002 - Django's signature
        """The lists that fit the source; all of them while there is none."""
        if obj is None or obj.source_id is None:
            return [DestinationInline, *SPEC_INLINES.values()]
        return [DestinationInline, SPEC_INLINES[obj.noun]]

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Fold the specs away where there are more than one takes in at a glance."""
        inlines = super().get_inline_instances(request, obj)
        draft = opening.find(request)
        for inline in inlines:
            if isinstance(inline, SpecInline):
                rows: Any = inline.model
                drafted = len(draft.rows.get(inline.model, ())) if draft else 0
                stored = rows.objects.filter(mapping=obj).count() if obj is not None else 0
                inline.collapsible = max(drafted, stored) > _AT_A_GLANCE
        return inlines

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, filled with the draft that the page is opened with."""
        form = super().get_form(request, obj, change=change, **kwargs)
        draft = opening.find(request)
        return form if draft is None else type("DraftedForm", (form,), {"drafted": draft.head})

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """The same for the lists."""
        arguments: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        draft = opening.find(request)
        return arguments if draft is None else arguments | {"drafted": draft.rows.get(inline.model, [])}

    def changeform_view(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Say what the draft that the page is opened with leaves to be done."""
        draft = opening.find(request)
        if opening.is_lost(request):
            messages.warning(request, "What was chosen is not there any more; choose it again.")
        if draft is not None:
            messages.info(request, "Filled in, and not saved yet: look it over, then save.")
            for gap in draft.gaps:
                messages.warning(request, gap)
        return super().changeform_view(request, object_id, *args, **kwargs)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page's script which keys go with which mode."""
        context["editor_rules"] = {noun.plural: rules_of(noun) for noun in Noun}
        return super().render_change_form(request, context, *args, **kwargs)

    def lists_of(self, request: HttpRequest, mapping: Mapping, *, change: bool) -> list[Any]:
        """The lists of the page as they were posted, each by itself."""
        formsets, _ = super()._create_formsets(request, mapping, change)  # type: ignore[misc]
        return list(formsets)

    def _create_formsets(self, request: HttpRequest, obj: Any, change: bool) -> Any:
        formsets, inlines = super()._create_formsets(request, obj, change)  # type: ignore[misc]
        parts = tuple(each for each in formsets if isinstance(each, MappingPartFormSet))
        for formset in parts:
            formset.siblings = parts
        return formsets, inlines

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the lists, then let the streams follow."""
        super().save_related(request, form, formsets, change)
        sync_streams(Mapping.objects.get(pk=form.instance.pk))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Streams and runs go with their mapping, which nobody may delete while it runs.

        They are counted and not listed, as Django does: they may be many thousands, and lines of a log name keys.
        """
        chosen = [each.pk for each in objs]
        runs = Run.objects.filter(stream__mapping__in=chosen)
        counts = {
            Mapping._meta.verbose_name_plural: len(chosen),
            Stream._meta.verbose_name_plural: Stream.objects.filter(mapping__in=chosen).count(),
            Run._meta.verbose_name_plural: runs.count(),
        }
        kept = {Mapping._meta.verbose_name for each in objs if not self.has_delete_permission(request, each)}
        return [str(each) for each in objs], counts, kept, list(map(str, runs.filter(state__in=ACTIVE_STATES)))

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Running is a permission of its own."""
        return request.user.has_perm("migrations_app.run_mapping")

    @admin.display(description="kept", ordering="managed_by")
    def kept(self, mapping: Mapping) -> Any:
        """Where it is kept: here, or in a repository."""
        return origin_of(mapping)
