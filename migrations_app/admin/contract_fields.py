"""Form fields made from the contract's own."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, get_args

from django import forms
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from migrations_app.admin.secret_fields import SecretFormField


def field_name(kind: str, key: str) -> str:
    """The name of a form field for a key of that kind of source or destination."""
    return f"{kind}__{key}"


def contract_field(key: str, info: FieldInfo) -> forms.Field:
    """Return a form field for a key of the contract. None is required: the contract says what is."""
    types = _types(info.annotation)
    # Not capitalize(), which makes Tcp of TCP.
    help_text = f"{info.description[:1].upper()}{info.description[1:]}." if info.description else ""
    if SecretStr in types:
        return SecretFormField(label=key, help_text=help_text)
    common: dict[str, Any] = {"required": False, "label": key, "help_text": help_text}
    words = next((each for each in types if isinstance(each, type) and issubclass(each, StrEnum)), None)
    if words is not None:
        choices = [("", "---------"), *((word.value, word.value) for word in words)]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **common)
    if bool in types:
        return forms.BooleanField(widget=UnfoldBooleanSwitchWidget, **common)
    if int in types:
        return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget, **common)
    return forms.CharField(widget=UnfoldAdminTextInputWidget, **common)


def _types(annotation: Any) -> set[Any]:
    """Every type in an annotation, unions and Annotated taken apart."""
    inner = get_args(annotation)
    return {annotation}.union(*(_types(each) for each in inner)) if inner else _hashable(annotation)


def _hashable(annotation: Any) -> set[Any]:
    return {annotation} if isinstance(annotation, type) else set()
