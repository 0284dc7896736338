"""Both MongoDB stores follow the runs; one that is down delays its documents and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.sandbox import MongoServer
from controlplane.sandbox.mongo import MongoProcess, run_mongo
from tests.runner.shop import ROWS, Shop, settings, table

_UNIQUE_ID = "shop_DMS_orders_dest"


def _documents(server: MongoServer, db_name: str, collection: str) -> list[dict[str, Any]]:
    client = server.client()
    try:
        return list(client[db_name][collection].find())
    finally:
        client.close()


def test_documents_after_runs(shop: Shop, mongo: MongoServer, mongo_database_name: str) -> None:
    shop.use(table("mirroring"))
    began = datetime.now(tz=UTC).replace(tzinfo=None)
    assert shop.migrate().code == 0
    shop.change()
    shop.delete()
    assert shop.migrate().code == 0

    first, second = _documents(mongo, mongo_database_name, "runs")

    assert (first["insertions"], first["updations"], first["deletions"]) == (ROWS, 0, 0)
    assert second["insertions"] == 54
    assert second["updations"] > 0
    assert second["deletions"] == 30
    for document in (first, second):
        assert document["job_id"] == _UNIQUE_ID
        assert document["table_name"] == "orders"
        assert (document["status"], document["state"], document["mode"]) == (True, "succeeded", "mirroring")
        assert document["start_time"] >= began
        assert 0 < document["total_time"] < 60
        assert document["curr_megabytes_processed"] == document["total_megabytes"] > 0
    state = _documents(mongo, mongo_database_name, "state")
    (last_record,) = [each for each in state if "last_migrated_record_for_id" in each]
    (last_run,) = [each for each in state if "last_run_cron_job_for_id" in each]
    for document, key in ((last_record, "last_migrated_record_for_id"), (last_run, "last_run_cron_job_for_id")):
        assert document[key] == _UNIQUE_ID
        assert document["record_id"] == str(ROWS + 60)
        assert document["timing"] >= began


def test_failed_and_stopped_runs_are_told_too(shop: Shop, mongo: MongoServer, mongo_database_name: str) -> None:
    shop.use(table("syncing"))
    assert shop.migrate(fault="after_checkpoint:2=raise").code == 1
    assert shop.migrate(fault="after_checkpoint:2=exit").code == 137
    assert shop.migrate().code == 0

    documents = _documents(mongo, mongo_database_name, "runs")

    found = sorted((each["state"], each["status"], each["error_class"]) for each in documents)
    assert found == [("failed", False, "InjectedFault"), ("lost", False, ""), ("succeeded", True, "")]


@pytest.fixture
def shop(shop: Shop, mongo: MongoServer, mongo_database_name: str) -> Shop:
    """A shop with stores of its own."""
    shop.plane.import_settings(settings(mongo, mongo_database_name))
    return shop


@pytest.fixture
def own_mongo() -> Iterator[MongoProcess]:
    """A server that the test may end."""
    with run_mongo() as process:
        yield process


def test_store_that_is_down_delays_and_stops_nothing(shop: Shop, own_mongo: MongoProcess) -> None:
    shop.plane.import_settings(settings(own_mongo.server, "dms"))
    shop.use(table("syncing"))
    own_mongo.stop()

    began = time.monotonic()
    done = shop.migrate()

    ((seconds,),) = shop.plane.rows(
        "SELECT (julianday(finished_at) - julianday(started_at)) * 86400 FROM migrations_app_run"
    )
    assert done.code == 0
    assert time.monotonic() - began - seconds < 7
    assert "mirror delayed" in done.err
    assert "Traceback" not in done.err
    shop.assert_equal()
    own_mongo.restart()
    shop.plane.rows("UPDATE migrations_app_outboxentry SET next_attempt_at = '2001-01-01 00:00:00'")
    again = shop.migrate()

    assert (again.code, again.err) == (0, "")
    assert [each["state"] for each in _documents(own_mongo.server, "dms", "runs")] == ["succeeded", "succeeded"]
    assert len(_documents(own_mongo.server, "dms", "state")) == 2
