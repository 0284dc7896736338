"""Columns that are read otherwise than before: rows that no bookmark shows to have changed are put right, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.errors import ConfigError, SchemaMismatch
from connectors.sources.pgsql import source as module
from tests.buckets import Bucket
from tests.builders import RunResult, make_bucket_mapping, make_mapping, make_table, run_once
from tests.databases import PgDatabase, new_database
from tests.verbs.support import ends_of

Rows = list[tuple[Any, ...]]

ORDERS = """
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x int, note text, born timestamp, doc json,
                     updated_at timestamptz NOT NULL DEFAULT now() - interval '1 day');
INSERT INTO orders (x, note, born, doc) SELECT n, 'secret-' || n, '2024-01-01 05:30', '{"b": 1,  "a": 2}'
  FROM generate_series(1, 3) n;
"""
DUMP: dict[str, Any] = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
LOG: dict[str, Any] = {"mode": "logging", "bookmark": ...}


@dataclass
class Copy:
    """The stream of table orders, and what has arrived of it.

    Attributes:
        source: The source database.
        mapping: The mapping for keys of the spec.
        query: The answer to a query of the columns over what has arrived, in the order of the key.
        spec: Keys of the spec from now on.
    """

    source: PgDatabase
    mapping: Callable[[dict[str, Any]], dict[str, Any]]
    query: Callable[[str], Rows]
    spec: dict[str, Any] = field(default_factory=dict)

    def run(self, **options: Any) -> RunResult:
        """One run."""
        return run_once(self.raw, **options)

    @property
    def raw(self) -> dict[str, Any]:
        """The mapping as it is now."""
        return self.mapping(make_table(**self.spec))

    def assert_same(self, columns: str, at_source: str | None = None) -> None:
        """What has arrived is what the source has."""
        expected = self.source.rows(f"SELECT {at_source or columns} FROM orders ORDER BY id")
        assert expected
        assert self.query(columns) == expected

    def assert_settled(self) -> None:
        """The next run has nothing to read again, and nothing to say."""
        result = self.run()
        assert (result.inserted, result.updated, result.report.warnings) == (0, 0, [])
        assert result.read < 3


def in_a_database(source: PgDatabase, destination: PgDatabase) -> Copy:
    return Copy(
        source,
        lambda table: make_mapping(source, destination, table),
        lambda columns: destination.rows(f"SELECT {columns} FROM arrived.orders ORDER BY id"),
    )


def in_a_bucket(source: PgDatabase, bucket: Bucket) -> Copy:
    prefix = f"sql/{source.name}/orders/"
    return Copy(
        source,
        lambda table: make_bucket_mapping(source, bucket, table),
        lambda columns: bucket.query(prefix, f"SELECT {columns} FROM parts ORDER BY id"),
    )


@pytest.fixture(params=["pgsql", "s3"])
def copy(request: pytest.FixtureRequest, pg_database: PgDatabase) -> Any:
    pg_database.execute(ORDERS)
    if request.param == "s3":
        yield in_a_bucket(pg_database, request.getfixturevalue("s3_bucket"))
        return
    with new_database(request.getfixturevalue("postgres"), "destination") as destination:
        yield in_a_database(pg_database, destination)


@pytest.fixture
def in_database(two_databases: tuple[PgDatabase, PgDatabase]) -> Copy:
    """Where the destination plays no part, or can be changed by hand."""
    two_databases[0].execute(ORDERS)
    return in_a_database(*two_databases)


def test_column_with_another_name_by_col_rename_is_filled(copy: Copy) -> None:
    copy.run()
    copy.spec = {"col_rename": {"x": "x2"}}
    result = copy.run()
    assert result.updated == 3
    assert any("x2 (new)" in warning for warning in result.report.warnings)
    copy.assert_same("x2", "x")
    # The column of the old name stays as it was, and is put right when the name comes back.
    copy.source.execute("UPDATE orders SET x = 10 + x, updated_at = now()")
    copy.spec = {}
    copy.run()
    copy.assert_same("x")


def test_what_the_error_of_a_changed_type_says_to_do_brings_all_rows(copy: Copy) -> None:
    copy.run()
    copy.source.execute("ALTER TABLE orders ALTER x TYPE bigint")
    with pytest.raises(SchemaMismatch):
        copy.run()
    copy.spec = {"col_rename": {"x": "x2"}}
    copy.run()
    copy.assert_same("x2", "x")


def test_other_type_that_arrives_as_the_same_one_is_read_again(copy: Copy) -> None:
    copy.run()
    copy.source.execute(
        "ALTER TABLE orders ALTER born TYPE timestamptz USING born AT TIME ZONE 'Asia/Kolkata', ALTER doc TYPE jsonb;"
        "INSERT INTO orders (born) VALUES ('2024-01-01 05:30+05:30')"
    )
    result = copy.run()
    assert (result.inserted, result.updated) == (1, 3)
    assert any(
        "born (type timestamp without time zone -> timestamp with time zone), doc (type json -> jsonb)" in warning
        for warning in result.report.warnings
    )
    copy.assert_same("born", "born AT TIME ZONE 'UTC'")
    copy.assert_same("doc", "doc::text")


def test_column_that_was_dropped_and_added_again_is_read_again(copy: Copy) -> None:
    copy.run()
    copy.source.execute("ALTER TABLE orders DROP x; ALTER TABLE orders ADD x int DEFAULT 99")
    assert copy.run().updated == 3
    copy.assert_same("x")
    copy.assert_settled()


def test_column_that_comes_back_without_values_is_emptied(copy: Copy) -> None:
    copy.run()
    copy.source.execute("ALTER TABLE orders DROP x")
    copy.run()
    copy.source.execute("ALTER TABLE orders ADD x int")
    assert copy.run().updated == 3
    assert copy.query("x") == [(None,)] * 3


def test_mask_that_comes_later_masks_all_rows_and_goes_from_all(copy: Copy) -> None:
    copy.run()
    copy.spec = {"masking_columns": [["note", 3]]}
    assert any("note (masked by 3 instead of 0)" in warning for warning in copy.run().report.warnings)
    assert copy.query("note") == [("secreXXX",)] * 3
    copy.assert_settled()
    copy.spec = {}
    copy.run()
    copy.assert_same("note")


@pytest.mark.parametrize("stop_after", [None, 1])
def test_crash_before_or_amid_the_second_copy_loses_nothing(
    copy: Copy, monkeypatch: pytest.MonkeyPatch, stop_after: int | None
) -> None:
    copy.run()
    copy.spec = {"masking_columns": [["note", 3]], "col_rename": {"x": "x2"}, "batch_size": 1}
    if stop_after is None:
        # The destination has its columns then, and no row was read.
        with monkeypatch.context() as patch:
            patch.setattr(module, "needs_refill", _die)
            with pytest.raises(RuntimeError):
                copy.run()
    else:
        copy.run(stop_after=stop_after, chunk_bytes=1, commit_bytes=1)
    copy.run()
    assert copy.query("note") == [("secreXXX",)] * 3
    copy.assert_same("x2", "x")
    copy.assert_settled()


def _die(*_arguments: object) -> bool:
    raise RuntimeError


def test_column_that_keeps_its_name_at_the_destination_is_not_read_again(copy: Copy) -> None:
    copy.run()
    copy.source.execute("ALTER TABLE orders RENAME note TO remark")
    copy.spec = {"col_rename": {"remark": "note"}}
    copy.assert_settled()


def test_logging_says_what_it_leaves_and_the_remedy_it_names_is_enough(copy: Copy) -> None:
    copy.spec = LOG
    copy.run()
    copy.spec = {**LOG, "masking_columns": [["note", 3]], "col_rename": {"x": "x2"}}
    result = copy.run()
    assert result.updated == 0
    (warning,) = [each for each in result.report.warnings if "reset_checkpoint" in each]
    assert "x2 (new), note (masked by 3 instead of 0)" in warning
    copy.assert_same("note")
    copy.assert_settled()
    with ends_of(copy.raw) as ends:
        ends.destination.reset_state(None)
    assert copy.run().updated == 3
    assert copy.query("note") == [("secreXXX",)] * 3
    copy.assert_same("x2", "x")
    copy.assert_settled()


def test_logging_has_nothing_to_say_of_a_new_column_without_values(in_database: Copy) -> None:
    in_database.spec = LOG
    in_database.run()
    in_database.source.execute("ALTER TABLE orders ADD points int")
    in_database.assert_settled()


def test_dump_says_that_earlier_snapshots_stay_as_they_are(copy: Copy) -> None:
    copy.spec = DUMP
    copy.run()
    assert copy.run().report.warnings == []
    copy.spec = {**DUMP, "masking_columns": [["note", 3]]}
    (warning,) = copy.run().report.warnings
    assert "earlier snapshots" in warning
    assert "note (masked by 3 instead of 0)" in warning
    assert sorted(copy.query("note")) == sorted([*[(f"secret-{n}",) for n in (1, 2, 3)] * 2, *[("secreXXX",)] * 3])
    assert copy.run().report.warnings == []


def test_dump_of_a_dump_is_refused_until_its_column_has_another_name(copy: Copy) -> None:
    copy.source.execute("ALTER TABLE orders ADD migration_snapshot_date timestamp DEFAULT '2024-01-01'")
    copy.spec = DUMP
    with pytest.raises(ConfigError, match="col_rename"):
        copy.run()
    copy.spec = {**DUMP, "col_rename": {"migration_snapshot_date": "first_dumped"}}
    copy.run()
    copy.assert_same("first_dumped", "migration_snapshot_date")


@pytest.mark.parametrize("columns", [["id", "x", "note", "born", "doc", "updated_at"], None])
def test_position_of_a_time_before_forms_takes_what_is_there_as_it_is(
    two_databases: tuple[PgDatabase, PgDatabase], columns: list[str] | None
) -> None:
    source, destination = two_databases
    source.execute(ORDERS)
    copy = in_a_database(source, destination)
    copy.run()
    destination.execute("UPDATE arrived._dms_state SET position = position - 'forms'")
    if columns is not None:
        destination.execute(
            "UPDATE arrived._dms_state SET position = jsonb_set(position, '{columns}', to_jsonb(%s))", [columns]
        )
    copy.assert_settled()
    stored = destination.value("SELECT position FROM arrived._dms_state")
    assert stored["forms"]["born"] == [4, "timestamp without time zone", False, 0]
    assert "columns" not in stored


def test_column_that_is_new_to_an_older_position_is_filled(two_databases: tuple[PgDatabase, PgDatabase]) -> None:
    source, destination = two_databases
    source.execute(ORDERS)
    copy = in_a_database(source, destination)
    copy.run()
    destination.execute(
        "UPDATE arrived._dms_state SET position = position - 'forms' ||"
        """ '{"columns": ["id", "x", "note", "born", "doc", "updated_at"]}'"""
    )
    source.execute("ALTER TABLE orders ADD points int DEFAULT 7")
    assert copy.run().updated == 3
    copy.assert_same("points")


def test_column_that_was_dropped_at_the_destination_is_filled_again(
    two_databases: tuple[PgDatabase, PgDatabase],
) -> None:
    source, destination = two_databases
    source.execute(ORDERS)
    copy = in_a_database(source, destination)
    copy.run()
    destination.execute("ALTER TABLE arrived.orders DROP note")
    copy.run()
    copy.assert_same("note")


def test_key_of_another_name_is_refused_where_rows_would_come_twice(
    two_databases: tuple[PgDatabase, PgDatabase],
) -> None:
    source, destination = two_databases
    source.execute(ORDERS)
    copy = in_a_database(source, destination)
    copy.spec = {"partition_col": "born", "partition_col_format": "datetime"}
    copy.run()
    copy.spec |= {"col_rename": {"id": "order_id"}}
    with pytest.raises(SchemaMismatch, match="RENAME COLUMN"):
        copy.run()
    destination.execute("ALTER TABLE arrived.orders RENAME COLUMN id TO order_id")
    copy.source.execute("UPDATE orders SET note = 'changed', updated_at = now() WHERE id = 1")
    copy.run()
    assert destination.rows("SELECT order_id, note FROM arrived.orders ORDER BY 1") == [
        (1, "changed"),
        (2, "secret-2"),
        (3, "secret-3"),
    ]


def test_composite_that_gets_another_attribute_is_read_again(pg_database: PgDatabase, s3_bucket: Bucket) -> None:
    pg_database.execute(
        f"CREATE TYPE size AS (a int, b int); {ORDERS} ALTER TABLE orders ADD s size; UPDATE orders SET s = (1, 2)"
    )
    copy = in_a_bucket(pg_database, s3_bucket)
    copy.run()
    pg_database.execute("ALTER TYPE size ADD ATTRIBUTE c int")
    copy.run()
    copy.assert_same("s", "s::text")
