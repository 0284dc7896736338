"""Discover: every table with its key, bookmark and a spec that the contract takes and a run can use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.mapping import parse_mapping
from connectors.mapping.files import load_text
from connectors.sources.pgsql import discover as module
from connectors.verbs import FoundTable
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs.support import command, compare_once, register

pytestmark = pytest.mark.django_db

Databases = tuple[PgDatabase, PgDatabase]

SHOP = """
CREATE SCHEMA sales;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen_at = now(); RETURN NEW; END $$;
CREATE TABLE customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, created_at timestamptz DEFAULT now(),
                        updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON customers (updated_at);
CREATE TABLE sales.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seen_at timestamp NOT NULL DEFAULT now(),
                           placed date);
CREATE TRIGGER touched BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE audit_log (id serial PRIMARY KEY, at timestamptz DEFAULT now(), line text);
CREATE TABLE lines (order_id bigint, place int, note text, PRIMARY KEY (place, order_id));
CREATE TABLE notes (note text, code varchar(10) NOT NULL UNIQUE);
CREATE TABLE loose (note text, code int UNIQUE);
CREATE TABLE visits (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE VIEW names AS SELECT name FROM customers;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM customers;
INSERT INTO customers (name) SELECT 'n' FROM generate_series(1, 100);
INSERT INTO visits SELECT n, '2024-01-01' FROM generate_series(1, 50) n;
INSERT INTO sales.orders (placed) SELECT '2024-01-01' FROM generate_series(1, 10);
ANALYZE;
"""


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(SHOP)
    return two_databases


@pytest.fixture
def found(databases: Databases) -> dict[str, FoundTable]:
    config = parse_mapping(make_mapping(*databases, make_table("*"))).source
    return {table.table_name: table for table in module.discover(config, label="test")}  # type: ignore[arg-type]


def test_everything_but_partitions_is_found(found: dict[str, FoundTable]) -> None:
    kinds = {name: table.kind for name, table in found.items()}
    tables = ("customers", "sales.orders", "audit_log", "lines", "notes", "loose")
    assert kinds == dict.fromkeys(tables, "table") | {
        "visits": "partitioned table",
        "names": "view",
        "counted": "materialized view",
    }
    assert found["customers"].estimated_rows == 100
    assert found["visits"].estimated_rows == 50
    assert (found["visits"].byte_count or 0) > 0
    assert found["names"].byte_count is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "customers",
            {"mode": "syncing", "primary_key": "id", "primary_key_datatype": "uuid", "bookmark": "updated_at"},
        ),
        (
            "sales.orders",
            {"mode": "syncing", "primary_key": "id", "primary_key_datatype": "int", "bookmark": "seen_at"},
        ),
        ("audit_log", {"mode": "logging", "primary_key": "id", "primary_key_datatype": "int"}),
        (
            "lines",
            {
                "mode": "syncing",
                "primary_key": ["place", "order_id"],
                "primary_key_datatype": ["int", "int"],
                "bookmark": False,
            },
        ),
        ("notes", {"mode": "syncing", "primary_key": "code", "primary_key_datatype": "str", "bookmark": False}),
        ("loose", {"mode": "dumping"}),
        ("names", {"mode": "dumping"}),
    ],
)
def test_the_proposal_fits_the_table(found: dict[str, FoundTable], name: str, expected: dict[str, Any]) -> None:
    assert found[name].proposal.spec == {"table_name": name, "cron": "self-managed"} | expected
    assert found[name].proposal.reason


def test_a_bookmark_is_rated_by_what_is_known_of_it(found: dict[str, FoundTable]) -> None:
    best, other = found["customers"].bookmarks
    assert (best.column, best.not_null, best.is_indexed, best.is_maintained) == ("updated_at", True, True, False)
    assert other.column == "created_at"
    assert best.score > other.score
    assert found["sales.orders"].bookmarks[0].is_maintained
    assert "a trigger sets it" in found["sales.orders"].proposal.reason


def test_the_proposed_mapping_can_be_run(databases: Databases) -> None:
    register(make_mapping(*databases, make_table("*")))
    outcome = command("discover", "--as-mapping")
    assert outcome.code == 0
    assert "names is left out: it is a view" in outcome.error
    proposed = load_text(outcome.out, "proposed.py").data
    names = [spec["table_name"] for spec in proposed["tables"]]
    assert names == ["audit_log", "customers", "lines", "loose", "notes", "visits", "sales.orders"]
    assert databases[0].server.password not in outcome.out
    raw = make_mapping(*databases) | {"tables": proposed["tables"]}
    for table in range(len(names)):
        run_once(raw, table=table)
        assert compare_once(raw, table=table).reasons == []


def test_the_list_and_its_json(databases: Databases) -> None:
    register(make_mapping(*databases, make_table("*")))
    listed = command("discover", "--schema", "sales").out
    assert "sales.orders" in listed
    assert "customers" not in listed
    (table,) = json.loads(command("discover", "--schema", "sales", "--json").out)
    assert table["proposal"]["spec"]["bookmark"] == "seen_at"


def test_what_may_not_be_read_says_so(databases: Databases) -> None:
    source, destination = databases
    raw = make_mapping(source, destination, make_table("*"))
    source.execute(
        "DO $$ BEGIN CREATE ROLE discoverer LOGIN PASSWORD 'pw'; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    source.execute("GRANT SELECT ON customers TO discoverer")
    raw["source"] |= {"username": "discoverer", "password": "pw"}
    register(raw)
    outcome = command("discover", "--as-mapping")
    remedy = "GRANT USAGE ON SCHEMA public and SELECT ON public.audit_log"
    assert f"audit_log is left out: the user may not read it; {remedy}" in outcome.error
    assert "customers" in outcome.out
