"""Ticked tables become specs: as proposed, or as somebody chose among what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.verbs import BookmarkCandidate, FoundTable, KeyCandidate, Proposal
from migrations_app.verbs.choosing import (
    Choice,
    NoDraftError,
    bookmark_words,
    is_plain,
    modes_of,
    spec_of,
    specs_of,
    warnings_of,
)

UPDATED = BookmarkCandidate("updated_at", "timestamptz", 75, not_null=True, is_indexed=True, is_maintained=False)
PLACED = BookmarkCandidate(
    "placed_on", "date", 0, not_null=False, is_indexed=False, is_maintained=False, null_share=0.1
)


def found(name: str = "orders", schema: str = "public", **changes: Any) -> FoundTable:
    table_name = name if schema == "public" else f"{schema}.{name}"
    spec = {"table_name": table_name, "cron": "self-managed", "mode": "syncing"}
    spec |= {"primary_key": "id", "primary_key_datatype": "int", "bookmark": "updated_at"}
    table = FoundTable(
        schema=schema,
        name=name,
        kind="table",
        estimated_rows=10,
        byte_count=8192,
        may_read=True,
        primary_key=("id",),
        bookmarks=(UPDATED, PLACED),
        proposal=Proposal(spec, "updated_at tells"),
        keys=(KeyCandidate(("id",), ("int",)), KeyCandidate(("shop", "code"), ("int", "str"))),
    )
    return replace(table, **changes)


COLLECTION = found(
    "reviews",
    kind="collection",
    primary_key=("_id",),
    keys=(),
    proposal=Proposal(
        {
            "collection_name": "reviews",
            "cron": "self-managed",
            "mode": "syncing",
            "bookmark": "updated_at",
            "fields": {"updated_at": "datetime"},
        },
        "updated_at tells",
    ),
)
KEYLESS = found(
    primary_key=(),
    keys=(),
    proposal=Proposal({"table_name": "orders", "cron": "self-managed", "mode": "dumping"}, "no key"),
)


def test_without_a_choice_it_is_what_was_proposed() -> None:
    for table in (found(), COLLECTION, KEYLESS):
        assert spec_of(table, Choice()) == table.proposal.spec


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(mode="dumping"), {"mode": "dumping"}),
        (Choice(mode="mirroring"), {"mode": "mirroring", "primary_key": "id", "bookmark": "updated_at"}),
        (Choice(bookmark=""), {"mode": "syncing", "bookmark": False}),
        (Choice(mode="logging", bookmark=""), {"mode": "logging", "primary_key": "id"}),
        (Choice(bookmark="placed_on"), {"bookmark": "placed_on"}),
        (
            Choice(key=("shop", "code")),
            {"primary_key": ["shop", "code"], "primary_key_datatype": ["int", "str"], "bookmark": "updated_at"},
        ),
    ],
)
def test_choices_win_over_the_proposal(choice: Choice, expected: dict[str, Any]) -> None:
    spec = spec_of(found(), choice)
    assert spec | expected == spec
    if choice.mode == "dumping":
        assert spec.keys() == {"table_name", "cron", "mode"}
    if expected.get("mode") == "logging":
        assert "bookmark" not in spec


@pytest.mark.parametrize(
    ("table", "choice", "reason"),
    [
        (KEYLESS, Choice(mode="syncing"), "cannot be copied in mode syncing; choose one of dumping"),
        (COLLECTION, Choice(mode="mirroring"), "cannot be copied in mode mirroring"),
        (found(), Choice(mode="deleting"), "cannot be copied in mode deleting"),
        (found(), Choice(key=("name",)), "name is no key of orders"),
        (found(), Choice(bookmark="name"), "name is no column of orders that holds times"),
    ],
)
def test_only_what_was_found_can_be_chosen(table: FoundTable, choice: Choice, reason: str) -> None:
    with pytest.raises(NoDraftError, match=reason):
        spec_of(table, choice)


def test_collections_keep_the_types_of_their_fields() -> None:
    spec = spec_of(COLLECTION, Choice(mode="logging", bookmark=""))
    assert spec == {
        "collection_name": "reviews",
        "cron": "self-managed",
        "mode": "logging",
        "fields": {"updated_at": "datetime"},
    }


def test_tables_that_would_meet_at_the_destination_are_refused() -> None:
    both = [found(), found(schema="sales")]
    with pytest.raises(NoDraftError, match=r"orders and sales\.orders would both arrive as orders"):
        specs_of(both, {"orders": Choice(), "sales.orders": Choice()})
    assert [spec["table_name"] for spec in specs_of(both, {"sales.orders": Choice()})] == ["sales.orders"]


def test_what_is_gone_or_may_not_be_read_is_refused_with_what_to_do() -> None:
    with pytest.raises(NoDraftError, match="not at the source any more: lines"):
        specs_of([found()], {"lines": Choice()})
    hidden = found("Orders", "sales", may_read=False)
    with pytest.raises(NoDraftError, match=r'SELECT ON sales\."Orders"'):
        specs_of([hidden], {"sales.Orders": Choice()})


@pytest.mark.parametrize("table", [found("c", "a.b"), found("a.b", "sales"), found("*"), found("orders ")])
def test_table_that_no_mapping_can_name_is_not_offered_and_refused_with_what_to_do(table: FoundTable) -> None:
    assert not is_plain(table)
    assert "copy a view of it" in warnings_of(table)[0]
    with pytest.raises(NoDraftError, match="a mapping cannot write its name"):
        specs_of([table], {table.table_name: Choice()})


@pytest.mark.parametrize("table", [found("Ünï 表", "Odd x"), found('we"ird'), found("a.b")])
def test_odd_name_that_a_mapping_can_write_is_offered(table: FoundTable) -> None:
    assert is_plain(table)
    assert specs_of([table], {table.table_name: Choice()})


def test_modes_fit_what_there_is() -> None:
    assert modes_of(found()) == ["dumping", "logging", "syncing", "mirroring"]
    assert modes_of(KEYLESS) == ["dumping"]
    assert modes_of(COLLECTION) == ["dumping", "logging", "syncing"]


def test_warnings_say_what_is_in_the_way() -> None:
    assert warnings_of(found()) == []
    assert "no key" in warnings_of(KEYLESS)[0]
    assert "a view" in warnings_of(found(kind="view"))[0]
    assert "ANALYZE" in warnings_of(found(estimated_rows=None))[0]
    assert "GRANT USAGE ON SCHEMA public" in warnings_of(found(may_read=False))[0]
    assert "role read" in warnings_of(replace(COLLECTION, may_read=False))[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "timestamptz, indexed, never empty"),
        ({"is_maintained": True}, "timestamptz, a trigger sets it, indexed, never empty"),
        ({"is_indexed": False, "not_null": False}, "timestamptz, no index, may be empty"),
        ({"not_null": False, "null_share": 0.0}, "timestamptz, indexed, none empty now"),
        ({"not_null": False, "null_share": 0.001}, "timestamptz, indexed, under 1% empty"),
        ({"not_null": False, "null_share": 0.25}, "timestamptz, indexed, 25% empty"),
    ],
)
def test_bookmarks_are_told_in_words(changes: dict[str, Any], words: str) -> None:
    assert bookmark_words(replace(UPDATED, **changes)) == words
