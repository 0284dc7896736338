"""Compaction and expiry: fewer parts with the same rows, and old snapshots go but the newest."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

from connectors.base import Write
from tests.destinations.s3.rows.tables import SMALL, Table, schema_of
from tests.destinations.s3.rows.test_append import DUMP, dump_rows
from tests.destinations.s3.rows.test_upsert import numbered

BY_COUNTRY = schema_of({"id": "bigint", "country": "text", "name": "text"})


def many_small_parts(table: Table, count: int) -> list[tuple[int, str, str]]:
    """A first copy whose every commit leaves one small part in each of two partitions."""
    table.spec, table.schema = {"partition_col": "country"}, BY_COUNTRY
    table.options = replace(table.options, commit_bytes=1)
    rows = [(n, ("de", "fr")[n % 2], f"row {n}") for n in range(count * 10)]
    chunks = [table.chunk(rows[n : n + 10], Write.APPEND, {"n": n}) for n in range(0, len(rows), 10)]
    table.run(*chunks, finish=False)
    return rows


def test_many_small_parts_are_merged_at_the_end_of_a_run(table: Table) -> None:
    table.sizes = replace(SMALL, compact_from=4)
    rows = many_small_parts(table, 4)
    assert len(table.parts) == 8
    before = table.manifest()
    table.run()
    assert sorted(part.partition for part in table.manifest().parts) == ["country=de", "country=fr"]
    assert table.content() == rows
    assert table.manifest().position == before.position
    assert table.upsert([(3, "fr", "changed"), (99, "fr", "new")]).updated == 1


def test_few_small_parts_are_left_alone(table: Table) -> None:
    rows = many_small_parts(table, 3)
    before = table.parts
    table.run()
    assert table.parts == before
    assert table.content() == rows


def test_compaction_on_demand_merges_all_small_parts(table: Table) -> None:
    rows = many_small_parts(table, 3)
    destination = table.destination()
    destination.open(epoch_floor=0)
    done = destination.compact(table.schema)
    destination.close()
    assert (done.merged, done.made, done.rows, done.partitions) == (6, 2, 30, 2)
    assert table.content() == rows
    assert table.manifest().position == {"n": 20}


def test_compaction_keeps_snapshots_apart(table: Table) -> None:
    table.spec, table.schema = {"mode": "dumping"}, DUMP
    table.sizes = replace(SMALL, part_rows=10, group_rows=5)
    times = [dt.datetime(2024, 1, day) for day in (1, 2)]
    for at in times:
        table.copy(dump_rows(30, at))
    table.sizes = replace(SMALL, compact_from=2)
    table.run()
    assert [(part.snapshot, part.rows) for part in table.manifest().parts] == [(at.isoformat(), 30) for at in times]


WIDE = replace(SMALL, part_rows=1000, group_rows=300, part_bytes=40_000, group_bytes=10_000, compact_from=2)


def wide(count: int, start: int = 0, width: int = 400) -> list[tuple[int, str]]:
    """Rows of some hundred bytes that compress to almost nothing."""
    return [(n, "x" * width) for n in range(start, start + count)]


def test_parts_that_are_full_by_bytes_are_not_merged_again(table: Table) -> None:
    """Their rows are few and their files small, as the rows compress well."""
    table.sizes = WIDE
    table.copy(wide(900))
    assert len(table.parts) >= 8
    before = table.parts
    table.run()
    assert table.parts == before
    assert table.content() == wide(900)


def test_parts_of_an_unknown_width_are_merged_once(table: Table) -> None:
    """So an older release wrote the manifest."""
    table.sizes = WIDE
    table.copy(wide(900))
    key = f"{table.place.prefix}_dms/manifest.json"
    document = json.loads(table.bucket.get(key))
    document["parts"] = [values[:8] for values in document["parts"]]
    table.bucket.put(key, json.dumps(document).encode())
    old = table.parts
    table.run()
    merged = table.parts
    table.run()
    assert not merged.keys() & old.keys()
    assert table.parts == merged
    assert table.content() == wide(900)


def test_new_rows_do_not_join_a_part_that_is_full_by_bytes(table: Table) -> None:
    table.sizes = replace(WIDE, compact_from=100)
    table.copy(wide(100))
    full = table.parts
    assert len(full) == 1
    for start in range(100, 300, 50):
        table.upsert(wide(50, start))
    assert table.parts.items() >= full.items()
    assert [part.rows for part in table.manifest().parts] == [100, 100, 100]
    assert table.content() == wide(300)


def test_old_snapshots_expire_but_the_newest(table: Table) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    table.spec, table.schema = {"mode": "dumping", "expiry": {"days": 2}}, DUMP
    for days in (5, 4, 1):
        table.copy(dump_rows(3, now - dt.timedelta(days=days)), finish=False)
    done = table.run()
    assert done.report.counts["expired"] == 6
    assert {part.snapshot for part in table.manifest().parts} == {(now - dt.timedelta(days=1)).isoformat()}
    table.spec = {"mode": "dumping", "expiry": {"hours": 1}}
    assert table.run().report.counts["expired"] == 0
    assert len(table.content()) == 3


def test_foreign_objects_beside_the_table_stay(table: Table) -> None:
    neighbours = [f"{table.place.prefix.rstrip('/')}_items/a.parquet", f"{table.place.prefix.rstrip('/')}2/a.parquet"]
    for key in neighbours:
        table.bucket.put(key, b"foreign")
    table.copy(numbered(3))
    table.upsert([(1, "changed")])
    assert [table.bucket.get(key) for key in neighbours] == [b"foreign"] * 2
