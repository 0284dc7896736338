"""Pasted text on its way into a form: its source and destinations are found among the stored ones, or named as missing.

A text shows no secret, so what it says of a server only leads to a row that holds them. Nothing is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connectors import mapping as contract
from connectors.mapping.address import parse_address
from connectors.mapping.env import is_reference
from connectors.mapping.fields import has_userinfo
from connectors.mapping.files import MAX_PASTED_BYTES, Loaded, load_text
from connectors.mapping.masks import PLACE_KEYS
from connectors.mapping.sketch import ENDINGS, sketch
from connectors.mapping.source import DEFAULT_PGSQL_PORT
from migrations_app import documents, secrets
from migrations_app.endpoints_io import DESTINATION, SOURCE, EndpointKind
from migrations_app.enums import Noun
from migrations_app.models import Destination, Source

Draft = dict[str, Any]
Row = Source | Destination

_EXTRAS = ("get_table_name", "process_dict")


@dataclass(frozen=True, slots=True)
class Missing:
    """A source or destination that has to be added before the text can become a mapping.

    Attributes:
        kind: source or destination.
        name: What the text calls it; empty for the source.
        why: What is there instead, and what to do.
        initial: What its form can be filled with, by key of the document; references, and no secret.
    """

    kind: EndpointKind
    name: str
    why: str
    initial: dict[str, str]

    @property
    def end(self) -> str:
        """What it is called."""
        return f"{self.kind.noun} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a text says.

    Attributes:
        draft: `source` by the name of its row, `destinations` by their name in the mapping with the names of their
            rows, and the specs; complete only when nothing is missing.
        missing: What has to be added first.
        notes: Sentences on what was left out or taken from elsewhere.
    """

    draft: Draft
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def read(text: str, form: str = "", *, mapping_id: str = "") -> Pasted:
    """Read a pasted mapping.

    Args:
        text: The text.
        form: python, json or yaml; empty to find out.
        mapping_id: Whose rows are taken where several say the same.

    Raises:
        MappingError: It cannot be read.
    """
    if len(text.encode(errors="replace")) > MAX_PASTED_BYTES:
        most = f"{MAX_PASTED_BYTES // 1024 // 1024} MB"
        raise _refused(
            (), f"is larger than {most}, the most that a page reads; import its file by ./run manage import_mapping"
        )
    loaded = _load(text, form)
    raw = loaded.data
    missing: list[Missing] = []
    notes = list(loaded.warnings)
    draft: Draft = {"destinations": {}}
    for kind, name, part, at in _ends(raw):
        row = _match(kind, part, _named(mapping_id, name), at)
        if isinstance(row, Missing):
            missing.append(row)
            continue
        if _other_secrets(kind, row, part):
            notes.append(f"{f'{kind.noun} {name}'.strip()} is {row.name}, with the secrets that are stored there")
        if kind is SOURCE:
            draft["source"] = row.name
        else:
            draft["destinations"][name] = row.name
    draft |= _specs(raw) | {key: raw[key] for key in _EXTRAS if isinstance(raw.get(key), str)}
    if raw.get("redis") is not None:
        notes.append("redis was left out, as its secrets are not in a text; enter it under Kafka")
    return Pasted(draft, tuple(missing), tuple(notes))


def _load(text: str, form: str) -> Loaded:
    """Load a text; a dictionary by itself, as Python writes it, is the mapping.

    Raises:
        MappingError: It cannot be read.
    """
    is_dictionary = text.lstrip().startswith("{")
    if form == "python" and is_dictionary:
        text = f"mapping = {text.lstrip()}"
    try:
        return load_text(text, f"text.{ENDINGS.get(form) or ENDINGS[form_of(text)]}")
    except contract.MappingError:
        if is_dictionary and not form:
            with suppress(contract.MappingError):
                return load_text(f"mapping = {text.lstrip()}", f"text.{ENDINGS['python']}")
        raise


def form_of(text: str) -> str:
    """Which of the three formats a text is in, by its looks."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[0].lstrip().startswith("{"):
        return "json"
    starts = ("mapping =", "mapping=", "mapping:dict", "mapping: dict", "import ", "from ", "def ", '"""')
    return "python" if any(line.startswith(starts) for line in lines) else "yaml"


def _ends(raw: Mapping[str, Any]) -> Iterator[tuple[EndpointKind, str, Mapping[str, Any], tuple[str, ...]]]:
    source, destinations = raw.get("source"), raw.get("destination", {})
    if not isinstance(source, Mapping):
        raise _refused(("source",), "is required: where rows come from, as a dictionary of keys and values")
    if not isinstance(destinations, Mapping):
        raise _refused(("destination",), "expected destinations by name, as in {'main': {...}}")
    yield SOURCE, "", source, ("source",)
    for name, part in destinations.items():
        if not isinstance(part, Mapping) or not isinstance(name, str):
            raise _refused(("destination", str(name)), "expected a dictionary of keys and values")
        yield DESTINATION, name, part, ("destination", name)


def _match(kind: EndpointKind, part: Mapping[str, Any], wanted: str, at: tuple[str, ...]) -> Row | Missing:
    """The stored row that says the same but for secrets; of several the one that an import would have made."""
    type_name = part.get(kind.type_key)
    if type_name not in [str(each) for each in kind.contracts]:
        choices = ", ".join(str(each) for each in kind.contracts)
        raise _refused((*at, kind.type_key), f"expected one of {choices}")
    place, near = _place(kind, part), []
    found: list[Row] = []
    for row in kind.model._default_manager.filter(**{kind.type_key: type_name}).order_by("name"):
        stored = _stored_place(kind, row)
        if stored == place:
            found.append(row)
        elif _address(stored) == _address(place):
            near.append((row.name, [key for key in {**stored, **place} if stored.get(key) != place.get(key)]))
    if found:
        same = [row for row in found if not _other_secrets(kind, row, part)]
        return min(same or found, key=lambda row: (row.name != wanted, row.name))
    why = f"no stored {kind.noun} is at this address; add it first"
    if near:
        name, keys = near[0]
        why = f"{name} is at this address and differs in {', '.join(sorted(keys))}; add another one, or change the text"
    return Missing(kind, at[1] if len(at) > 1 else "", why, _initial(kind, part, wanted))


def _named(mapping_id: str, destination: str) -> str:
    return f"{mapping_id}:{destination}" if destination else mapping_id


def _place(kind: EndpointKind, part: Mapping[str, Any]) -> dict[str, Any]:
    """What a part says but for its secrets; an address that is one shows its place only."""
    shown = _sketched(kind, part)
    hidden = documents.secret_keys(kind.contracts[part[kind.type_key]])
    place = {key: value for key, value in shown.items() if key not in hidden or key.endswith("url")}
    if "url" in place and "url" not in hidden:
        place |= _host_and_port(place)
    return place


def _stored_place(kind: EndpointKind, row: Row) -> dict[str, Any]:
    try:
        raw = kind.raw(row)
    except secrets.SecretUnreadableError:
        raw = {kind.type_key: getattr(row, kind.type_key), **row.config}
    return _place(kind, raw)


def _sketched(kind: EndpointKind, part: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any]
    if kind is SOURCE:
        found = sketch({"source": part})["source"]
    else:
        found = sketch({"destination": {"": part}})["destination"][""]
    return found


def _host_and_port(place: Mapping[str, Any]) -> dict[str, Any]:
    """The same for ``db:5432`` and for ``db`` with port 5432."""
    try:
        address = parse_address(str(place["url"]))
    except ValueError:
        return {}
    return {"url": address.host.lower(), "port": place.get("port") or address.port or DEFAULT_PGSQL_PORT}


def _address(place: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = ("url", "port", "host", "kafka_server", "endpoint_url", "s3_bucket_name", "db_name", "database")
    return tuple(place.get(key) for key in keys)


def _other_secrets(kind: EndpointKind, row: Row, part: Mapping[str, Any]) -> bool:
    """Whether the text names other references than the row, or a secret of its own."""
    try:
        stored = _sketched(kind, kind.raw(row))
    except secrets.SecretUnreadableError:
        return True
    shown = _sketched(kind, part)
    hidden = documents.secret_keys(kind.contracts[part[kind.type_key]])
    own = any(part.get(key) not in (None, contract.MASK) and shown.get(key) == contract.MASK for key in hidden)
    return own or any(stored.get(key) != shown.get(key) for key in hidden)


def _initial(kind: EndpointKind, part: Mapping[str, Any], wanted: str) -> dict[str, str]:
    model = kind.contracts[part[kind.type_key]]
    hidden = documents.secret_keys(model)
    # It becomes part of an address: what the contract does not know, or refuses since it holds a password, may be one.
    known = {field.alias or name for name, field in model.model_fields.items()}
    shown = {
        key: str(value)
        for key, value in part.items()
        if key in known and isinstance(value, str | int) and (key not in hidden or is_reference(str(value)))
        if not (key in PLACE_KEYS and has_userinfo(str(value)))
    }
    return ({"name": wanted} if wanted else {}) | shown


def _specs(raw: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for noun in Noun:
        key = noun.plural
        if raw.get(key) is None:
            continue
        if not isinstance(raw[key], Sequence) or isinstance(raw[key], str):
            raise _refused((key,), f"expected a list with one dictionary for each {noun}")
        for position, spec in enumerate(raw[key]):
            if not isinstance(spec, Mapping):
                raise _refused((key, position), "expected a dictionary of keys and values")
        found[key] = [{str(name): _plain(value) for name, value in spec.items()} for spec in raw[key]]
    return found


def _plain(value: Any) -> Any:
    """As JSON has it; a Python file may write a lag as a timedelta."""
    if isinstance(value, dt.timedelta):
        minutes, rest = divmod(value, dt.timedelta(minutes=1))
        if rest:
            raise _refused((), "a timedelta in the text is no whole number of minutes; write one that is")
        parts = {"days": minutes // 1440, "hours": minutes // 60 % 24, "minutes": minutes % 60}
        return {key: part for key, part in parts.items() if part}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _refused(loc: tuple[str | int, ...], message: str) -> contract.MappingError:
    return contract.MappingError([contract.Issue(loc, message)])
