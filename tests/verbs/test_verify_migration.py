"""The command verify_migration: what it prints and its exit codes."""

from __future__ import annotations

import json

import pytest

from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs.support import command, register

pytestmark = pytest.mark.django_db

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 100) n; CREATE TABLE items AS TABLE orders"
    )
    return two_databases


def test_equal_streams_end_with_0(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(), make_table("items", mode="mirroring"))
    register(raw)
    run_once(raw)
    run_once(raw, table=1)
    outcome = command("verify_migration")
    assert (outcome.code, outcome.error) == (0, "")
    assert outcome.out.count("equal") == 2
    assert "test_DMS_items_dest" in outcome.out


def test_a_difference_ends_with_5_and_names_the_key(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(), make_table("items"))
    register(raw)
    run_once(raw)
    run_once(raw, table=1)
    databases[1].execute("UPDATE arrived.items SET note = '' WHERE id = 42; DELETE FROM arrived.items WHERE id = 7")
    outcome = command("verify_migration")
    assert outcome.code == 5
    assert "test_DMS_items_dest 1 row differs" in outcome.out
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "test_DMS_items_dest missing 7" in lines
    assert "test_DMS_items_dest different 42" in lines
    shown = json.loads(command("verify_migration", "--json", "--table", "items").out)
    assert [each["stream"] for each in shown] == ["test_DMS_items_dest"]
    assert shown[0]["differing_keys"] == [
        {"key": ["42"], "difference": "different"},
        {"key": ["7"], "difference": "missing"},
    ]
    assert command("verify_migration", "--table", "orders").code == 0


def test_what_could_not_be_compared_ends_with_1_and_is_not_equal(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(), make_table("items"))
    register(raw)
    run_once(raw)
    outcome = command("verify_migration")
    assert outcome.code == 1
    assert "run the stream first" in outcome.out
    (shown,) = json.loads(command("verify_migration", "--json", "--table", "items").out)
    assert shown["verdict"] == "unknown"


def test_a_wrong_password_is_told_without_showing_it(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table(), password="not-the-secret")
    register(raw)
    outcome = command("verify_migration")
    assert outcome.code == 1
    assert "check `username` and `password`" in outcome.out
    assert "not-the-secret" not in outcome.out + outcome.error


def test_an_unknown_mapping_or_table_ends_with_2(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    assert command("verify_migration", mapping_id="nothing").code == 2
    assert command("verify_migration", "--table", "nothing").code == 2
