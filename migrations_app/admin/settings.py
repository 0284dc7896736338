"""The service settings in the admin: one row, checked by the contract."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from connectors.mapping import MappingError
from migrations_app import secrets, settings_io
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.secret_fields import SecretFormField
from migrations_app.models import ServiceSettings


def _column(path: str) -> str:
    return path.replace(".", "_")


class ServiceSettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings document as a form."""

    encryption_store_url = SecretFormField(label="Encryption store url", help_text="MongoDB: state of jobs.")
    dashboard_store_url = SecretFormField(label="Dashboard store url", help_text="MongoDB: history of runs.")
    slack_notif_slack_token = SecretFormField(label="Slack token")

    class Meta:
        model = ServiceSettings
        fields = (
            "fastapi_server",
            "timezone",
            "cut_off_time",
            "notify",
            "encryption_store_db_name",
            "encryption_store_collection_name",
            "dashboard_store_db_name",
            "dashboard_store_collection_name",
            "slack_notif_channel",
            "keepalive_kwargs",
            "options",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for path in settings_io.SECRET_PATHS:
            field = self.fields.get(_column(path))
            if isinstance(field, SecretFormField):
                field.tell(self.instance.secrets.get(path))

    def _post_clean(self) -> None:
        """Hold the contract's rules against the row as it would be saved, each mistake at its field."""
        super()._post_clean()  # type: ignore[misc]
        given = {
            path: self.cleaned_data[_column(path)]
            for path in settings_io.SECRET_PATHS
            if self.cleaned_data.get(_column(path))
        }
        self.instance.secrets = {**self.instance.secrets, **secrets.seal_all(given)}
        if self.errors:
            return
        try:
            settings_io.parse_settings(settings_io.load_settings_raw(self.instance))
        except secrets.SecretUnreadableError as error:
            self.add_error(None, str(error))
        except MappingError as error:
            for issue in error.issues:
                column = "_".join(str(part) for part in issue.loc)
                is_field = column in self.fields
                self.add_error(column if is_field else None, issue.message if is_field else str(issue))


@admin.register(ServiceSettings)
class ServiceSettingsAdmin(BaseAdmin):
    """One row: the list leads to it."""

    form = ServiceSettingsForm
    fieldsets = (
        (None, {"fields": ("fastapi_server", "timezone", "cut_off_time")}),
        (
            "Stores",
            {
                "fields": (
                    "encryption_store_url",
                    "encryption_store_db_name",
                    "encryption_store_collection_name",
                    "dashboard_store_url",
                    "dashboard_store_db_name",
                    "dashboard_store_collection_name",
                )
            },
        ),
        ("Slack", {"fields": ("notify", "slack_notif_slack_token", "slack_notif_channel")}),
        ("Connections", {"fields": ("keepalive_kwargs", "options")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row at most."""
        return super().has_add_permission(request) and not ServiceSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """No run starts without settings."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the only row, or to its making."""
        row = ServiceSettings.objects.first()
        if row is not None:
            return redirect(reverse("admin:migrations_app_servicesettings_change", args=(row.pk,)))
        if self.has_add_permission(request):
            return redirect(reverse("admin:migrations_app_servicesettings_add"))
        return super().changelist_view(request, extra_context)
