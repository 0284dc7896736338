"""Partitions: each row in the directory of its value, moved when that changes, whatever the value looks like."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest

from connectors.base import Write
from connectors.destinations.s3.partitions import PartitionColumn, Partitioning
from connectors.errors import ConfigError, SchemaMismatch, ValueNotRepresentable
from connectors.mapping import PartitionFormat
from tests.destinations.s3.rows import many
from tests.destinations.s3.rows.tables import SMALL, Table, schema_of

BY_COUNTRY = schema_of({"id": "bigint", "country": "text", "v": "text"})
NULL = "__HIVE_DEFAULT_PARTITION__"


def directories(table: Table) -> set[str]:
    """The directories that hold parts."""
    return {key.rpartition("/")[0] for key in table.parts}


@pytest.mark.parametrize(
    ("type_text", "form", "values"),
    [
        ("text", "str", ["", None, "a/b", "%", "=", "007", "7", "\u00fc\U0001f600", " a ", "..", "a b", "x" * 100]),
        ("integer", "int", [-1, 0, 7, None, 2**31 - 1]),
        ("numeric(12,0)", "int", [None, -5, 10**11]),
        ("boolean", "str", [True, False, None]),
        ("date", "datetime", [dt.date(1969, 12, 31), dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]),
        ("timestamp without time zone", "datetime", [dt.datetime(1969, 12, 31, 23, 59, 59, 999999), None]),
        ("timestamp without time zone", "str", [dt.datetime(2024, 1, 1, 1, 2, 3)]),
        ("uuid", "str", ["00000000-0000-0000-0000-000000000001"]),
    ],
)
def test_values_of_every_kind(table: Table, type_text: str, form: str, values: list[Any]) -> None:
    table.spec = {"partition_col": "p", "partition_col_format": form}
    table.schema = schema_of({"id": "bigint", "p": type_text})
    rows = [(n, value) for n, value in enumerate(values)]
    table.copy(rows)
    assert len(directories(table)) == len(values)
    assert sorted((row["id"], row["p"]) for row in table.arrow().to_pylist()) == rows
    done = table.upsert(rows)
    assert (done.inserted, done.updated) == (0, 0)


def test_directories_are_spelled_as_hive_does(table: Table) -> None:
    table.spec = {"partition_col": ["country", "at"], "partition_col_format": ["str", "datetime"]}
    table.schema = schema_of({"id": "bigint", "country": "text", "at": "timestamp without time zone"})
    at = dt.datetime(2024, 1, 5)
    table.copy([(1, "a/b%=", at), (2, "007", None), (3, None, at), (4, "", at)])
    levels = "at_year=2024/at_month=1/at_day=5"
    assert directories(table) == {
        f"country=a%2Fb%25%3D/{levels}",
        f"country=007/at_year={NULL}/at_month={NULL}/at_day={NULL}",
        f"country={NULL}/{levels}",
        f"country=/{levels}",
    }
    read = table.bucket.query(
        table.place.prefix, "SELECT id, at_year FROM parts WHERE country = 'a/b%=' AND at_day = 5", hive=True
    )
    assert [(row[0], int(row[1])) for row in read] == [(1, 2024)]


@pytest.mark.parametrize(("strict", "day"), [(False, 5), (True, 6)])
def test_days_of_instants_are_utc_or_the_settings_zone(table: Table, strict: bool, day: int) -> None:  # noqa: FBT001, RUF100
    table.spec = {"partition_col": "at", "partition_col_format": "datetime", "strict": strict}
    kind = "with time zone" if strict else "without time zone"
    table.schema = schema_of({"id": "bigint", "at": f"timestamp {kind}"})
    at = dt.datetime(2024, 1, 5, 20, 0, tzinfo=dt.UTC if strict else None)
    table.copy([(1, at)])
    assert directories(table) == {f"at_year=2024/at_month=1/at_day={day}"}


def test_row_whose_value_changed_moves(table: Table) -> None:
    table.spec, table.schema = {"partition_col": "country"}, BY_COUNTRY
    table.copy([(1, "de", "a"), (2, "de", "b"), (3, "fr", "c")])
    done = table.upsert([(1, "fr", "a"), (2, "de", "changed"), (4, "it", "new")])
    assert (done.inserted, done.updated) == (1, 2)
    assert table.content() == [(1, "fr", "a"), (2, "de", "changed"), (3, "fr", "c"), (4, "it", "new")]
    in_france = table.bucket.query(f"{table.place.prefix}country=fr/", "SELECT id FROM parts ORDER BY 1")
    assert in_france == [(1,), (3,)]


def test_part_that_loses_its_last_row_is_deleted(table: Table) -> None:
    table.spec, table.schema = {"partition_col": "country"}, BY_COUNTRY
    table.copy([(1, "de", "a"), (2, "fr", "b")])
    table.upsert([(1, "fr", "a")])
    assert directories(table) == {"country=fr"}
    assert len(table.content()) == 2


def test_rows_that_change_places_are_each_there_once(table: Table) -> None:
    table.spec, table.schema, table.sizes = {"partition_col": "country"}, BY_COUNTRY, SMALL
    countries = ["de", "fr", "it"]
    table.copy([(n, countries[n % 3], "v") for n in range(3000)])
    moved = [(n, countries[(n + 1) % 3], "v") for n in range(0, 3000, 2)]
    done = table.upsert(moved)
    assert (done.inserted, done.updated) == (0, 1500)
    rows = {n: (n, countries[n % 3], "v") for n in range(3000)} | {row[0]: row for row in moved}
    assert table.content() == sorted(rows.values())


def test_moved_rows_take_the_values_along_that_the_source_no_longer_has(table: Table) -> None:
    table.spec = {"partition_col": "country"}
    table.schema = schema_of({"id": "bigint", "country": "text", "gone": "text", "v": "text"})
    table.copy([(1, "de", "kept", "a"), (2, "de", "kept too", "b"), (3, "fr", "x", "c")])
    table.schema = schema_of({"id": "bigint", "country": "text", "v": "text"})
    table.upsert([(2, "fr", "b"), (4, "fr", "new")])
    assert table.content("id, country, gone") == [
        (1, "de", "kept"),
        (2, "fr", "kept too"),
        (3, "fr", "x"),
        (4, "fr", None),
    ]


def test_insert_does_not_move_a_row(table: Table) -> None:
    table.spec, table.schema = {"partition_col": "country"}, BY_COUNTRY
    table.copy([(1, "de", "a")])
    table.upsert([(1, "fr", "b"), (2, "fr", "c")], write=Write.INSERT)
    assert table.content() == [(1, "de", "a"), (2, "fr", "c")]


def test_dump_by_partitions(table: Table) -> None:
    table.spec = {"mode": "dumping", "partition_col": "country"}
    snapshot = "migration_snapshot_date"
    table.schema = schema_of({"country": "text", snapshot: "timestamp without time zone"}, key=())
    at = dt.datetime(2024, 1, 1)
    table.copy([("de", at), (None, at), ("de", at)])
    table.copy([("de", dt.datetime(2024, 1, 2))])
    assert [(part.partition, part.rows, part.snapshot) for part in table.manifest().parts] == [
        ("country=de", 2, "2024-01-01T00:00:00"),
        (f"country={NULL}", 1, "2024-01-01T00:00:00"),
        ("country=de", 1, "2024-01-02T00:00:00"),
    ]


def test_partition_column_under_its_new_name(table: Table) -> None:
    table.spec = {"partition_col": "country", "col_rename": {"country": "land"}}
    renamed = schema_of({"id": "bigint", "land": "text"})
    source = [
        column if column.name != "land" else column.__class__("land", column.pg_type, True, "country")
        for column in renamed.columns
    ]
    table.schema = renamed.__class__(tuple(source), key=("id",), key_is_unique=True)
    table.copy([(1, "de")])
    assert directories(table) == {"land=de"}


def test_other_partitions_in_the_mapping_leave_the_table_as_it_is(table: Table) -> None:
    table.spec, table.schema = {"partition_col": "country"}, BY_COUNTRY
    table.copy([(1, "de", "a")])
    table.spec = {}
    done = table.upsert([(2, "fr", "b")])
    assert "left as it is" in done.prepared.notes[0]
    assert directories(table) == {"country=de", "country=fr"}
    table.schema = schema_of({"id": "bigint", "v": "text"})
    with pytest.raises(SchemaMismatch, match="partitioned by country"):
        table.upsert([(3, "c")])


def test_formats_that_do_not_fit_are_refused(table: Table) -> None:
    table.schema = BY_COUNTRY
    for spec, words in (
        ({"partition_col": "country", "partition_col_format": "datetime"}, "arrive as string"),
        ({"partition_col": "nowhere"}, "does not have"),
        ({"partition_col": "migration_snapshot_date"}, "does not have"),
    ):
        table.spec = spec
        with pytest.raises(ConfigError, match=words):
            table.copy([(1, "de", "a")])
    table.spec = {"partition_col": "country"}
    with pytest.raises(ValueNotRepresentable, match="directory"):
        table.copy([(1, "x" * 300, "a")])
    assert table.parts == {}


@pytest.mark.parametrize(
    ("columns", "spec"),
    [
        ({"d": "date", "d_year": "integer"}, {"partition_col": "d", "partition_col_format": "datetime"}),
        ({"d": "date", "D_Month": "integer"}, {"partition_col": "d", "partition_col_format": "datetime"}),
        (
            {"d": "date", "d_day": "text"},
            {"partition_col": ["d_day", "d"], "partition_col_format": ["str", "datetime"]},
        ),
    ],
    ids=["another column", "in other letters", "two levels"],
)
def test_directories_that_readers_take_for_another_column_are_refused(
    table: Table, columns: dict[str, str], spec: dict[str, Any]
) -> None:
    table.schema = schema_of({"id": "bigint", **columns})
    table.spec = spec
    with pytest.raises(ConfigError, match=r"readers would mix them up; rename one of them with `col_rename`"):
        table.copy([(1, dt.date(2024, 1, 1), None)])
    assert table.parts == {}


def test_names_decode_to_the_values() -> None:
    values = ["a/b", "%41", "=", "'", '"', "#?", "\n", "\u00fc", ".", "..", "{x}"]
    partitioning = Partitioning((PartitionColumn("p", PartitionFormat.STR),))
    batch = pa.record_batch({"p": values})
    names = partitioning.of(batch).cast(pa.string()).to_pylist()
    assert [unquote(name.removeprefix("p=")) for name in names] == values
    assert all("/" not in name for name in names)


@pytest.mark.parametrize("mode", ["dumping", "syncing"])
def test_too_many_partitions_are_refused_by_the_name_of_the_key(table: Table, mode: str) -> None:
    """Each has a file of its own, and all of them are named by one document."""
    snapshot = {"migration_snapshot_date": "timestamp without time zone"} if mode == "dumping" else {}
    table.schema = schema_of({"id": "bigint", "country": "text", **snapshot}, key=() if snapshot else ("id",))
    table.spec = {"mode": mode, "partition_col": "country"}
    table.sizes = replace(SMALL, partitions=20)

    def rows(count: int) -> list[tuple[Any, ...]]:
        return [(n, f"secret-{n}", *[dt.datetime(2024, 1, 1)] * len(snapshot)) for n in range(count)]

    table.copy(rows(20))
    before = table.parts
    assert len(before) == 20
    with pytest.raises(ConfigError, match=r"more than 20 partitions of `partition_col` \(country\)") as raised:
        table.run(table.chunk(rows(21), Write.APPEND if snapshot else Write.UPSERT))
    assert "secret" not in str(raised.value)
    assert table.parts == before


MANY = """
import json, sys
from pathlib import Path
from tests.destinations.s3.rows.many import copy_and_update
told = copy_and_update(json.loads(sys.stdin.read()))
peak_kb = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps([*told, int(peak_kb) // 1024]))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_thousand_partitions_in_little_memory(table: Table) -> None:
    place = table.place
    where = {
        name: getattr(place, name)
        for name in ("endpoint_url", "access_key_id", "secret_access_key", "bucket", "region", "suffix")
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MANY],
        input=json.dumps(where),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    inserted, updated, megabytes = json.loads(done.stdout)
    assert (inserted, updated) == (many.ROWS, many.CHANGED)
    assert megabytes < 400
    manifest = table.manifest()
    assert (manifest.row_count, len({part.partition for part in manifest.parts})) == (many.ROWS, many.PARTITIONS)
    # Two thousand objects take a minute to fetch; these are one that was rewritten and one that was not.
    for number, changed in ((7, 1), (1007, 0)):
        rows = "SELECT count(*), count(DISTINCT id), count(*) FILTER (v = 'new') FROM parts"
        found = table.bucket.query(f"{place.prefix}p={number}/", rows)
        assert found == [(many.ROWS // many.PARTITIONS,) * 2 + (changed,)]
