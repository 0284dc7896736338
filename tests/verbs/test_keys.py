"""Keys as people write them, against the key that the stream has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from connectors.mapping import CollectionSpec, MappingError, TableSpec
from connectors.mapping.enums import KeyType
from connectors.mapping.specs import Spec
from migrations_app.plans import Plan
from migrations_app.verbs.keys import how_to_write, read_key

LINES = TableSpec.model_validate(
    {
        "table_name": "lines",
        "cron": "self-managed",
        "mode": "syncing",
        "primary_key": ["order_id", "line_no"],
        "primary_key_datatype": ["uuid", "int"],
        "bookmark": "updated_at",
    }
)
DOCUMENTS = CollectionSpec.model_validate(
    {"collection_name": "reviews", "cron": "self-managed", "mode": "dumping", "fields": {}}
)
A_UUID = "7f3c2b1e-0d4a-4c55-9a61-5b0f7c2d8e10"


def of_one(datatype: str) -> TableSpec:
    return LINES.model_copy(update={"primary_key": "k", "primary_key_datatype": KeyType(datatype)})


def read(spec: Spec, text: str) -> Any:
    plan = SimpleNamespace(stream=SimpleNamespace(spec=spec))
    return read_key("from_key", text, [cast(Plan, plan)])


@pytest.mark.parametrize(
    ("spec", "text", "key"),
    [
        (LINES, f'["{A_UUID}", 3]', (A_UUID, "3")),
        (of_one("int"), "-17", ("-17",)),
        (of_one("str"), "any, thing", ("any, thing",)),
        (of_one("uuid"), A_UUID.upper(), (A_UUID.upper(),)),
        (of_one("datetime"), "2026-01-31 18:00", ("2026-01-31 18:00",)),
        (DOCUMENTS, "5f0c", ("5f0c",)),
    ],
)
def test_key_that_a_row_can_have_is_read(spec: Spec, text: str, key: tuple[str, ...]) -> None:
    assert read(spec, text) == key


@pytest.mark.parametrize(
    ("spec", "text", "says"),
    [
        (LINES, "abc", "expected a JSON list of 2 values, those of order_id and line_no, such as"),
        (LINES, f'["{A_UUID}"]', "expected a JSON list of 2 values"),
        (LINES, f'["{A_UUID}", "x"]', "the value of line_no is not a whole number"),
        (LINES, '["x", 1]', "the value of order_id is not a uuid"),
        (of_one("int"), "1.5", "the value of k is not a whole number"),
        (of_one("int"), "[1, 2]", "expected one value, that of k"),
        (of_one("datetime"), "yesterday", "the value of k is not a time in ISO 8601"),
        (DOCUMENTS, "[1, 2]", "expected one value, that of _id"),
    ],
)
def test_key_that_no_row_can_have_is_refused_without_its_value(spec: Spec, text: str, says: str) -> None:
    with pytest.raises(MappingError) as caught:
        read(spec, text)

    (issue,) = caught.value.issues
    assert issue.loc == ("from_key",)
    assert says in issue.message
    assert "abc" not in issue.message


def test_example_of_a_key_is_one_that_is_read() -> None:
    told = how_to_write(LINES)

    assert told.startswith("It is a JSON list of 2 values, those of order_id and line_no, such as [")
    assert len(read(LINES, told[told.index("[") :])) == 2
    assert how_to_write(of_one("int")) == "It is a value of k."
