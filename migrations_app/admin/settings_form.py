"""The settings document as a form: each key a field with its words, the contract's mistakes at their fields."""

from __future__ import annotations

from typing import Any

import pytz
from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from connectors import mapping as contract
from connectors.mapping import MappingError
from migrations_app import secrets, settings_io
from migrations_app.admin.contract_fields import contract_field
from migrations_app.admin.secret_fields import SecretFormField
from migrations_app.models import ServiceSettings

_KEEPALIVE = "keepalive_kwargs"
_MARGIN = "clock_margin_s"
#: Id of the list that the browser offers while somebody types a time zone.
ZONES_ID = "time_zones"
_SLACK_PATHS = ("slack_notif.slack_token",)

_LABELS = {
    "fastapi_server": "Schedule jobs",
    "timezone": "Time zone",
    "cut_off_time": "Cut-off time",
    "notify": "Notify",
    "encryption_store_db_name": "Database",
    "encryption_store_collection_name": "Collection",
    "dashboard_store_db_name": "Database",
    "dashboard_store_collection_name": "Collection",
    "slack_notif_channel": "Channel",
}
_HELP = {
    "fastapi_server": "Keep the service up in the background: jobs with a cron are started only then. In the"
    " document: fastapi_server.",
    "timezone": "Of schedules, cut-off, these pages and strict tables; type a part of its name, as in Berlin.",
    "cut_off_time": "Time of day, in the time zone above, at which running jobs stop at their last commit. Empty for"
    " none.",
    "notify": "Tell Slack, and the webhook where there is one, when a run has finished or failed.",
    "slack_notif_channel": "Its id, as in C0123ABCD, or its name, as in #data. A spec may name another one.",
}


def column_of(path: str) -> str:
    """The name of the field of a path of the document."""
    return path.replace(".", "_")


def _keepalive(key: str, label: str) -> forms.Field:
    field = contract_field(key, contract.KeepaliveKwargs.model_fields[key])
    field.label = label
    return field


class ServiceSettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings document as a form."""

    encryption_store_url = SecretFormField(
        label="Address", help_text="Of the MongoDB server, as in mongodb://user:password@host:27017."
    )
    dashboard_store_url = SecretFormField(
        label="Address", help_text="Of the MongoDB server; may be the same server as above."
    )
    slack_notif_slack_token = SecretFormField(
        label="Token", help_text="Of the Slack app that posts; it needs the scope chat:write."
    )
    forget_slack = forms.BooleanField(
        required=False,
        label="Forget Slack",
        help_text="Remove the token and the channel.",
        widget=UnfoldBooleanSwitchWidget,
    )
    keepalive_kwargs_keepalives = _keepalive("keepalives", "Keepalive")
    keepalive_kwargs_keepalives_idle = _keepalive("keepalives_idle", "Idle")
    keepalive_kwargs_keepalives_interval = _keepalive("keepalives_interval", "Interval")
    keepalive_kwargs_keepalives_count = _keepalive("keepalives_count", "Count")
    keepalive_kwargs_tcp_user_timeout = _keepalive("tcp_user_timeout", "User timeout")
    clock_margin_s = forms.IntegerField(
        required=False,
        label="Clock margin",
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Seconds that a watermark stays behind the source database's clock; empty for the installation's"
        " DMS_CLOCK_MARGIN_S.",
    )

    class Meta:
        model = ServiceSettings
        fields = (*_LABELS,)
        labels = _LABELS
        help_texts = _HELP
        widgets = {  # noqa: RUF012 - Django's attribute
            "timezone": UnfoldAdminTextInputWidget(attrs={"list": ZONES_ID, "autocomplete": "off"}),
            # The admin's own says how far the browser's clock is from the server's, and this is on neither.
            "cut_off_time": UnfoldAdminTextInputWidget(attrs={"type": "time", "step": "1"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for path in settings_io.SECRET_PATHS:
            field = self.fields.get(column_of(path))
            if isinstance(field, SecretFormField):
                field.tell(self.instance.secrets.get(path))
        stored = self.instance.keepalive_kwargs or {}
        for key, info in contract.KeepaliveKwargs.model_fields.items():
            self.initial.setdefault(f"{_KEEPALIVE}_{key}", stored.get(key, info.default))
        self.initial.setdefault(_MARGIN, self.instance.options.get(_MARGIN))

    @property
    def zones(self) -> list[str]:
        """The time zones that are offered; others that the contract knows may be typed."""
        return list(pytz.common_timezones)

    def part(self, name: str) -> dict[str, Any]:
        """One part of the document as it would be saved, secrets in the clear: for testing it, never for showing.

        Raises:
            MappingError: A field of the part has mistakes of its own.
            SecretUnreadableError: A stored secret was sealed with a key that is gone.
        """
        issues = [
            contract.Issue((name, field.removeprefix(f"{name}_")), str(message))
            for field, messages in self.errors.items()
            if field in self.fields and field.startswith(f"{name}_")
            for message in messages
        ]
        if issues:
            raise MappingError(issues)
        part: dict[str, Any] = settings_io.load_settings_raw(self.instance).get(name, {})
        return part

    def _post_clean(self) -> None:
        """Hold the contract's rules against the row as it would be saved, each mistake at its field."""
        super()._post_clean()  # type: ignore[misc]
        self._fill_instance()
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

    def _fill_instance(self) -> None:
        """What no column of the row holds by itself: secrets, keepalive and the margin."""
        cleaned = self.cleaned_data
        given = {path: cleaned[column_of(path)] for path in settings_io.SECRET_PATHS if cleaned.get(column_of(path))}
        row = self.instance
        row.secrets = {**row.secrets, **secrets.seal_all(given)}
        if cleaned.get("forget_slack"):
            row.slack_notif_channel = ""
            row.secrets = {path: value for path, value in row.secrets.items() if path not in _SLACK_PATHS}
        keepalive = {
            key: value
            for key, info in contract.KeepaliveKwargs.model_fields.items()
            if (value := cleaned.get(f"{_KEEPALIVE}_{key}")) is not None and value != info.default
        }
        row.keepalive_kwargs = keepalive or None
        others = {key: value for key, value in row.options.items() if key != _MARGIN}
        margin = cleaned.get(_MARGIN)
        row.options = others if margin is None else others | {_MARGIN: margin}
