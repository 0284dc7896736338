"""Column types of the control database: names as the contract writes them, and sealed secrets."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models


class _Typed(str):
    """Text as somebody has typed it, to be shown again as it is."""

    __slots__ = ()


class NamesFormField(forms.CharField):
    """One name, several separated by commas, or the word False, as the contract's keys take them.

    A name that itself holds a comma is written in JSON: ``"a,b"``, or ``["a,b", "c"]`` among others.
    """

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what was typed: it is no name that would have to be written as a text yet."""
        typed = super().bound_data(data, initial)
        return _Typed(typed) if isinstance(typed, str) else typed

    def prepare_value(self, value: Any) -> Any:
        """Return the text that shows the value."""
        if isinstance(value, _Typed):
            return str(value)
        if value is False:
            return "False"
        if isinstance(value, str):
            return value if _is_plain(value) else json.dumps(value)
        if isinstance(value, list):
            is_plain = len(value) > 1 and all(_is_plain(name) for name in value)
            return ", ".join(value) if is_plain else json.dumps(value)
        return value

    def to_python(self, value: Any) -> Any:
        """Return what the text says: None, False, a name, or a list of names."""
        text = super().to_python(value)
        if not text:
            return None
        if text.lower() == "false":
            return False
        if text.startswith(_JSON_STARTS):
            return self._from_json(text)
        names = [name.strip() for name in text.split(",")]
        return names[0] if len(names) == 1 else [name for name in names if name]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare values, since the text has several forms."""
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True

    def _from_json(self, text: str) -> Any:
        try:
            names = json.loads(text)
        except json.JSONDecodeError:
            names = None
        listed = names if isinstance(names, list) else [names]
        if not all(isinstance(name, str) for name in listed):
            msg = "Write a name, names separated by commas, or names in JSON."
            raise ValidationError(msg)
        return names


_JSON_STARTS = ("[", '"')


def _is_plain(name: str) -> bool:
    """Tell whether the name stands for itself in a form."""
    return bool(name) and "," not in name and not name.startswith(_JSON_STARTS) and name.lower() != "false"


class NamesField(models.JSONField):
    """A name, a list of names, or False; NULL where the key is not given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("null", True)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def formfield(self, **kwargs: Any) -> Any:
        """Return a field that takes plain text instead of JSON."""
        kwargs.setdefault("required", not self.blank)
        return NamesFormField(
            required=kwargs["required"],
            label=kwargs.get("label") or str(self.verbose_name).capitalize(),
            help_text=kwargs.get("help_text") or self.help_text,
            widget=kwargs.get("widget") or forms.TextInput,
        )


class SealedField(models.JSONField):
    """Sealed secrets and references by their path in the row's part of the document.

    What Python sees is sealed too; `migrations_app.secrets` opens it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", dict)
        kwargs.setdefault("blank", True)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)
