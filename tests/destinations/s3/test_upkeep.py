"""Checking the files of a table, making a lost manifest anew, and compaction by command. Nothing is removed unasked."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.comparison import Verdict
from connectors.destinations.s3 import checking, contents
from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.objects import Objects
from connectors.errors import ConfigError, DestinationError
from connectors.verbs import Finding, Problem, Rebuilt
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs.support import compare_once, ends_of

DUMP: dict[str, Any] = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
MANIFEST = "_dms/manifest.json"
FOREIGN = "part-000001-000001-90000.parquet"


@pytest.fixture
def items(pg_database: PgDatabase) -> PgDatabase:
    pg_database.execute(
        "CREATE TABLE items (id bigint PRIMARY KEY, note text, day date, updated_at timestamptz DEFAULT now());"
        "INSERT INTO items SELECT n, 'note ' || n, date '2024-01-01' + n % 3 FROM generate_series(1, 3000) n;"
        "ANALYZE items"
    )
    return pg_database


@pytest.fixture
def raw(items: PgDatabase, s3_bucket: Bucket) -> dict[str, Any]:
    """A mapping of it, partitioned in three, that was run."""
    raw = make_bucket_mapping(
        items, s3_bucket, make_table("items", partition_col="day", partition_col_format="datetime")
    )
    run_once(raw)
    return raw


@pytest.fixture
def prefix(items: PgDatabase) -> str:
    return f"sql/{items.name}/items/"


def check(raw: dict[str, Any]) -> list[Finding]:
    with ends_of(raw) as ends:
        found = ends.destination.check_files()
        assert found is not None
        return list(found.findings)


def rebuild(raw: dict[str, Any]) -> Rebuilt:
    with ends_of(raw) as ends:
        done = ends.destination.rebuild_manifest()
        assert done is not None
        return done


def problems(raw: dict[str, Any]) -> dict[str, Problem]:
    return {each.key: each.problem for each in check(raw)}


def manifest_of(bucket: Bucket, prefix: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bucket.get(prefix + MANIFEST))
    del document["nonce"]
    return document


def known(manifest: dict[str, Any]) -> list[list[Any]]:
    """The parts without what their rows take in memory, which no footer says for certain."""
    assert manifest["part_fields"][-1] == "arrow_bytes"
    return sorted(values[:-1] for values in manifest["parts"])


def test_everything_in_order(raw: dict[str, Any], s3_bucket: Bucket, prefix: str) -> None:
    before = s3_bucket.etags()
    with ends_of(raw) as ends:
        found = ends.destination.check_files()
    assert found is not None
    assert (found.location, found.parts, found.rows) == (f"s3://{s3_bucket.name}/{prefix}", 3, 3000)
    assert found.findings == ()
    assert s3_bucket.etags() == before


def test_whatever_is_wrong_is_named_and_left(raw: dict[str, Any], s3_bucket: Bucket, prefix: str) -> None:
    gone, changed, swapped = s3_bucket.visible_parts(prefix)
    content = s3_bucket.get(gone)
    s3_bucket.delete(gone)
    s3_bucket.put(changed, s3_bucket.get(changed) + b" ")
    _forge(s3_bucket, prefix, swapped)
    s3_bucket.put(prefix + FOREIGN, content)
    s3_bucket.put(prefix + "notes/read me.txt")
    s3_bucket.put(prefix + "_dms/probe-1")
    s3_bucket.put(f"{prefix[:-1]}_other/{FOREIGN}", content)
    upload = s3_bucket.client.create_multipart_upload(Bucket=s3_bucket.name, Key=f"{prefix}day_year=2024/x.parquet")
    before = s3_bucket.etags()
    assert problems(raw) == {
        gone.removeprefix(prefix): Problem.MISSING,
        changed.removeprefix(prefix): Problem.CHANGED,
        swapped.removeprefix(prefix): Problem.CHANGED,
        FOREIGN: Problem.ORPHAN,
        "notes/read me.txt": Problem.FOREIGN,
        "_dms/probe-1": Problem.FOREIGN,
        "day_year=2024/x.parquet": Problem.UPLOAD,
    }
    details = {each.key: each.detail for each in check(raw)}
    assert details[swapped.removeprefix(prefix)] == "its columns differ from the manifest's: note"
    assert s3_bucket.etags() == before
    assert [each.upload_id for each in s3_bucket.open_uploads()] == [upload["UploadId"]]


def test_another_owner_and_an_unreadable_manifest_are_findings(
    raw: dict[str, Any], s3_bucket: Bucket, prefix: str
) -> None:
    document = manifest_of(s3_bucket, prefix)
    s3_bucket.put(prefix + MANIFEST, json.dumps(document | {"stream": "other_DMS_items_dest"}).encode())
    assert [each.detail for each in check(raw)] == ["the table belongs to stream other_DMS_items_dest"]
    s3_bucket.put(prefix + MANIFEST, b"{")
    found = check(raw)
    assert found[0].problem is Problem.STATE
    assert [each.problem for each in found[1:]] == [Problem.ORPHAN] * 3


def test_what_a_run_publishes_meanwhile_is_no_finding(
    raw: dict[str, Any], items: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run commits after the manifest was read and before the bucket is listed."""
    runs: list[int] = []

    def list_late(objects: Objects) -> Iterator[Part]:
        if not runs:
            items.execute("UPDATE items SET note = 'new', updated_at = clock_timestamp()")
            runs.append(run_once(raw).updated)
        return listing(objects)

    listing = checking.listing
    monkeypatch.setattr(checking, "listing", list_late)
    assert check(raw) == []
    assert runs == [3000]


def test_a_lost_manifest_is_made_anew(raw: dict[str, Any], items: PgDatabase, s3_bucket: Bucket, prefix: str) -> None:
    items.execute("UPDATE items SET day = day + 1, updated_at = clock_timestamp() WHERE id % 5 = 0; ")
    run_once(raw)
    before = manifest_of(s3_bucket, prefix)
    parts = {key: etag for key, etag in s3_bucket.etags(prefix).items() if "_dms" not in key}
    s3_bucket.delete(prefix + MANIFEST)
    with pytest.raises(ConfigError, match="manifest --rebuild"):
        run_once(raw)
    done = rebuild(raw)
    assert (done.parts, done.rows, done.left_alone) == (len(parts), 3000, ())
    assert "its next run reads the whole table again" in done.notes[0]
    after = manifest_of(s3_bucket, prefix)
    assert known(after) == known(before)
    assert all(values[-1] > 1000 for values in after["parts"])
    for name in ("columns", "key", "facts", "stream", "part_fields"):
        assert after[name] == before[name], name
    assert (after["position"], after["first_copy"]) == (None, False)
    assert after["epoch"] == done.epoch > before["epoch"]
    assert check(raw) == []
    assert {key: etag for key, etag in s3_bucket.etags(prefix).items() if "_dms" not in key} == parts
    items.execute("UPDATE items SET note = 'late' WHERE id = 9; INSERT INTO items VALUES (4000, 'new', '2024-01-01')")
    result = run_once(raw)
    assert (result.inserted, result.updated) == (1, 1)
    assert compare_once(raw).verdict is Verdict.EQUAL
    assert s3_bucket.query(prefix, "SELECT count(*), count(DISTINCT id) FROM parts") == [(3001, 3001)]


def test_a_manifest_that_names_lost_parts_is_replaced_and_kept_beside(
    raw: dict[str, Any], s3_bucket: Bucket, prefix: str
) -> None:
    (lost, *_) = s3_bucket.visible_parts(prefix)
    s3_bucket.delete(lost)
    old = s3_bucket.get(prefix + MANIFEST)
    done = rebuild(raw)
    assert (done.parts, done.rows) == (2, 2000)
    assert lost.removeprefix(prefix) in done.notes[-1]
    (backup,) = s3_bucket.keys(f"{prefix}_dms/manifest-before-")
    assert s3_bucket.get(backup) == old
    assert check(raw) == []
    assert run_once(raw).inserted == 1000
    assert compare_once(raw).verdict is Verdict.EQUAL


def test_a_manifest_in_order_is_not_replaced(raw: dict[str, Any], s3_bucket: Bucket) -> None:
    before = s3_bucket.etags()
    with pytest.raises(ConfigError, match="the manifest is in order, so there is nothing to rebuild"):
        rebuild(raw)
    assert s3_bucket.etags() == before


def test_a_manifest_in_order_is_not_replaced_for_what_lies_beside_the_table(
    raw: dict[str, Any], s3_bucket: Bucket, prefix: str
) -> None:
    s3_bucket.put(prefix + "_SUCCESS")
    before = s3_bucket.etags()
    with pytest.raises(ConfigError, match="lies beside the table, for you to move away"):
        rebuild(raw)
    assert s3_bucket.etags() == before


@pytest.mark.parametrize("rows_at_once", [8_000_000, 700])
def test_a_part_beside_its_successor_is_refused(
    raw: dict[str, Any], s3_bucket: Bucket, prefix: str, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows of it are in other parts too; the sum of rows by pair does not hang on how often parts are read."""
    monkeypatch.setattr(contents, "_ROWS_AT_ONCE", rows_at_once)
    part, *_ = s3_bucket.visible_parts(prefix)
    directory = part.removeprefix(prefix).rpartition("/")[0]
    s3_bucket.put(f"{prefix}{directory}/{FOREIGN}", s3_bucket.get(part))
    s3_bucket.delete(prefix + MANIFEST)
    with pytest.raises(DestinationError, match="parts hold the same rows") as raised:
        rebuild(raw)
    assert part.removeprefix(prefix) in str(raised.value)
    assert f"{directory}/{FOREIGN} (1,000 rows)" in str(raised.value)
    assert prefix + MANIFEST not in s3_bucket.etags()
    s3_bucket.delete(f"{prefix}{directory}/{FOREIGN}")
    assert rebuild(raw).rows == 3000


def test_parts_of_other_columns_and_other_streams_are_refused(
    raw: dict[str, Any], s3_bucket: Bucket, prefix: str
) -> None:
    part, *_ = s3_bucket.visible_parts(prefix)
    table = pq.read_table(io.BytesIO(s3_bucket.get(part)))
    s3_bucket.put(prefix + FOREIGN, _file(table.drop_columns(["note"])))
    with pytest.raises(
        DestinationError, match=rf": {FOREIGN} differ from the other parts in columns, types, key or partitions"
    ):
        rebuild(raw)
    label = json.loads(table.schema.metadata[b"dms"])
    theirs = table.replace_schema_metadata({b"dms": json.dumps(label | {"stream": "other"}).encode()})
    newest = "part-000900-000001-00001.parquet"
    s3_bucket.put(prefix + newest, _file(theirs))
    with pytest.raises(ConfigError, match=rf"the newest part, {newest}, was written by stream other"):
        rebuild(raw)


def test_foreign_objects_stay_and_are_not_taken_for_parts(raw: dict[str, Any], s3_bucket: Bucket, prefix: str) -> None:
    s3_bucket.put(prefix + FOREIGN, _file(pa.table({"id": [1]})))
    s3_bucket.put(prefix + "part-000001-000001-90001.parquet", b"no parquet")
    s3_bucket.put(prefix + "extra.csv")
    s3_bucket.delete(prefix + MANIFEST)
    done = rebuild(raw)
    assert (done.parts, done.rows) == (3, 3000)
    left = {FOREIGN, "part-000001-000001-90001.parquet", "extra.csv"}
    assert {each.key for each in done.left_alone} == left
    assert {key.removeprefix(prefix) for key in s3_bucket.keys(prefix)} >= left


def test_dumps_get_their_snapshots_back(items: PgDatabase, s3_bucket: Bucket, prefix: str) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items", **DUMP, strict=True))
    run_once(raw)
    items.execute("DELETE FROM items WHERE id > 2000; INSERT INTO items VALUES (1, '', NULL) ON CONFLICT DO NOTHING")
    run_once(raw)
    before = manifest_of(s3_bucket, prefix)
    s3_bucket.delete(prefix + MANIFEST)
    done = rebuild(raw)
    assert (done.rows, done.notes) == (5000, ())
    assert known(manifest_of(s3_bucket, prefix)) == known(before)
    assert compare_once(raw).verdict is Verdict.EQUAL
    run_once(raw)
    assert s3_bucket.query(prefix, "SELECT count(*), count(DISTINCT migration_snapshot_date) FROM parts") == [(7000, 3)]


def test_a_part_of_a_dump_beside_its_successor_is_refused(items: PgDatabase, s3_bucket: Bucket, prefix: str) -> None:
    items.execute("UPDATE items SET note = 'same', id = id; ALTER TABLE items DROP id")
    raw = make_bucket_mapping(items, s3_bucket, make_table("items", **DUMP))
    run_once(raw)
    (part,) = s3_bucket.visible_parts(prefix)
    # Rows that are equal within one dump are no reason to refuse it; a part that was merged into another is.
    s3_bucket.delete(prefix + MANIFEST)
    assert rebuild(raw).rows == 3000
    s3_bucket.put(prefix + "part-000001-000007-00002.parquet", s3_bucket.get(part))
    with pytest.raises(DestinationError, match=r"part-000001-000001-\d+.parquet and part-000001-000007-00002.parquet"):
        rebuild(raw)


def test_compaction_merges_small_parts_and_changes_no_row(items: PgDatabase, s3_bucket: Bucket, prefix: str) -> None:
    raw = make_bucket_mapping(items, s3_bucket, make_table("items"))
    run_once(raw, chunk_bytes=20_000, commit_bytes=1)
    parts = s3_bucket.visible_parts(prefix)
    assert 2 <= len(parts) < 16
    columns = "SELECT id, note, day::text, updated_at::text FROM parts ORDER BY id"
    rows = s3_bucket.query(prefix, columns)
    before = s3_bucket.etags()
    with ends_of(raw) as ends:
        schema = ends.source.describe()
        forecast = ends.destination.compact(schema, dry_run=True)
        assert s3_bucket.etags() == before
        done = ends.destination.compact(schema)
    assert done == forecast
    assert done is not None
    assert (done.merged, done.made, done.rows, done.partitions) == (len(parts), 1, 3000, 1)
    assert len(s3_bucket.visible_parts(prefix)) == 1
    assert s3_bucket.query(prefix, columns) == rows
    assert check(raw) == []
    result = run_once(raw)
    assert (result.inserted, result.updated) == (0, 0)
    assert compare_once(raw).verdict is Verdict.EQUAL


def _forge(bucket: Bucket, prefix: str, key: str) -> None:
    """Give a part another column type, and the manifest its new etag and size."""
    table = pq.read_table(io.BytesIO(bucket.get(key)))
    place = table.schema.get_field_index("note")
    body = _file(table.set_column(place, "note", pa.array(range(len(table)))))
    etag = bucket.put(key, body)
    document = json.loads(bucket.get(prefix + MANIFEST))
    names = document["part_fields"]
    for part in document["parts"]:
        if part[names.index("key")] == key.removeprefix(prefix):
            part[names.index("etag")], part[names.index("byte_count")] = etag, len(body)
    bucket.put(prefix + MANIFEST, json.dumps(document).encode())


def _file(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()
