"""Sentences for what pydantic finds wrong: what was expected and what to do, and never the value itself."""

import difflib
import types
from collections.abc import Iterator, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from connectors.mapping.base import RULE
from connectors.mapping.errors import INVALID, Issue

_SENTENCES = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected True or False",
    "dict_type": "expected a dictionary of keys and values",
    "model_type": "expected a dictionary of keys and values",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "invalid_key": "keys must be text",
}
_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_key",
    "enum": "not_a_choice",
    "literal_error": "not_a_choice",
    "invalid_key": "wrong_type",
    "finite_number": "out_of_range",
}
_LIMITS = {
    "greater_than_equal": ("ge", "expected {} or more"),
    "greater_than": ("gt", "expected more than {}"),
    "less_than_equal": ("le", "expected {} or less"),
    "less_than": ("lt", "expected less than {}"),
}


def issue_of(error: ErrorDetails, model: type[BaseModel], at: Sequence[str | int]) -> Issue:
    """Turn one pydantic error into an issue.

    Args:
        error: as `ValidationError.errors(include_input=False)` gives it.
        model: the model that was validated.
        at: where the validated part stands in the document.
    """
    where = tuple(error["loc"])
    return Issue((*at, *_without_key_marks(where)), _sentence(error, model, where), _code(error["type"]))


def _code(kind: str) -> str:
    if kind in _LIMITS:
        return "out_of_range"
    if kind.endswith(("_type", "_parsing")):
        return "wrong_type"
    return _CODES.get(kind, INVALID)


def _without_key_marks(where: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Drop the mark that pydantic adds after a dictionary's key when the key itself is wrong."""
    return tuple(part for part in where if part != "[key]")


def _sentence(error: ErrorDetails, model: type[BaseModel], where: tuple[str | int, ...]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == RULE:
        return str(context.get("message", error["msg"]))
    if kind == "missing":
        return f"is required: {_description(model, where)}"
    if kind == "extra_forbidden":
        return unknown_key(str(where[-1]), keys_of(_model_at(model, where[:-1]) or model))
    if kind in ("enum", "literal_error"):
        return f"expected {context.get('expected', '')}"
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        return text.format(context.get(name))
    return _SENTENCES.get(kind) or f"cannot be read; expected {_description(model, where)}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The sentence for a key that the contract does not have, with the nearest one that it has."""
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"is not a key of the contract; did you mean {near[0]!r}?"
    return f"is not a key of the contract; the keys here are {', '.join(known)}"


def keys_of(model: type[BaseModel]) -> list[str]:
    """The documented keys of a model."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _description(model: type[BaseModel], where: tuple[str | int, ...]) -> str:
    owner = _model_at(model, where[:-1])
    for name, field in (owner or model).model_fields.items():
        if where and where[-1] in (field.alias, name):
            return field.description or name
    return "this key"


def _model_at(model: type[BaseModel], where: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that describes a part of another one; None for a plain dictionary."""
    current: type[BaseModel] | None = model
    for part in where:
        if current is None:
            return None
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        if part in fields:
            current = next(_models_in(fields[str(part)].annotation), None)
    return current


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, tuple, list, dict) or hasattr(annotation, "__metadata__"):
        for argument in get_args(annotation):
            yield from _models_in(argument)
