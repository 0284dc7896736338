"""A connection that is cut in mid-run: the run connects anew and goes on from its last commit."""

from __future__ import annotations

import signal

import pytest

from tests.runner.plane import wait_until
from tests.runner.shop import ROWS, Shop, table

pytestmark = pytest.mark.slow

_SLOW = 0.015
_ASLEEP = "wait_event = 'PgSleep' AND datname = current_database()"


@pytest.mark.parametrize("end", ["source", "destination"])
def test_run_whose_connection_is_cut_goes_on(shop: Shop, end: str) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)

    database = shop.source if end == "source" else shop.destination
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    shop.speed_up()

    assert command.wait() == 0, command.err
    assert shop.plane.runs("state", "inserted") == [("succeeded", ROWS)]
    ((counters,),) = shop.plane.runs("counters")
    assert '"reconnects": 1' in counters
    events = shop.plane.rows("SELECT level, message FROM migrations_app_runevent ORDER BY id")
    assert any(level == "warning" and "connects anew in 1" in message for level, message in events)
    shop.assert_equal()


def test_dump_that_is_cut_leaves_one_whole_snapshot(shop: Shop) -> None:
    shop.slow_down(0.004)
    shop.use(table("dumping"))
    command = shop.start()
    wait_until(lambda: bool(shop.source.rows(f"SELECT 1 FROM pg_stat_activity WHERE {_ASLEEP}")), "the dump to run")

    shop.source.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_ASLEEP}")

    assert command.wait() == 0, command.err
    assert len(shop.snapshots()) == 1


def test_run_ends_when_it_is_cut_off_too_often(shop: Shop) -> None:
    shop.slow_down(60)
    shop.use(table("syncing"))
    command = shop.start(DMS_RECONNECTS=1)

    for _ in range(2):
        wait_until(lambda: bool(shop.source.rows(f"SELECT 1 FROM pg_stat_activity WHERE {_ASLEEP}")), "the query")
        shop.source.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_ASLEEP}")
        wait_until(lambda: not shop.source.rows(f"SELECT 1 FROM pg_stat_activity WHERE {_ASLEEP}"), "its end")

    assert command.wait() == 1
    assert shop.plane.runs("state", "error_class", "resume_at") == [("failed", "SourceUnavailable", None)]


def test_stop_while_it_waits_to_connect_anew(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)
    shop.destination.execute(f"ALTER DATABASE {shop.source.name} ALLOW_CONNECTIONS false")
    try:
        shop.destination.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{shop.source.name}' AND pid <> pg_backend_pid()"
        )
        wait_until(
            lambda: bool(shop.plane.rows("SELECT 1 FROM migrations_app_runevent WHERE level = 'warning'")), "the cut"
        )

        command.send(signal.SIGTERM)

        assert command.wait(5) == 4
    finally:
        shop.destination.execute(f"ALTER DATABASE {shop.source.name} ALLOW_CONNECTIONS true")
    assert shop.plane.runs("state", "stop_reason") == [("stopped", "sigterm")]
