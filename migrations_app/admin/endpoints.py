"""Sources and destinations in the admin. Their fields come from the contract, so that a new kind needs no form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from connectors.mapping import DestinationType, SourceType
from connectors.mapping.base import Contract
from connectors.mapping.destination import DESTINATIONS
from connectors.mapping.source import SOURCES
from migrations_app import documents, secrets
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.contract_fields import contract_field, field_name
from migrations_app.admin.managing import ManagedElsewhere
from migrations_app.admin.secret_fields import ForgetField, SecretFormField
from migrations_app.endpoints_io import part_issues
from migrations_app.models import Destination, Source

Contracts = Mapping[SourceType, type[Contract]] | Mapping[DestinationType, type[Contract]]


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """A source or destination of any kind; only the fields of the chosen kind count."""

    type_key: ClassVar[str]
    contracts: ClassVar[dict[str, type[Contract]]]

    forget = ForgetField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._raw: dict[str, Any] = {}
        stored: dict[str, str] = self.instance.secrets
        kind = getattr(self.instance, self.type_key)
        for name, field in self.fields.items():
            key = name.removeprefix(f"{kind}__")
            if isinstance(field, SecretFormField):
                field.tell(stored.get(key) if name != key else None)
            elif name != key:
                self.initial.setdefault(name, self.instance.config.get(key))
        forget = self.fields["forget"]
        assert isinstance(forget, ForgetField)  # noqa: S101 - for mypy; the class above says so
        forget.offer(stored)

    def clean(self) -> dict[str, Any]:
        """Hold the contract's rules against what was entered, each mistake at its field."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get(self.type_key)
        if kind is None:
            return cleaned
        if self._is_used_as_another_kind(kind):
            return cleaned
        try:
            self._raw = self._document(cleaned, kind)
        except secrets.SecretUnreadableError as error:
            self.add_error(None, str(error))
            return cleaned
        for issue in part_issues(self.contracts[kind], self._raw):
            name = field_name(kind, str(issue.loc[0])) if issue.loc else ""
            self.add_error(name if name in self.fields else None, issue.message)
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Take what was entered over into the row, its secrets sealed."""
        kind = self.cleaned_data[self.type_key]
        documents.fill_endpoint(self.instance, self.contracts[kind].model_validate(self._raw))
        return super().save(commit)

    def _document(self, cleaned: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The document's part as it is with what was entered.

        A stored secret stays only while the rest says the same place: else whoever may edit an address could have
        the secret sent to a server of his own.
        """
        contract = self.contracts[kind]
        hidden = documents.secret_keys(contract)
        keys = [name.removeprefix(f"{kind}__") for name in self.fields if name.startswith(f"{kind}__")]
        entered = {key: cleaned.get(field_name(kind, key)) for key in keys}
        entered = {key: value for key, value in entered.items() if value not in (None, "")}
        shown = {key: value for key, value in entered.items() if key not in hidden}
        given = {key: value for key, value in entered.items() if key in hidden}
        was_there = self.initial.get(self.type_key) == kind and documents.is_same_place(
            self.instance.config, shown, given
        )
        kept = self.instance.secrets if was_there else {}
        kept = {key: value for key, value in kept.items() if key not in cleaned.get("forget", ())}
        return {self.type_key: kind, **shown, **secrets.unseal_all(kept), **given}

    def _is_used_as_another_kind(self, kind: str) -> bool:
        former = self.initial.get(self.type_key)
        if not self.instance.pk or former == kind or not self.instance.mappings.exists():
            return False
        users = ", ".join(self.instance.mappings.values_list("pk", flat=True))
        message = f"Mappings use it as {former}: {users}. Make a new one of the other kind instead."
        self.add_error(self.type_key, message)
        return True


def _form(model: type[Source] | type[Destination], type_key: str, contracts: Contracts) -> type[EndpointForm]:
    """Build the form: the fields of every kind, named ``{kind}__{key}``."""
    by_kind = {str(kind): contract for kind, contract in contracts.items()}
    fields = {
        field_name(kind, info.alias or name): contract_field(info.alias or name, info)
        for kind, contract in by_kind.items()
        for name, info in contract.model_fields.items()
        if name != type_key
    }
    fields_of_row = ("name", type_key, *(("max_runs",) if model is Source else ()))
    meta = type("Meta", (), {"model": model, "fields": fields_of_row})
    members = {**fields, "Meta": meta, "type_key": type_key, "contracts": by_kind, "__module__": __name__}
    return type(f"{model.__name__}Form", (EndpointForm,), members)


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
    return {name: f"{form.type_key} == '{name.partition('__')[0]}'" for name in form.base_fields if "__" in name}


@admin.register(Source)
class SourceAdmin(EndpointAdmin):
    """Where rows come from."""

    form = _form(Source, "source_type", SOURCES)
    conditional_fields = _conditions(form)
    list_display = ("name", "source_type", "address", "updated_at")
    list_filter = ("source_type",)


@admin.register(Destination)
class DestinationAdmin(EndpointAdmin):
    """Where rows go."""

    form = _form(Destination, "destination_type", DESTINATIONS)
    conditional_fields = _conditions(form)
    list_display = ("name", "destination_type", "address", "updated_at")
    list_filter = ("destination_type",)
