"""The mirror delivers to a real store server, in order, and waits for one that is down."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone
from pydantic import SecretStr

from connectors.errors import ConfigError
from connectors.stores import MongoStore, Version
from controlplane.sandbox import MongoServer
from controlplane.sandbox.mongo import run_mongo
from migrations_app import mirror, settings_io
from migrations_app.enums import RunState
from migrations_app.models import Checkpoint, OutboxEntry, Stream
from tests.controlplane.builders import make_run, make_stream, raw_settings

pytestmark = pytest.mark.django_db

UNIQUE_ID = "shop_DMS_orders_warehouse"


def use_stores(url: str, db_name: str) -> None:
    def store(collection: str) -> dict[str, str]:
        return {"url": url, "db_name": db_name, "collection_name": collection}

    raw = raw_settings(encryption_store=store("state"), dashboard_store=store("runs"))
    settings_io.save_settings(settings_io.parse_settings(raw))


class Stores:
    """Both stores, as a reader sees them."""

    def __init__(self, server: MongoServer, db_name: str) -> None:
        self.client = server.client()
        self.db_name = db_name

    def documents(self, collection: str) -> list[dict[str, Any]]:
        return list(self.client[self.db_name][collection].find())

    def only(self, collection: str) -> dict[str, Any]:
        (document,) = self.documents(collection)
        return document


@pytest.fixture
def stores(mongo: MongoServer, mongo_database_name: str) -> Iterator[Stores]:
    use_stores(mongo.url, mongo_database_name)
    opened = Stores(mongo, mongo_database_name)
    yield opened
    opened.client.close()


@pytest.fixture
def stream() -> Stream:
    return make_stream()


def test_checkpoint_arrives_in_the_documented_shape(stores: Stores, stream: Stream) -> None:
    before = timezone.now()
    mirror.enqueue_checkpoint(stream, {"cursor": ["eu", "17"]}, epoch=3)

    assert mirror.drain().delivered == 1

    document = stores.only("state")
    assert document["last_migrated_record_for_id"] == UNIQUE_ID
    assert document["record_id"] == "eu,17"
    assert abs(document["timing"] - before.replace(tzinfo=None)) < timedelta(seconds=10)
    mirror.enqueue_checkpoint(stream, {"cursor": ["eu", "18"]}, epoch=3)
    mirror.drain()
    assert stores.only("state")["timing"] > document["timing"]


def test_run_arrives_in_the_documented_shape(stores: Stores, stream: Stream) -> None:
    Checkpoint.objects.create(stream=stream, position={"safe_key": "99"}, epoch=2)
    run = make_run(
        stream,
        state=RunState.SUCCEEDED,
        finished_at=timezone.now(),
        read=12,
        inserted=10,
        updated=2,
        deleted=1,
        byte_count=2_500_000,
        lease_epoch=2,
    )
    mirror.enqueue_run(run)

    assert mirror.drain().delivered == 2

    document = stores.only("runs")
    assert document["total_time"] >= 0
    wanted = {
        "job_id": UNIQUE_ID,
        "table_name": "orders",
        "insertions": 10,
        "updations": 2,
        "deletions": 1,
        "total_records": 12,
        "curr_megabytes_processed": 2.5,
        "total_megabytes": 2.5,
        "status": True,
        "run_id": str(run.pk),
        "mapping": "shop",
        "mode": "syncing",
        "state": "succeeded",
        "error_class": "",
    }
    assert wanted.items() <= document.items()
    last_run = stores.only("state")
    assert (last_run["last_run_cron_job_for_id"], last_run["record_id"]) == (UNIQUE_ID, "99")


def test_last_run_and_last_record_are_documents_of_their_own(stores: Stores, stream: Stream) -> None:
    mirror.enqueue_checkpoint(stream, {"cursor": ["7"]}, epoch=2)
    mirror.enqueue_run(make_run(stream, state=RunState.SUCCEEDED, lease_epoch=2))

    assert mirror.drain().delivered == 3

    keys = [
        set(document) & {"last_run_cron_job_for_id", "last_migrated_record_for_id"}
        for document in stores.documents("state")
    ]
    assert sorted(map(sorted, keys)) == [["last_migrated_record_for_id"], ["last_run_cron_job_for_id"]]


def test_failed_run_leaves_the_last_successful_one_in_place(stores: Stores, stream: Stream) -> None:
    mirror.enqueue_run(make_run(stream, state=RunState.FAILED, error_class="SourceUnavailable"))
    mirror.drain()

    assert stores.documents("state") == []
    assert (stores.only("runs")["status"], stores.only("runs")["error_class"]) == (False, "SourceUnavailable")


def test_newest_news_is_delivered_once(stores: Stores, stream: Stream) -> None:
    for key in range(5):
        mirror.enqueue_checkpoint(stream, {"cursor": [str(key)]}, epoch=1)

    assert OutboxEntry.objects.count() == 1
    assert mirror.drain() == mirror.DrainResult(delivered=1)
    assert mirror.drain() == mirror.DrainResult()
    assert stores.only("state")["record_id"] == "4"


def test_news_after_a_delivery_is_delivered_at_once(stores: Stores, stream: Stream) -> None:
    for key in ("1", "2"):
        mirror.enqueue_checkpoint(stream, {"cursor": [key]}, epoch=1)
        mirror.drain()

    assert stores.only("state")["record_id"] == "2"


def test_older_news_never_replaces_newer(stores: Stores, stream: Stream) -> None:
    mirror.enqueue_checkpoint(stream, {"cursor": ["old"]}, epoch=1)
    late = OutboxEntry.objects.get()
    mirror.enqueue_checkpoint(stream, {"cursor": ["new"]}, epoch=1)
    mirror.drain()
    OutboxEntry.objects.all().delete()
    late.pk = None
    late.save()

    assert mirror.drain().delivered == 1
    assert stores.only("state")["record_id"] == "new"


def test_higher_epoch_wins_over_a_faster_clock(stores: Stores, stream: Stream) -> None:
    mirror.enqueue_checkpoint(stream, {"cursor": ["zombie"]}, epoch=1)
    OutboxEntry.objects.update(sequence=2**60)
    mirror.drain()
    OutboxEntry.objects.all().delete()

    mirror.enqueue_checkpoint(stream, {"cursor": ["heir"]}, epoch=2)
    mirror.drain()

    assert stores.only("state")["record_id"] == "heir"


def test_document_that_others_wrote_is_taken_over(stores: Stores, stream: Stream) -> None:
    collection = stores.client[stores.db_name]["state"]
    collection.insert_one({"last_migrated_record_for_id": UNIQUE_ID, "record_id": "1"})
    mirror.enqueue_checkpoint(stream, {"cursor": ["2"]}, epoch=1)

    mirror.drain()

    assert stores.only("state")["record_id"] == "2"


def test_store_that_is_down_delays_its_news_and_nothing_else(stream: Stream) -> None:
    with run_mongo() as running:
        use_stores(running.server.url, "dms")
        running.stop()
        mirror.enqueue_checkpoint(stream, {"cursor": ["1"]}, epoch=1)
        mirror.enqueue_run(make_run(stream))

        started = timezone.now()
        down = mirror.drain()

        assert timezone.now() - started < timedelta(seconds=8)
        assert (down.delivered, down.delayed, down.pending) == (0, 2, 2)
        assert len(down.problems) == 2
        entry = OutboxEntry.objects.earliest("id")
        assert entry.attempts == 1
        assert entry.next_attempt_at > timezone.now()
        assert "encryption_store" in entry.last_error

        running.restart()
        assert mirror.drain() == mirror.DrainResult(pending=2)
        OutboxEntry.objects.update(next_attempt_at=timezone.now())

        assert mirror.drain() == mirror.DrainResult(delivered=2)
        assert set(OutboxEntry.objects.values_list("attempts", "last_error")) == {(0, "")}
        client = running.server.client()
        assert client["dms"]["state"].count_documents({}) == client["dms"]["runs"].count_documents({}) == 1
        client.close()


def test_delays_grow(stream: Stream) -> None:
    use_stores("mongodb://127.0.0.1:1", "dms")
    delays = []
    mirror.enqueue_checkpoint(stream, {"cursor": ["1"]}, epoch=1)
    for _ in range(3):
        OutboxEntry.objects.update(next_attempt_at=timezone.now())
        mirror.drain()
        delays.append(OutboxEntry.objects.get().next_attempt_at - timezone.now())

    assert delays[0] < delays[1] < delays[2]


def test_missing_settings_keep_news_and_name_the_remedy(stream: Stream) -> None:
    mirror.enqueue_checkpoint(stream, {"cursor": ["1"]}, epoch=1)

    result = mirror.drain()

    assert result.pending == 1
    assert "import_settings" in result.problems[0]


def test_problem_never_shows_the_address(stream: Stream) -> None:
    use_stores("mongodb://user:store-secret@127.0.0.1:1", "dms")
    mirror.enqueue_checkpoint(stream, {"cursor": ["1"]}, epoch=1)

    assert "store-secret" not in str(mirror.drain())
    assert "store-secret" not in OutboxEntry.objects.get().last_error


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"correct dashboard_store\.url") as caught:
        MongoStore("dashboard_store", SecretStr("mongodb:/u:store-secret@h"), "d", "c", timeout_s=1)

    assert "store-secret" not in str(caught.value)


def test_writers_that_race_leave_one_document(mongo: MongoServer, mongo_database_name: str) -> None:
    writers = 8

    def write(number: int) -> None:
        store = MongoStore("state", SecretStr(mongo.url), mongo_database_name, "c", timeout_s=10)
        with store:
            start.wait()
            store.put({"k": "a"}, {"n": number}, Version(1, number))

    start = Barrier(writers)
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))

    client = mongo.client()
    assert [document["n"] for document in client[mongo_database_name]["c"].find()] == [writers - 1]
    client.close()


def test_delivered_entries_are_kept_for_a_week(stores: Stores, stream: Stream) -> None:
    mirror.enqueue_checkpoint(stream, {"cursor": ["1"]}, epoch=1)
    mirror.drain()
    OutboxEntry.objects.update(delivered_at=timezone.now() - timedelta(days=8))

    mirror.drain()

    assert not OutboxEntry.objects.exists()
