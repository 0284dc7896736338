"""Unfinished documents as text: those that are finished look as their export, the others as far as they are right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from connectors.mapping import MASK, parse_mapping, to_dict
from connectors.mapping.sketch import FORMATS, document_text, sketch, sketch_text
from tests.mapping.samples import PGSQL_DESTINATION, PGSQL_SOURCE, TABLE
from tests.mapping.strategies import mappings

SECRET = "hidden-in-the-document"


@given(raw=mappings())
def test_what_is_finished_looks_as_its_export(raw: dict[str, Any]) -> None:
    mapping = parse_mapping(raw)

    assert sketch(to_dict(mapping, reveal=True)) == to_dict(mapping)
    assert all(sketch_text(to_dict(mapping, reveal=True), form) == document_text(mapping, form) for form in FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_no_secret_is_shown_whatever_else_is_wrong(form: str) -> None:
    raw: dict[str, Any] = {
        "source": {"source_type": "mongo", "url": f"mongodb://user:{SECRET}@host/?key={SECRET}", "password": SECRET},
        "destination": {
            "a": {**PGSQL_DESTINATION, "password": SECRET, "port": "no number"},
            "b": {"destination_type": "s3", "secret_access_key": SECRET, "access_key_id": "env:AWS_KEY"},
        },
        "tables": [{**TABLE, "mode": None, "batch_size": 10_000, "unknown": {"x": 1}}, "no dictionary"],
        "redis": {"url": f"redis://:{SECRET}@cache", "password": SECRET},
    }

    text = sketch_text(raw, form)

    assert SECRET not in text
    assert MASK in text
    assert "AWS_KEY" in text
    assert "no number" in text
    assert "10000" not in text


@pytest.mark.parametrize("wrong", ["oracle", None, ["pgsql"]])
def test_no_secret_is_shown_of_what_has_no_known_type(wrong: Any) -> None:
    keys = {"password": SECRET, "secret_access_key": SECRET, "host": "here"}
    raw = {"source": {"source_type": wrong, **keys}, "destination": {"a": {"destination_type": wrong, **keys}}}

    found = sketch(raw)

    assert SECRET not in str(found)
    assert found["source"]["host"] == found["destination"]["a"]["host"] == "here"


def test_keys_come_in_the_order_of_the_contract_and_unknown_ones_last() -> None:
    spec = {"typo": 1, "bookmark": "b", "mode": "syncing", "cron": "* *", "table_name": "t"}

    (found,) = sketch({"tables": [spec], "source": PGSQL_SOURCE})["tables"]

    assert list(found) == ["table_name", "cron", "mode", "bookmark", "typo"]
    assert list(sketch({"tables": [], "source": {}, "destination": {}})) == ["source", "destination", "tables"]
    assert sketch({"source": "wrong", "tables": "wrong"}) == {"source": "wrong", "tables": "wrong"}


def test_a_sketch_leaves_what_it_is_given_as_it_is() -> None:
    raw = {"source": {**PGSQL_SOURCE, "password": SECRET}, "tables": [dict(TABLE)]}

    sketch(raw)

    assert raw == {"source": {**PGSQL_SOURCE, "password": SECRET}, "tables": [dict(TABLE)]}
