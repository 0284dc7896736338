"""Columns that come, go or change: all parts have one schema for every reader, or nothing is changed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from connectors.base import Write
from connectors.errors import SchemaMismatch
from tests.destinations.s3.rows.tables import SMALL, Table, schema_of
from tests.destinations.s3.rows.test_upsert import numbered

WIDER = schema_of({"id": "bigint", "name": "text", "n": "numeric(9,2)", "at": "timestamp without time zone"})


def test_added_columns_are_null_in_older_rows_for_every_reader(table: Table) -> None:
    table.sizes = SMALL
    table.copy(numbered(1500))
    table.schema = WIDER
    done = table.upsert([(1500, "new", None, None), (3, "row 3", Decimal("1.50"), None)])
    assert done.prepared.added_columns == ("n", "at")
    assert (done.inserted, done.updated) == (1, 1)
    with table.bucket.fetched(table.place.prefix) as folder:
        whole = ds.dataset(folder, format="parquet", partitioning=None).to_table()
        # A reader that takes the first file's schema for all, as Athena and Spark do.
        with duckdb.connect() as connection:
            query = 'SELECT count(*), count(n), count("at") FROM read_parquet(?, union_by_name => false)'
            found = connection.execute(query, [f"{folder}/*.parquet"]).fetchone()
    assert whole.schema.names == ["id", "name", "n", "at"]
    assert whole.schema.field("n").type == pa.decimal128(9, 2)
    assert found == (1501, 1, 0)
    assert table.content("id, name")[:1500] == numbered(1500)


def test_columns_are_added_once(table: Table) -> None:
    table.copy(numbered(3))
    table.schema = WIDER
    table.run()
    before = table.parts
    done = table.run()
    assert done.prepared.added_columns == ()
    assert table.parts == before


def test_column_that_the_source_has_no_more_stays(table: Table) -> None:
    table.schema = WIDER
    table.copy([(1, "a", Decimal("1.00"), None)])
    table.schema = schema_of({"id": "bigint", "at": "timestamp without time zone", "name": "text"})
    done = table.run(table.chunk([(1, None, "b"), (2, None, "c")]))
    assert "no column n" in done.prepared.notes[0]
    assert [str(value) for (value,) in table.content("n", "id")] == ["1.00", "None"]
    assert table.content("id, name") == [(1, "b"), (2, "c")]
    assert {field.name for field in table.arrow().schema} == {"id", "name", "n", "at"}


@pytest.mark.parametrize("changed", ["integer", "numeric(10,2)", "timestamp without time zone"])
def test_changed_type_is_refused_before_anything_is_changed(table: Table, changed: str) -> None:
    table.copy(numbered(3))
    before = table.parts
    table.schema = schema_of({"id": "bigint", "name": changed, "new": "text"})
    with pytest.raises(SchemaMismatch, match="s3_suffix"):
        table.run()
    assert table.parts == before


def test_types_that_are_one_in_parquet_may_change(table: Table) -> None:
    table.copy(numbered(3))
    table.schema = schema_of({"id": "bigint", "name": "character varying(40)"})
    assert table.upsert([(1, "changed")]).updated == 1
    assert table.manifest().columns[1].pg == "character varying(40)"


def test_other_key_is_refused(table: Table) -> None:
    table.copy(numbered(3))
    table.schema = schema_of({"id": "bigint", "name": "text"}, key=("name",))
    with pytest.raises(SchemaMismatch, match="primary_key"):
        table.run()


def test_columns_that_differ_in_case_only_are_named(table: Table) -> None:
    table.schema = schema_of({"id": "bigint", "ID": "text"})
    done = table.run(table.chunk([(1, "a")], Write.APPEND))
    assert "upper and lower case" in done.prepared.notes[0]


def test_dry_run_tells_what_would_be_made_and_changed(table: Table) -> None:
    destination = table.destination()
    destination.connect()
    assert "name string" in destination.plan_statements(table.schema)[0]
    destination.close()
    table.copy(numbered(3))
    table.schema = WIDER
    destination = table.destination()
    destination.connect()
    assert "n decimal128(9, 2)" in destination.plan_statements(table.schema)[0]
    destination.close()
    assert len(table.manifest().columns) == 2


def test_other_time_zone_of_the_settings_leaves_instants_and_their_directories(table: Table) -> None:
    table.schema = schema_of({"id": "bigint", "at": "timestamp with time zone"})
    table.spec = {"strict": True, "partition_col": "at", "partition_col_format": "datetime"}
    # 2024-02-29 in UTC and Berlin, 2024-03-01 in India.
    moment = datetime(2024, 2, 29, 20, tzinfo=UTC)
    table.copy([(1, moment)])
    before = table.parts
    table.timezone = "Europe/Berlin"
    assert table.upsert([(1, moment)]).updated == 0
    assert table.parts == before
    table.upsert([(2, moment)])
    assert {key.rpartition("/")[0] for key in table.parts} == {"at_year=2024/at_month=3/at_day=1"}
    assert table.manifest().columns[1].arrow == "timestamp[us, tz=Asia/Kolkata]"
    assert {str(field.type) for field in table.arrow().schema} == {"int64", "timestamp[us, tz=Asia/Kolkata]"}
    assert [(key, at.astimezone(UTC)) for key, at in table.content()] == [(1, moment), (2, moment)]
