"""Every built-in type arrives byte for byte, by every way that rows take into the destination."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest

from connectors.base import CopyFormat
from connectors.destinations.pgsql import writing
from tests.builders import run_once
from tests.databases import PgDatabase
from tests.types.support import (
    create_wide_table,
    differing,
    every_type,
    turn_values,
    types_of,
    wide_mapping,
)
from tests.types.values import OBJECT_NAMES, XML, column_name, literal

ALL = every_type()
# No server takes its own binary form of empty ones back, so tables with one travel as text.
TEXT_ONLY = {name for name in ALL if name.startswith(("c tsquery", "c int2vector", "c oidvector"))}
COLUMNS = {name: values for name, values in ALL.items() if name not in TEXT_ONLY}
NAMES = list(COLUMNS)


@pytest.fixture(params=[CopyFormat.BINARY, CopyFormat.TEXT])
def copy_format(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[CopyFormat]:
    """The form in which rows travel: text as between two server versions; binary must be chosen unasked."""
    chosen: list[CopyFormat] = []
    original = writing.copy_format

    def choose(target: object, rows: object) -> CopyFormat:
        found = original(target, rows)  # type: ignore[arg-type]  # passed through
        chosen.append(CopyFormat.TEXT if request.param is CopyFormat.TEXT else found)
        return chosen[-1]

    monkeypatch.setattr(writing, "copy_format", choose)
    yield request.param
    assert set(chosen) == {request.param}


@pytest.fixture
def database(pg_database: PgDatabase) -> PgDatabase:
    create_wide_table(pg_database, COLUMNS)
    return pg_database


def test_first_copy(database: PgDatabase, copy_format: CopyFormat) -> None:
    result = run_once(wide_mapping(database))
    assert result.inserted == database.value("SELECT count(*) FROM wide")
    assert differing(database, NAMES) == []
    assert types_of(database, "arrived.wide") == types_of(database, "wide")


def test_updates_and_inserts(database: PgDatabase, copy_format: CopyFormat) -> None:
    raw = wide_mapping(database)
    run_once(raw)
    turn_values(database, COLUMNS)
    columns = ", ".join(f'"{name}"' for name in NAMES)
    database.execute(f"INSERT INTO wide (id, {columns}) SELECT id + 1000, {columns} FROM wide".replace("%", "%%"), [])
    result = run_once(raw)
    rows = database.value("SELECT count(*) FROM wide")
    assert (result.updated, result.inserted) == (rows / 2, rows / 2)
    assert differing(database, NAMES) == []


def test_partitioned_destination(database: PgDatabase, copy_format: CopyFormat) -> None:
    raw = wide_mapping(database, partition_col="created_at", partition_col_format="datetime")
    run_once(raw)
    assert differing(database, NAMES) == []
    turn_values(database, COLUMNS)
    run_once(raw)
    assert differing(database, NAMES) == []


def test_unchanged_rows_are_not_updated(database: PgDatabase) -> None:
    raw = wide_mapping(database, bookmark=False)
    run_once(raw)
    result = run_once(raw)
    assert result.read >= database.value("SELECT count(*) FROM wide")
    assert (result.inserted, result.updated) == (0, 0)


def test_dump(database: PgDatabase, copy_format: CopyFormat) -> None:
    run_once(wide_mapping(database, mode="dumping", bookmark=..., primary_key=..., primary_key_datatype=...))
    assert differing(database, NAMES) == []


def test_type_without_usable_binary_form_travels_as_text(pg_database: PgDatabase) -> None:
    columns = {name: values for name, values in ALL.items() if name in TEXT_ONLY}
    create_wide_table(pg_database, columns)
    raw = wide_mapping(pg_database)
    run_once(raw)
    assert differing(pg_database, list(columns)) == []
    turn_values(pg_database, columns)
    assert run_once(raw).updated > 0
    assert differing(pg_database, list(columns)) == []


def test_xml(pg_database: PgDatabase) -> None:
    try:
        pg_database.value("SELECT '<a/>'::xml::text")
    except psycopg2.errors.FeatureNotSupported:
        pytest.skip("the server was built without libxml")
    columns = {"c xml": ("xml", [literal("xml", value) for value in XML])}
    create_wide_table(pg_database, columns)
    run_once(wide_mapping(pg_database))
    assert differing(pg_database, list(columns)) == []


def test_names_of_objects_arrive_as_text(pg_database: PgDatabase) -> None:
    columns = {
        column_name(name): (name, [literal(name, value) for value in values]) for name, values in OBJECT_NAMES.items()
    }
    columns["c regclass[]"] = ("regclass[]", ["ARRAY['pg_class', NULL]::regclass[]"])
    create_wide_table(pg_database, columns)
    raw = wide_mapping(pg_database)
    run_once(raw)
    for name, (type_text, values) in columns.items():
        arrived = "text[]" if type_text.endswith("[]") else "text"
        assert types_of(pg_database, "arrived.wide")[name] == arrived
        expected = pg_database.value(f"SELECT {values[0]}::{arrived}")
        assert pg_database.value(f'SELECT "{name}" FROM arrived.wide WHERE id = 0') == expected
    turn_values(pg_database, columns)
    assert run_once(raw).updated > 0


def test_not_strict(pg_database: PgDatabase) -> None:
    """Values of json text and instants UTC wall time, in arrays too; all other types are kept."""
    create_wide_table(pg_database, COLUMNS)
    pg_database.execute(f"ALTER DATABASE \"{pg_database.name}\" SET timezone = 'Asia/Kolkata'")
    raw = wide_mapping(pg_database, strict=False)
    run_once(raw)
    turn_values(pg_database, COLUMNS)
    run_once(raw)
    softened = {"json": "text", "jsonb": "text", "timestamp with time zone": "timestamp without time zone"}
    softened["timestamp(3) with time zone"] = "timestamp(3) without time zone"
    arrived = types_of(pg_database, "arrived.wide")
    for before, after in softened.items():
        for suffix in ("", "[]"):
            name = column_name(before + suffix)
            assert arrived[name] == after + suffix
            cast = f"::{after}{suffix}"
            wrong = pg_database.value(
                "SELECT count(*) FROM wide s JOIN arrived.wide d USING (id)"
                " CROSS JOIN set_config('timezone', 'UTC', false)"
                f' WHERE record_image_ne(ROW(s."{name}"{cast}), ROW(d."{name}"))'
            )
            assert wrong == 0, name
    changed = {column_name(name + suffix) for name in softened for suffix in ("", "[]")}
    assert differing(pg_database, [name for name in NAMES if name not in changed]) == []
