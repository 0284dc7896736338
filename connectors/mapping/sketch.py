"""Unfinished documents as text: as far as one is right, it looks as its export will, and it shows no secret."""

from collections.abc import Mapping as AnyMapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from connectors.mapping.base import Contract
from connectors.mapping.destination import DESTINATIONS
from connectors.mapping.export import Document, dump_json, dump_python, dump_yaml, order, plain, raw_text, shown_secret
from connectors.mapping.mapping import SPECS, Mapping, RedisConfig
from connectors.mapping.source import SOURCES

FORMATS = ("python", "json", "yaml")
ENDINGS = {"python": "py", "json": "json", "yaml": "yaml"}

_DUMPS = {"python": dump_python, "json": dump_json, "yaml": dump_yaml}


def document_text(document: Document, form: str) -> str:
    """A document in one of the three formats, secrets masked."""
    return _DUMPS[form](document)


def sketch_text(raw: AnyMapping[str, Any], form: str) -> str:
    """An unfinished mapping in one of the three formats; see `sketch`."""
    return raw_text(sketch(raw), form)


def sketch(raw: AnyMapping[str, Any]) -> dict[str, Any]:
    """Write an unfinished mapping as `to_dict` would write a finished one.

    Args:
        raw: A mapping as far as somebody has come, with secrets in the clear. Parts may be missing or wrong.

    Returns:
        The keys in the order of the contract, without those at their default; secrets as masks, references as they are.
    """
    found: dict[str, Any] = {}
    for name in Mapping.model_fields:
        if name in raw:
            found[name] = _part(name, raw[name])
    return found


def secret_keys(model: type[BaseModel]) -> frozenset[str]:
    """The documented keys of a contract model that hold secrets."""
    return frozenset(
        field.alias or name for name, field in model.model_fields.items() if _holds_secret(field.annotation)
    )


def _part(name: str, value: Any) -> Any:
    if name == "source":
        return _typed(value, "source_type", SOURCES)
    if name == "destination" and isinstance(value, AnyMapping):
        return {each: _typed(part, "destination_type", DESTINATIONS) for each, part in value.items()}
    if name == "redis":
        return _tidy(value, RedisConfig)
    model = next((model for source_type, model in SPECS.items() if source_type.specs_key == name), None)
    if model is not None and isinstance(value, list | tuple):
        return [_tidy(each, model) for each in value]
    return value


def _typed(value: Any, key: str, models: AnyMapping[Any, type[Contract]]) -> Any:
    if not isinstance(value, AnyMapping):
        return value
    model = next((model for name, model in models.items() if name == value.get(key)), None)
    if model is not None:
        return _tidy(value, model)
    # Nobody knows what it is, so what would be secret in anything is.
    hidden = frozenset[str]().union(*map(secret_keys, [*SOURCES.values(), *DESTINATIONS.values()]))
    return {name: shown_secret(str(each), is_url=False) if name in hidden else each for name, each in value.items()}


def _tidy(value: Any, model: type[Contract]) -> Any:
    if not isinstance(value, AnyMapping):
        return value
    fields = {field.alias or name: (name, field) for name, field in model.model_fields.items()}
    hidden = secret_keys(model)
    keys = [field.alias or name for name, field in order(model) if (field.alias or name) in value]
    keys += [key for key in value if key not in fields]
    tidy = {}
    for key in keys:
        if key in hidden:
            name, _ = fields[key]
            tidy[key] = shown_secret(str(value[key]), is_url=name.endswith("url"))
        else:
            tidy[key] = value[key]
    return {key: each for key, each in tidy.items() if key not in fields or not _is_default(value[key], fields[key][1])}


def _is_default(value: Any, field: FieldInfo) -> bool:
    if field.is_required():
        return False
    default = plain(field.get_default(call_default_factory=True), reveal=True)
    return type(value) is type(default) and bool(value == default)


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))
