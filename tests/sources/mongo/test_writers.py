"""Documents come and change all the while, by clients whose clocks differ: none is missed, none comes twice."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from tests.buckets import Bucket
from tests.collections import Docs, make_collection, run_collection
from tests.databases import PgDatabase

_WRITERS = 8
_RUNS = 5
#: By how much the writers' clocks are ahead or behind, in seconds; less than the default overlap.
_SKEWS = (-45, -30, -10, -1, 0, 5, 20, 45)


@dataclass
class Writer:
    """A client with a clock of its own.

    Attributes:
        docs: The collection.
        skew: Of its clock, in seconds.
        changes: Whether it also changes documents that it has written.
    """

    docs: Docs
    skew: int
    changes: bool
    is_over: threading.Event
    written: int = 0
    errors: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        chance = random.Random(self.skew)
        mine: list[ObjectId] = []
        collection = self.docs.collection
        try:
            while not self.is_over.is_set():
                now = datetime.now(UTC) + timedelta(seconds=self.skew)
                # A document is made before it is sent.
                time.sleep(chance.random() / 20)
                if mine and self.changes and chance.random() < 0.4:
                    key = chance.choice(mine)
                    changed = {"_id": key, "by": self.skew, "n": self.written, "updated_at": now, "changed": True}
                    collection.replace_one({"_id": key}, changed)
                else:
                    key = ObjectId(ObjectId.from_datetime(now).binary[:4] + os.urandom(8))
                    collection.insert_one({"_id": key, "by": self.skew, "n": self.written, "updated_at": now})
                    mine.append(key)
                self.written += 1
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)


def write_while_running(docs: Docs, raw: dict[str, Any], seconds: float, *, changes: bool) -> int:
    """Five runs while eight clients write, and one after they have ended; the number of writes."""
    is_over = threading.Event()
    writers = [Writer(docs, skew, changes, is_over) for skew in _SKEWS]
    threads = [threading.Thread(target=each.run) for each in writers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(_RUNS - 1):
            time.sleep(seconds / _RUNS)
            run_collection(raw, clock_margin_s=60.0, chunk_bytes=20_000)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert [each.errors for each in writers] == [[]] * _WRITERS
    run_collection(raw, clock_margin_s=60.0, chunk_bytes=20_000)
    return sum(each.written for each in writers)


def expected(docs: Docs) -> list[tuple[str, int, int]]:
    return sorted((str(each["_id"]), each["by"], each["n"]) for each in docs.collection.find())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "seconds"),
    [
        ("syncing", 4),
        pytest.param("syncing", 60, marks=pytest.mark.stress),
        pytest.param("logging", 30, marks=pytest.mark.stress),
    ],
)
def test_no_document_is_missed_or_doubled_in_a_table(
    docs: Docs, pg_database: PgDatabase, mode: str, seconds: float
) -> None:
    docs.make()
    fields = {"by": "int", "n": "int"}
    bookmark: dict[str, Any] = {} if mode == "syncing" else {"bookmark": ...}
    raw = docs.to_pgsql(pg_database, make_collection(mode=mode, fields=fields, batch_size=50, **bookmark))
    written = write_while_running(docs, raw, seconds, changes=mode == "syncing")
    assert written > 100
    assert sorted(pg_database.rows("SELECT _id, by, n FROM arrived.orders")) == expected(docs)


@pytest.mark.stress
def test_no_document_is_missed_or_doubled_in_a_bucket(docs: Docs, s3_bucket: Bucket) -> None:
    docs.make()
    raw = docs.to_bucket(s3_bucket, make_collection(fields={"by": "int", "n": "int"}, batch_size=50))
    write_while_running(docs, raw, 30, changes=True)
    prefix = f"mongo/{docs.db_name}/orders/"
    assert s3_bucket.query(prefix, 'SELECT _id, "by", n FROM parts ORDER BY ALL') == expected(docs)


def test_without_the_overlap_documents_would_be_missed(docs: Docs, pg_database: PgDatabase) -> None:
    """The other tests can fail: what they show is the overlap's doing."""
    docs.make()
    raw = docs.to_pgsql(pg_database, make_collection())
    docs.collection.insert_one({"n": 1, "updated_at": datetime.now(UTC)})
    run_collection(raw)
    behind = datetime.now(UTC) - timedelta(seconds=45)
    late = ObjectId(ObjectId.from_datetime(behind).binary[:4] + os.urandom(8))
    docs.collection.insert_one({"_id": late, "n": 2, "updated_at": behind})
    assert run_collection(raw, clock_margin_s=0.0).inserted == 0
    assert run_collection(raw, clock_margin_s=60.0).inserted == 1
