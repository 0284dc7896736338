"""The service settings in the admin: one row, checked by the contract, tested before it is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from connectors import mapping as contract
from connectors.steps import FAILED
from connectors.verbs import Step
from migrations_app import audit, secrets, settings_io
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.installation import installation
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import Done, posted, shown
from migrations_app.admin.settings_document import DUMPS, read_document
from migrations_app.admin.settings_form import ZONES_ID, ServiceSettingsForm, column_of
from migrations_app.admin.settings_sections import SECTIONS, Section
from migrations_app.admin.stepwise import Test, answer_stepwise
from migrations_app.mapping_io import Outcome
from migrations_app.models import ServiceSettings
from migrations_app.verbs import service
from migrations_app.verbs.connections import TestedEnd
from migrations_app.verbs.registering import Conditions
from migrations_app.verbs.registering_parts import register_settings

_VIEW = "migrations_app.view_servicesettings"
_CHANGE = "migrations_app.change_servicesettings"
_UNREADABLE = (contract.MappingError, secrets.SecretUnreadableError)


@admin.register(ServiceSettings)
class ServiceSettingsAdmin(BaseAdmin):
    """One row: the list leads to it."""

    form = ServiceSettingsForm
    change_form_template = "pages/settings.html"
    fieldsets = tuple((each.title, {"fields": each.fields, "description": each.words}) for each in SECTIONS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row at most."""
        return super().has_add_permission(request) and not ServiceSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """No run starts without settings."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the only row, or to its making."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = ServiceSettings.objects.first()
        if row is not None:
            return redirect(reverse("admin:migrations_app_servicesettings_change", args=(row.pk,)))
        if self.has_add_permission(request):
            return redirect(reverse("admin:migrations_app_servicesettings_add"))
        return super().changelist_view(request, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what only does something, for whoever may only look."""
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return fieldsets
        return [(title, {**parts, "fields": _without_forget(parts)}) for title, parts in fieldsets]

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form, with what can be tested of it, and what the environment decides."""
        known = {
            "dms_tests": {section.title: self._offered(section) for section in SECTIONS},
            "dms_zones_id": ZONES_ID,
            "dms_now": timezone.now(),
            "dms_installation": installation(),
        }
        return super().changeform_view(request, object_id, form_url, (extra_context or {}) | known)

    @posted(_CHANGE, on_list=True, is_audited=False)
    def test_part(self, request: HttpRequest) -> HttpResponseBase:
        """Test one part of the form as it stands there, saved or not."""
        part = request.POST.get("part", "")
        if part not in service.PARTS:
            return HttpResponse(f"There is no part {part}.", status=400, content_type="text/plain")
        row = ServiceSettings.objects.first() or ServiceSettings()
        form = ServiceSettingsForm(request.POST, instance=row)
        test = _test_of(part, form, request.user.get_username())

        def keep(tested: TestedEnd) -> None:
            outcomes = {step.name: step.outcome for step in tested.steps}
            audit.record(audit.actor_of(request), "test", row, details={"part": part, "steps": outcomes})

        return answer_stepwise(test, keep, is_saved=not form.has_changed())

    @shown(_VIEW, on_list=True)
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The document in one of its three forms, to copy or to download; secrets are masked."""
        form = request.GET.get("format", "python")
        ending, dump = DUMPS.get(form, DUMPS["python"])
        try:
            text, problem = dump(settings_io.load_settings()), ""
        except _UNREADABLE as error:
            text, problem = "", str(error)
        if text and "download" in request.GET:
            name = f'attachment; filename="settings.{ending}"'
            return HttpResponse(text, content_type="text/plain; charset=utf-8", headers={"Content-Disposition": name})
        known: dict[str, Any] = {"text": text, "problem": problem, "chosen": form, "formats": DUMPS}
        return page(request, "pages/settings_export.html", "Export the service settings", crumbs=_crumbs(), **known)

    @shown(_CHANGE, on_list=True)
    def import_page(self, request: HttpRequest) -> HttpResponseBase:
        """Where a document is pasted or chosen."""
        title = "Import service settings"
        return page(request, "pages/settings_import.html", title, crumbs=_crumbs())

    @posted(_CHANGE, on_list=True, is_audited=False)
    def import_document(self, request: HttpRequest) -> Done | HttpResponseBase:
        """Make the settings what a pasted or uploaded document says, or only say what that would change."""
        is_check = "check" in request.POST
        actor = audit.actor_of(request)
        try:
            made = register_settings(read_document(request).load(), Conditions(), dry_run=is_check, by=actor)
        except _UNREADABLE as error:
            issues = getattr(error, "issues", None) or (error,)
            # A fragment: what was pasted stays in the browser, and comes back in no answer.
            return fragment(request, "parts/settings_checked.html", problems=[str(issue) for issue in issues])
        if is_check:
            return fragment(request, "parts/settings_checked.html", made=made)
        if made.outcome is Outcome.UNCHANGED:
            return Done("Nothing has changed: the settings say this already.")
        return Done("The settings are imported.")

    def _offered(self, section: Section) -> list[tuple[str, str]]:
        """The tests that make sense here: the webhook is there only when the environment names one."""
        return [(part, label) for part, label in section.tests if part != service.WEBHOOK or settings.DMS_WEBHOOK_URL]


def _test_of(part: str, form: ServiceSettingsForm, asked_by: str) -> Test:
    """The test of a part of the form; a mistake in the form is its only step."""
    try:
        raw = {} if part == service.WEBHOOK else form.part(part)
    except contract.MappingError as error:
        mistaken = TestedEnd(part, tuple(Step("settings", FAILED, str(issue)) for issue in error.issues))
    except secrets.SecretUnreadableError as error:
        mistaken = TestedEnd(part, (Step("settings", FAILED, str(error)),))
    else:
        return lambda tell: service.test_part(part, raw, asked_by, tell)
    return lambda _: mistaken


def _for_readers(field: str, show: Callable[[ServiceSettings], Any]) -> None:
    """Whoever may only look sees columns, or attributes of the class by the same name as the form's fields."""
    label = ServiceSettingsForm.base_fields[field].label

    @admin.display(description=str(label))
    def shown_to_readers(_self: Any, row: ServiceSettings) -> Any:
        return show(row)

    setattr(ServiceSettingsAdmin, field, shown_to_readers)


def _secret(path: str) -> Callable[[ServiceSettings], str]:
    def show(row: ServiceSettings) -> str:
        stored = row.secrets.get(path, "")
        return stored if secrets.is_reference(stored) else "set; not shown" if stored else "not set"

    return show


def _keepalive(key: str, default: int) -> Callable[[ServiceSettings], Any]:
    return lambda row: (row.keepalive_kwargs or {}).get(key, default)


for _path in settings_io.SECRET_PATHS:
    _for_readers(column_of(_path), _secret(_path))
for _key, _info in contract.KeepaliveKwargs.model_fields.items():
    _for_readers(f"keepalive_kwargs_{_key}", _keepalive(_key, _info.default))
_for_readers("clock_margin_s", lambda row: row.options.get("clock_margin_s"))


def _without_forget(parts: Any) -> tuple[str, ...]:
    return tuple(name for name in parts["fields"] if name != "forget_slack")


def _crumbs() -> tuple[tuple[str, str], ...]:
    return (("Service settings", reverse("admin:migrations_app_servicesettings_changelist")),)
