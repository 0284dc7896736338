"""The form of a source or destination: its fields come from the contract, so that a new kind needs no form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from connectors.mapping.base import Contract
from connectors.mapping.masks import PLACE_KEYS
from migrations_app import documents, secrets
from migrations_app.admin.contract_fields import contract_field, field_name
from migrations_app.admin.secret_fields import ADDRESS, ForgetField, SecretFormField
from migrations_app.admin.users_of import names_of_users
from migrations_app.endpoints_io import DESTINATION, SOURCE, EndpointKind, part_issues
from migrations_app.models import Destination, Source


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """A source or destination of any kind; only the fields of the chosen kind count."""

    kind: ClassVar[EndpointKind]
    contracts: ClassVar[dict[str, type[Contract]]]

    forget = ForgetField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._raw: dict[str, Any] = {}
        #: What was entered is what the row holds already.
        self.is_stored = False
        stored: dict[str, str] = self.instance.secrets
        chosen = getattr(self.instance, self.type_key)
        for name, field in self.fields.items():
            key = name.removeprefix(f"{chosen}__")
            if isinstance(field, SecretFormField):
                field.tell(stored.get(key) if name != key else None, self.instance.servers if key == ADDRESS else "")
            elif name != key:
                self.initial.setdefault(name, self.instance.config.get(key))
        forget = self.fields["forget"]
        assert isinstance(forget, ForgetField)  # noqa: S101 - for mypy; the class above says so
        forget.offer(stored)

    @property
    def type_key(self) -> str:
        """The key of the document that says the type."""
        return self.kind.type_key

    @property
    def part(self) -> Contract | None:
        """What was entered, as the contract has it; None while it holds mistakes other than in the row's name."""
        if self.errors.keys() - {"name", "max_runs"}:
            return None
        return self.contracts[self.cleaned_data[self.type_key]].model_validate(self._raw)

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
            self.is_stored = self.instance.pk is not None and self._raw == self.kind.raw(self.instance)
        except secrets.SecretUnreadableError as error:
            self.add_error(None, str(error))
            return cleaned
        for issue in part_issues(self.contracts[kind], self._raw):
            name = field_name(kind, str(issue.loc[0])) if issue.loc else ""
            if name not in self.errors:
                self.add_error(name if name in self.fields else None, issue.message)
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Take what was entered over into the row, its secrets sealed."""
        tested = self.instance.last_test
        kind = self.cleaned_data[self.type_key]
        documents.fill_endpoint(self.instance, self.contracts[kind].model_validate(self._raw))
        if self.is_stored:
            self.instance.last_test = tested
        return super().save(commit)

    def _document(self, cleaned: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The document's part as it is with what was entered.

        A stored secret stays only while the rest says the same place: else whoever may edit an address could have
        the secret sent to a server of his own.
        """
        hidden = documents.secret_keys(self.contracts[kind])
        keys = [name.removeprefix(f"{kind}__") for name in self.fields if name.startswith(f"{kind}__")]
        entered = {key: cleaned.get(field_name(kind, key)) for key in keys}
        entered = {key: value for key, value in entered.items() if value not in (None, "")}
        shown = {key: value for key, value in entered.items() if key not in hidden}
        given = {key: value for key, value in entered.items() if key in hidden}
        stored = self.instance.secrets if self.initial.get(self.type_key) == kind else {}
        changed = {key: value for key, value in given.items() if value != stored.get(key)}
        kept = {key: value for key, value in stored.items() if value and key not in cleaned.get("forget", ())}
        if not documents.is_same_place(self.instance.config, shown, changed):
            self._ask_again(kind, [key for key in kept if key not in given], shown, changed)
            kept = {}
        return {self.type_key: kind, **shown, **secrets.unseal_all(kept), **given}

    def _ask_again(self, kind: str, dropped: list[str], shown: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        """A secret that is not sent to the new place has to be entered again, or forgotten on purpose."""
        config = self.instance.config
        moved = [key for key in PLACE_KEYS if key in changed or config.get(key) != shown.get(key)]
        words = " and ".join(f"`{key}`" for key in moved if key != self.type_key)
        for key in dropped:
            message = f"{words} changed: enter this again, as what is stored is not sent to another place."
            self.add_error(field_name(kind, key), message)

    def _is_used_as_another_kind(self, kind: str) -> bool:
        former = self.initial.get(self.type_key)
        if not self.instance.pk or former == kind or not self.instance.mappings.exists():
            return False
        users = names_of_users(self.instance)
        message = f"Mappings use it as {former}: {users}. Make a new one of the other kind instead."
        self.add_error(self.type_key, message)
        return True


def endpoint_form(model: type[Source] | type[Destination]) -> type[EndpointForm]:
    """Build the form: the fields of every kind, named ``{kind}__{key}``."""
    kind = SOURCE if model is Source else DESTINATION
    by_type = {str(each): part for each, part in kind.contracts.items()}
    fields = {
        field_name(each, info.alias or name): contract_field(info.alias or name, info)
        for each, part in by_type.items()
        for name, info in part.model_fields.items()
        if name != kind.type_key
    }
    fields_of_row = ("name", kind.type_key, *(("max_runs",) if model is Source else ()))
    meta = type("Meta", (), {"model": model, "fields": fields_of_row})
    members = {**fields, "Meta": meta, "kind": kind, "contracts": by_type, "__module__": __name__}
    return type(f"{model.__name__}Form", (EndpointForm,), members)
