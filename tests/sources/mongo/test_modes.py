"""Collections in every mode, to a PostgreSQL table and to Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from tests.buckets import Bucket
from tests.builders import RunResult
from tests.collections import Docs, make_collection, run_collection
from tests.databases import PgDatabase

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)


class Target(Protocol):
    """Where a collection arrives."""

    def run(self, *specs: dict[str, Any], **options: Any) -> RunResult: ...
    def rows(self, columns: str = "_id, note") -> list[tuple[Any, ...]]: ...


class TableTarget:
    """A table of a database."""

    def __init__(self, docs: Docs, database: PgDatabase) -> None:
        self.docs, self.database = docs, database

    def run(self, *specs: dict[str, Any], **options: Any) -> RunResult:
        return run_collection(self.docs.to_pgsql(self.database, *specs), **options)

    def rows(self, columns: str = "_id, note") -> list[tuple[Any, ...]]:
        return self.database.rows(f"SELECT {columns} FROM arrived.orders ORDER BY 1, 2")


class BucketTarget:
    """A table in a bucket."""

    def __init__(self, docs: Docs, bucket: Bucket) -> None:
        self.docs, self.bucket = docs, bucket

    def run(self, *specs: dict[str, Any], **options: Any) -> RunResult:
        return run_collection(self.docs.to_bucket(self.bucket, *specs), **options)

    def rows(self, columns: str = "_id, note") -> list[tuple[Any, ...]]:
        prefix = f"mongo/{self.docs.db_name}/orders/"
        return self.bucket.query(prefix, f"SELECT {columns} FROM parts ORDER BY 1, 2")


@pytest.fixture(params=["pgsql", "s3"])
def target(request: pytest.FixtureRequest, docs: Docs) -> Iterator[Target]:
    docs.make()
    if request.param == "pgsql":
        yield TableTarget(docs, request.getfixturevalue("pg_database"))
    else:
        yield BucketTarget(docs, request.getfixturevalue("s3_bucket"))


def old_id(number: int) -> ObjectId:
    """An ObjectId made long ago."""
    return ObjectId(ObjectId.from_datetime(LONG_AGO).binary[:4] + number.to_bytes(8, "big"))


def insert(docs: Docs, count: int, *, first: int = 0, at: datetime | None = LONG_AGO) -> None:
    stamp = {} if at is None else {"updated_at": at}
    docs.collection.insert_many([{"_id": old_id(n), "note": f"note {n}", **stamp} for n in range(first, first + count)])


def expected(docs: Docs) -> list[tuple[str, str]]:
    return sorted((str(each["_id"]), each["note"]) for each in docs.collection.find())


def test_syncing_brings_new_and_changed_documents(target: Target, docs: Docs) -> None:
    insert(docs, 50)
    assert target.run(chunk_bytes=1000).inserted == 50
    assert target.rows() == expected(docs)

    docs.set(old_id(3), note="changed", updated_at=datetime.now(UTC))
    docs.collection.insert_one({"note": "new", "updated_at": datetime.now(UTC)})
    docs.collection.insert_one({"note": "new with an old bookmark", "updated_at": LONG_AGO})
    docs.collection.insert_one({"_id": old_id(999), "note": "new with an old id", "updated_at": datetime.now(UTC)})
    docs.collection.delete_one({"_id": old_id(4)})
    changed = target.run()
    assert (changed.inserted, changed.updated) == (3, 1)
    rows = target.rows()
    assert (str(old_id(4)), "note 4") in rows
    assert [row for row in rows if row[0] != str(old_id(4))] == expected(docs)

    again = target.run()
    assert (again.inserted, again.updated) == (0, 0)


def test_syncing_follows_documents_without_a_bookmark_once(target: Target, docs: Docs) -> None:
    insert(docs, 5)
    insert(docs, 5, first=10, at=None)
    assert target.run().inserted == 10
    insert(docs, 3, first=20, at=None)
    docs.collection.insert_one({"_id": old_id(30), "note": "no date", "updated_at": "yesterday"})
    run = target.run()
    assert (run.inserted, run.updated) == (4, 0)
    assert run.report.counts["null_bookmarks"] == 9
    assert target.rows() == expected(docs)


def test_syncing_without_a_bookmark_compares_all(target: Target, docs: Docs) -> None:
    spec = make_collection(bookmark=False)
    insert(docs, 40, at=None)
    first = target.run(spec, chunk_bytes=1000)
    assert (first.inserted, first.updated) == (40, 0)
    docs.set(old_id(7), note="changed")
    docs.collection.insert_one({"_id": old_id(50), "note": "new"})
    run = target.run(spec, chunk_bytes=1000)
    assert (run.inserted, run.updated) == (1, 1)
    assert target.rows() == expected(docs)
    if isinstance(target, TableTarget):
        # What is equal by its hash is not sent.
        assert (run.report.counts["documents_compared"], run.read) == (41, 2)
        docs.set(old_id(8), wider="a field that is new")
        assert target.run(spec).updated == 1


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_bookmarks_in_other_forms(target: Target, docs: Docs, form: str) -> None:
    spec = make_collection(improper_bookmarks=True)
    long_ago, now = LONG_AGO.strftime(form), datetime.now(UTC).strftime(form)
    docs.collection.insert_many([{"_id": old_id(n), "note": f"{n}", "updated_at": long_ago} for n in range(20)])
    docs.collection.insert_one({"_id": old_id(50), "note": "never", "updated_at": "never"})
    assert target.run(spec).inserted == 21
    docs.set(old_id(7), note="changed", updated_at=now)
    docs.set(old_id(8), note="changed, but its bookmark was not")
    docs.set(old_id(50), note="changed", updated_at="never")
    run = target.run(spec)
    assert (run.inserted, run.updated) == (0, 2)
    assert run.report.counts["unparsed_bookmarks"] == 1
    assert any("tell no time" in warning for warning in run.report.warnings)


def test_logging_adds_and_never_changes(target: Target, docs: Docs) -> None:
    spec = make_collection(mode="logging", bookmark=...)
    insert(docs, 30)
    assert target.run(spec, chunk_bytes=1000).inserted == 30
    before = dict(target.rows())
    docs.set(old_id(3), note="changed")
    docs.collection.insert_many([{"note": f"new {n}"} for n in range(5)])
    run = target.run(spec)
    assert (run.inserted, run.updated) == (5, 0)
    after = dict(target.rows())
    assert before.items() <= after.items()
    assert len(after) == 35


def test_logging_finds_ids_that_tell_no_time(target: Target, docs: Docs) -> None:
    spec = make_collection(mode="logging", bookmark=...)
    docs.collection.insert_many([{"_id": f"k{n:03}", "note": f"{n}"} for n in range(0, 20, 2)])
    assert target.run(spec).inserted == 10
    docs.collection.insert_many([{"_id": f"k{n:03}", "note": f"{n}"} for n in range(1, 20, 2)])
    run = target.run(spec)
    assert run.inserted == 10
    assert run.report.counts["ids_compared"] == 20
    assert [row[0] for row in target.rows()] == [f"k{n:03}" for n in range(20)]


def test_dumping_adds_whole_snapshots(target: Target, docs: Docs) -> None:
    spec = make_collection(mode="dumping", bookmark=...)
    insert(docs, 30)
    assert target.run(spec, chunk_bytes=1000).inserted == 30
    docs.collection.delete_many({"note": "note 1"})
    # A field that earlier snapshots did not have.
    docs.set(old_id(2), note="changed", added="new field")
    assert target.run(spec, chunk_bytes=1000).inserted == 29
    snapshots = target.rows("migration_snapshot_date, note, added")
    moments = sorted({row[0] for row in snapshots})
    assert [sum(row[0] == moment for row in snapshots) for moment in moments] == [30, 29]
    assert [row[2] for row in snapshots if row[2] is not None] == ["new field"]


def test_ids_of_every_type_in_one_collection(target: Target, docs: Docs) -> None:
    ids: list[Any] = [1, 2.5, "1", "b", ObjectId(), {"a": 1}, b"bin", datetime(1999, 1, 1), True]
    stored = []
    for each in ids:
        # The sandbox's server takes 1 and "1", or 1 and true, for one id.
        with suppress(DuplicateKeyError):
            docs.collection.insert_one({"_id": each, "note": repr(each), "updated_at": LONG_AGO})
            stored.append(repr(each))
    assert len(stored) >= 7
    first = target.run(chunk_bytes=200)
    assert first.inserted == len(stored)
    assert sorted(row[1] for row in target.rows()) == sorted(stored)
    docs.collection.insert_one({"_id": "c", "note": "'c'", "updated_at": datetime.now(UTC)})
    assert target.run().inserted == 1


@pytest.mark.parametrize("mode", ["syncing", "logging"])
@pytest.mark.parametrize("commits", [1, 2, 3, 5])
def test_copy_that_was_killed_goes_on(target: Target, docs: Docs, mode: str, commits: int) -> None:
    spec = make_collection(mode=mode, batch_size=7)
    insert(docs, 30)
    docs.collection.insert_many([{"_id": n, "note": f"note {n}", "updated_at": LONG_AGO} for n in range(20)])
    target.run(spec, stop_after=commits, chunk_bytes=500)
    if mode == "syncing":
        docs.set(0, note="changed between", updated_at=datetime.now(UTC))
    docs.collection.insert_one({"_id": -5, "note": "below all", "updated_at": datetime.now(UTC)})
    target.run(spec, chunk_bytes=500)
    assert target.rows() == expected(docs)


def test_fields_that_come_later_become_columns(target: Target, docs: Docs) -> None:
    # More documents than are looked at beforehand, so that the first copy itself meets the field.
    insert(docs, 1300)
    docs.set(old_id(650), extra=5, note="wider")
    run = target.run(make_collection(fields={"extra": "int"}, batch_size=200), chunk_bytes=5000)
    assert run.inserted == 1300
    assert target.rows("_id, extra")[650] == (str(old_id(650)), 5)
    docs.set(old_id(640), later={"a": [1]}, updated_at=datetime.now(UTC))
    docs.set(old_id(660), other=True, updated_at=datetime.now(UTC))
    assert target.run(make_collection(fields={"extra": "int"})).updated == 2
    rows = {row[0]: row[1:] for row in target.rows("_id, later, other, extra")}
    assert rows[str(old_id(640))] == ('{"a":[{"$numberInt":"1"}]}', None, None)
    assert rows[str(old_id(660))] == (None, "true", None)
    assert rows[str(old_id(650))] == (None, None, 5)


def test_dump_meets_a_field_in_the_middle(target: Target, docs: Docs) -> None:
    insert(docs, 1300)
    docs.set(old_id(650), rare="here")
    run = target.run(make_collection(mode="dumping", bookmark=..., batch_size=200), chunk_bytes=5000)
    assert run.inserted == 1300
    assert [row[1] for row in target.rows("_id, rare") if row[1]] == ["here"]


def test_grace_and_buffer_lags_read_again(target: Target, docs: Docs) -> None:
    plain, graced = make_collection(), make_collection(grace_updation_lag={"hours": 2})
    insert(docs, 5)
    target.run(plain)
    # A late writer: its bookmark lies before the last run.
    docs.set(old_id(1), note="late", updated_at=datetime.now(UTC) - timedelta(hours=1))
    assert target.run(plain).updated == 0
    assert target.run(graced).updated == 1
    docs.set(old_id(2), note="later", updated_at=datetime.now(UTC) - timedelta(minutes=90))
    assert target.run(make_collection(buffer_updation_lag={"hours": 1})).updated == 0
    assert target.run(make_collection(buffer_updation_lag={"hours": 2})).updated == 1


def test_overlap_covers_clocks_that_are_behind(target: Target, docs: Docs) -> None:
    insert(docs, 5)
    target.run()
    behind = datetime.now(UTC) - timedelta(seconds=40)
    docs.set(old_id(1), note="by a clock that is behind", updated_at=behind)
    docs.collection.insert_one({"_id": ObjectId.from_datetime(behind), "note": "new", "updated_at": LONG_AGO})
    run = target.run(clock_margin_s=60.0)
    assert (run.inserted, run.updated) == (1, 1)
