"""The way out: a model becomes the documented dictionary again, and Python, JSON or YAML text of it."""

import datetime as dt
import json
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from connectors.mapping.env import is_reference
from connectors.mapping.fields import MASK
from connectors.mapping.mapping import Mapping
from connectors.mapping.python_text import python_text
from connectors.mapping.settings import ServiceSettings

Document = Mapping | ServiceSettings

REFERENCE_KEYS = frozenset(("source", "destination", "redis"))
"""The keys of a mapping under which environment references are read."""

_LEADING_KEYS = ("source_type", "destination_type", "table_name", "collection_name", "topic_name", "api_name")


def to_dict(document: BaseModel, *, reveal: bool = False) -> dict[str, Any]:
    """Write a model as the documented dictionary.

    Args:
        document: a mapping, settings, or a part of one.
        reveal: write secrets in the clear; only for storage inside the product. Otherwise references are
            written as they are and other secrets as a mask.

    Returns:
        Plain dictionaries, lists, text, numbers and booleans (and datetime.time); keys at their default are
        left out, and required keys come first.
    """
    result = {}
    for name, field in order(type(document)):
        value = getattr(document, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            result[field.alias or name] = plain(value, reveal=reveal, is_url=name.endswith("url"))
    return result


def order(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The attributes of a model as they are written: what is required comes first."""
    return sorted(model.model_fields.items(), key=lambda item: _rank(*item))


def raw_text(data: dict[str, Any], form: str) -> str:
    """Write the plain data of a mapping as text.

    Args:
        data: as to_dict gives it.
        form: python, json or yaml.
    """
    if form == "python":
        return python_text("mapping", data, reference_keys=REFERENCE_KEYS)
    return _json_text(data) if form == "json" else _yaml_text(data)


def dump_python(document: Document, *, reveal: bool = False) -> str:
    """Write a document as a Python file that sets `mapping` or `settings`; references become os.getenv()."""
    data = to_dict(document, reveal=reveal)
    if isinstance(document, Mapping):
        return raw_text(data, "python")
    return python_text("settings", data, reference_keys=frozenset(data))


def dump_json(document: Document, *, reveal: bool = False) -> str:
    """Write a document as JSON text."""
    return _json_text(to_dict(document, reveal=reveal))


def dump_yaml(document: Document, *, reveal: bool = False) -> str:
    """Write a document as YAML text."""
    return _yaml_text(to_dict(document, reveal=reveal))


def plain(value: Any, *, reveal: bool, is_url: bool = False) -> Any:
    """Write the value of an attribute as plain data; see `to_dict`."""
    if isinstance(value, BaseModel):
        return to_dict(value, reveal=reveal)
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return text if reveal else shown_secret(text, is_url=is_url)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(each, reveal=reveal, is_url=is_url) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each, reveal=reveal, is_url=is_url) for each in value]
    return value


def shown_secret(text: str, *, is_url: bool) -> str:
    """What is shown of a secret: a reference as it is, of an address the place, of anything else a mask."""
    if not text or is_reference(text):
        return text
    return _masked_url(text) if is_url else MASK


def _json_text(data: dict[str, Any]) -> str:
    return json.dumps(_json_ready(data), indent=2, ensure_ascii=False) + "\n"


def _yaml_text(data: dict[str, Any]) -> str:
    return yaml.safe_dump(_json_ready(data), sort_keys=False, allow_unicode=True, default_flow_style=False)


def _rank(name: str, field: FieldInfo) -> tuple[bool, bool]:
    """Sort key: the type or name first, then what is required, then the rest, in the models' own order."""
    return name not in _LEADING_KEYS, not field.is_required()


def _masked_url(url: str) -> str:
    """Hide what may be secret in an address: user and password, and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    place = parts.netloc.rpartition("@")[2]
    netloc = f"{MASK}@{place}" if "@" in parts.netloc else place
    hidden = urlunsplit((parts.scheme, netloc, parts.path, MASK if parts.query else "", MASK if parts.fragment else ""))
    return MASK if "@" in hidden.replace(f"{MASK}@", "", 1) else hidden


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_ready(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_json_ready(each) for each in value]
    return value.isoformat() if isinstance(value, dt.time) else value
