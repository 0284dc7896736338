"""Preview: rows as a run would deliver them, types side by side, nothing written."""

from __future__ import annotations

import json

import pytest

from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs.support import command, ends_of, register

pytestmark = pytest.mark.django_db

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(
        "CREATE TABLE orders (id int PRIMARY KEY, card varchar(20), doc jsonb, updated_at timestamptz NOT NULL);"
        "INSERT INTO orders SELECT n, '1234-5678', '{\"b\": 1, \"a\": [1, 2]}', '2024-01-01 12:00+05:30'"
        " FROM generate_series(1, 50) n; UPDATE orders SET card = NULL WHERE id = 1"
    )
    return two_databases


def test_the_rows_are_those_that_a_run_delivers(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(masking_columns=[["card", 4]], col_rename={"card": "number"}))
    with ends_of(raw) as ends:
        ends.source.describe()
        found = ends.source.preview(1000)
    assert found is not None
    run_once(raw)
    arrived = databases[1].rows(
        "SET TimeZone TO 'UTC'; SELECT id::text, number::text, doc::text, updated_at::text FROM arrived.orders"
    )
    assert sorted(found.rows, key=str) == sorted(arrived, key=str)
    assert ("2", "1234-XXXX", '{"a": [1, 2], "b": 1}', "2024-01-01 06:30:00") in found.rows


def test_types_stand_side_by_side_and_nothing_is_written(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(masking_columns=[["card", 4]], col_rename={"card": "number"}))
    register(raw)
    (shown,) = json.loads(command("preview", "--table", "orders", "--json", "--rows", "3").out)
    columns = {column["name"]: column for column in shown["columns"]}
    assert columns["number"] == {
        "source_name": "card",
        "source_type": "character varying(20)",
        "name": "number",
        "type": "character varying(20)",
        "is_masked": True,
    }
    assert (columns["doc"]["source_type"], columns["doc"]["type"]) == ("jsonb", "text")
    assert columns["updated_at"]["type"] == "timestamp without time zone"
    assert len(shown["rows"]) == 3
    assert databases[1].value("SELECT to_regnamespace('arrived') IS NULL")


def test_a_person_sees_twenty_rows_with_null_as_such(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    out = command("preview").out
    assert "20 rows" in out
    assert "jsonb" in out
    databases[0].execute("DELETE FROM orders WHERE id > 1; UPDATE orders SET doc = '\"a\\nb\"'")
    lines = [line.split() for line in command("preview").out.splitlines()]
    assert any(line[:2] == ["1", "NULL"] for line in lines)


def test_a_dump_of_a_query_shows_its_snapshot_date(databases: Databases) -> None:
    dump = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
    query = "SELECT id, id * 1.5 AS half FROM orders"
    register(make_mapping(*databases, make_table("halves", **dump, fetch_data_query=query)))
    (shown,) = json.loads(command("preview", "--json").out)
    assert [column["name"] for column in shown["columns"]] == ["id", "half", "migration_snapshot_date"]
    assert [column["source_type"] for column in shown["columns"]] == ["integer", "numeric", None]
    assert shown["rows"][0]["migration_snapshot_date"].startswith("20")


def test_a_missing_table_ends_with_1_and_what_to_do(databases: Databases) -> None:
    register(make_mapping(*databases, make_table("nothing")))
    outcome = command("preview")
    assert outcome.code == 1
    assert "`table_name` nothing does not exist" in outcome.error
