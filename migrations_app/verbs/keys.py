"""Keys as people write them: the value itself, or a JSON list with one value for each column of the stream's key."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import takewhile

from connectors.mapping import CollectionSpec, Issue, MappingError, TableSpec
from connectors.mapping.enums import KeyType
from connectors.mapping.specs import Spec
from migrations_app.plans import Plan

Key = tuple[str, ...]

_ID = "_id"
_EXAMPLES = {
    KeyType.INT: "1",
    KeyType.STR: '"a"',
    KeyType.UUID: '"7f3c2b1e-0d4a-4c55-9a61-5b0f7c2d8e10"',
    KeyType.DATETIME: '"2026-01-31T18:00:00+05:30"',
}
_WANTED = {
    KeyType.INT: "a whole number",
    KeyType.UUID: "a uuid",
    KeyType.DATETIME: "a time in ISO 8601, such as 2026-01-31T18:00:00+05:30",
}


def read_key(name: str, text: str | None, planned: Iterable[Plan]) -> Key | None:
    """A key of these streams, which are of one table.

    Args:
        name: Of the field that it was given in.
        text: As it was written; None when it was not given.
        planned: The streams.

    Raises:
        MappingError: It cannot be read, or no row of the streams can have it.
    """
    if text is None:
        return None
    key = _parsed(name, text)
    for plan in planned:
        for message in _misfits(plan.stream.spec, key):
            raise MappingError([Issue((name,), message)])
    return key


def columns_of(spec: Spec) -> tuple[str, ...]:
    """The columns that make a row's key; empty where the spec does not say."""
    if isinstance(spec, CollectionSpec):
        return (_ID,)
    return spec.keys if isinstance(spec, TableSpec) else ()


def how_to_write(spec: Spec) -> str:
    """What a key of this stream looks like, in a sentence."""
    columns = columns_of(spec)
    if len(columns) < 2:
        return f"It is a value of {columns[0]}." if columns else ""
    return f"It is a JSON list of {_several(columns)}, such as {_example(spec)}"


def has_whole_number_key(spec: Spec) -> bool:
    """Whether rows are told apart by one whole number."""
    return tuple(_types(spec)) == (KeyType.INT,)


def leading_whole_numbers(spec: Spec) -> int:
    """How many columns of the key are whole numbers, up to the first that is none."""
    return len(list(takewhile(lambda datatype: datatype is KeyType.INT, _types(spec))))


def _parsed(name: str, text: str) -> Key:
    if not text.startswith("["):
        return (text,)
    listed = None
    with suppress(json.JSONDecodeError):
        listed = json.loads(text)
    if not isinstance(listed, list) or not all(isinstance(part, str | int | float) for part in listed):
        message = 'a key of several columns is a JSON list, such as ["a", 2]'
        raise MappingError([Issue((name,), message)])
    return tuple(str(part) for part in listed)


def _misfits(spec: Spec, key: Key) -> Iterable[str]:
    """What keeps a row of this spec from having the key; never the value itself."""
    columns = columns_of(spec)
    if not columns:
        return
    if len(key) != len(columns):
        wanted = f"one value, that of {columns[0]}"
        if len(columns) > 1:
            wanted = f"a JSON list of {_several(columns)}, such as {_example(spec)}"
        yield f"expected {wanted}"
        return
    for column, datatype, text in zip(columns, _types(spec), key, strict=False):
        if datatype in _WANTED and not _is_one(_PARSERS[datatype], text):
            yield f"the value of {column} is not {_WANTED[datatype]}"


def _types(spec: Spec) -> Sequence[KeyType]:
    return spec.key_types if isinstance(spec, TableSpec) else ()


def _several(columns: Sequence[str]) -> str:
    return f"{len(columns)} values, those of {', '.join(columns[:-1])} and {columns[-1]}"


def _example(spec: Spec) -> str:
    return f"[{', '.join(_EXAMPLES[datatype] for datatype in _types(spec))}]"


def _whole_number(text: str) -> None:
    if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) is None:
        raise ValueError


_PARSERS: dict[KeyType, Callable[[str], object]] = {
    KeyType.INT: _whole_number,
    KeyType.UUID: uuid.UUID,
    KeyType.DATETIME: datetime.fromisoformat,
}


def _is_one(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
