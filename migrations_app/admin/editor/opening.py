"""Drafts: mappings that the editor opens filled and unsaved. They wait in the session, and hold no secret."""

from __future__ import annotations

import secrets
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from migrations_app.enums import Noun
from migrations_app.models import Destination, MappingDestination, Source
from migrations_app.models.specs import SPEC_ROWS

PARAMETER = "draft"
_PREFIX = "dms_draft:"
#: Who goes back and forth leaves drafts behind; the session is no place to keep them.
_MOST = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """What the page opens with.

    Attributes:
        head: Values of the mapping's own fields.
        rows: Values of the fields of its destinations and specs, by model.
        gaps: Sentences on what the draft leaves out, or names and is not there.
    """

    head: dict[str, Any]
    rows: dict[type, list[dict[str, Any]]]
    gaps: tuple[str, ...]


def keep(request: HttpRequest, mapping_id: str, document: AnyMapping[str, Any]) -> str:
    """Put a draft into the session; the key by which the editor finds it.

    Args:
        request: Whose session.
        mapping_id: What the mapping is, or is to be, called.
        document: `source` is the name of a stored source, `destinations` a list of names of stored destinations, or
            those by the names that they get in the mapping; the specs are as the contract has them.
    """
    old = [name for name in request.session.keys() if name.startswith(_PREFIX)]  # noqa: SIM118 - a session is no dict
    for name in old[: max(0, len(old) - _MOST + 1)]:
        del request.session[name]
    key = secrets.token_urlsafe(9)
    request.session[_PREFIX + key] = {"id": mapping_id, "document": dict(document)}
    return key


def short_name(row_name: str) -> str:
    """What a stored destination is called in a mapping unless somebody says otherwise.

    An import calls its rows `mapping:destination`.
    """
    return row_name.rpartition(":")[2] or row_name


def find(request: HttpRequest) -> Draft | None:
    """The draft that the page is to be opened with; None for none, and for a page that is being saved."""
    key = request.GET.get(PARAMETER, "")
    found = request.session.get(_PREFIX + key) if key and request.method == "GET" else None
    return _opened(found) if found is not None else None


def is_lost(request: HttpRequest) -> bool:
    """Whether the page was asked for with a draft that is not there any more."""
    key = request.GET.get(PARAMETER, "")
    return bool(key) and request.method == "GET" and _PREFIX + key not in request.session


def _opened(found: AnyMapping[str, Any]) -> Draft:
    document: AnyMapping[str, Any] = found["document"]
    gaps: list[str] = list(document.get("notes") or ())
    head: dict[str, Any] = {"id": found.get("id") or ""}
    head |= {key: document[key] for key in ("get_table_name", "process_dict", "description") if document.get(key)}
    if document.get("source"):
        source = Source.objects.filter(name=document["source"]).first()
        if source is None:
            gaps.append(f"source {document['source']} is not there any more; choose another one")
        else:
            head["source"] = source.pk
    rows: dict[type, list[dict[str, Any]]] = {MappingDestination: _destinations(document, gaps)}
    for noun in Noun:
        rows[SPEC_ROWS[noun]] = [
            _values(SPEC_ROWS[noun](), raw, position) for position, raw in enumerate(document.get(noun.plural) or ())
        ]
    return Draft(head, rows, tuple(gaps))


def _destinations(document: AnyMapping[str, Any], gaps: list[str]) -> list[dict[str, Any]]:
    named = document.get("destinations") or {}
    if not isinstance(named, dict):
        named = {short_name(str(name)): name for name in named}
    stored = {row.name: row.pk for row in Destination.objects.filter(name__in=list(named.values()))}
    gaps += [f"destination {name} is not there any more; choose another one" for name in named.values() - stored.keys()]
    return [
        {"name": name, "destination": stored.get(row_name), "position": position}
        for position, (name, row_name) in enumerate(named.items())
    ]


def _values(row: Any, raw: AnyMapping[str, Any], position: int) -> dict[str, Any]:
    row.fill(raw)
    values = {field.name: getattr(row, field.attname) for field in row.key_fields()}
    return values | {"options": row.options, "position": position}
