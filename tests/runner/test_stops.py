"""Signals, the cut-off time and operators end a run within seconds at its last commit; the next one goes on there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

import pytest
import pytz

from controlplane.sandbox import MongoServer
from migrations_app.enums import StopReason
from migrations_app.watch import Watch, next_cut_off
from tests.databases import PgDatabase
from tests.runner.plane import Command, wait_until
from tests.runner.shop import ROWS, Shop, settings, table

#: Rows come at 60 a 0.9 s, which is a chunk.
_SLOW = 0.015
_STOPPED = 4
#: Within which a stopped process ends.
_SOON_S = 5.0
#: Long enough for a process to start and commit before it, on a busy machine too.
_CUT_OFF_AFTER_S = 6.0


def _assert_goes_on(shop: Shop) -> None:
    """The next run copies what is missing, and nothing twice."""
    arrived = shop.arrived()
    shop.speed_up()
    assert shop.migrate().code == 0
    ((inserted,),) = shop.plane.runs("inserted")[-1:]
    assert inserted == ROWS - arrived
    shop.assert_equal()


@contextmanager
def _locked(database: PgDatabase, statement: str) -> Iterator[None]:
    """Hold what the statement locks."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        yield
        connection.rollback()


def _wait_for_lock_wait(database: PgDatabase) -> None:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    wait_until(lambda: bool(database.value(statement)), "the run to wait for a lock")


def _stop(command: Command, number: signal.Signals = signal.SIGTERM) -> None:
    command.send(number)
    assert command.wait(_SOON_S) == _STOPPED
    assert command.err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_mid_copy(shop: Shop, number: signal.Signals) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)

    _stop(command, number)

    assert shop.plane.runs("state", "stop_reason") == [("stopped", "sigterm")]
    assert number.name in command.out
    assert 0 < shop.arrived() < ROWS
    _assert_goes_on(shop)


def test_second_signal_changes_nothing(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("mirroring"))
    command = shop.start()
    shop.wait_for_commit(command)

    command.send(signal.SIGTERM)
    _stop(command)

    assert shop.plane.runs("state", "stop_reason") == [("stopped", "sigterm")]
    _assert_goes_on(shop)


def test_stop_while_the_source_works_on_a_long_query(shop: Shop) -> None:
    shop.slow_down(60)
    shop.use(table("syncing"))
    command = shop.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    wait_until(lambda: bool(shop.source.value(asleep)), "the long query")

    _stop(command)

    wait_until(lambda: not shop.source.value(asleep), "the query to end with its run", 3)
    assert shop.arrived() == 0
    _assert_goes_on(shop)


def test_stopped_dump_leaves_nothing(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("dumping"))
    command = shop.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    wait_until(lambda: bool(shop.source.value(asleep)), "the dump to run")

    _stop(command)

    assert shop.arrived() == 0
    shop.speed_up()
    assert shop.migrate().code == 0
    assert shop.snapshots() == [shop.contents(shop.source, "orders")]


def test_stop_while_waiting_for_a_lock_of_the_destination(shop: Shop) -> None:
    shop.use(table("syncing"))
    assert shop.migrate().code == 0
    shop.change()
    with _locked(shop.destination, "UPDATE arrived.orders SET name = 'held' WHERE id = 7"):
        command = shop.start()
        _wait_for_lock_wait(shop.destination)
        _stop(command)

    assert shop.plane.states() == ["succeeded", "stopped"]
    assert shop.migrate().code == 0
    shop.assert_equal()


def test_stop_in_the_last_step(shop: Shop) -> None:
    shop.source.execute("CREATE INDEX by_name ON orders (name)")
    shop.use(table("syncing"))
    command = shop.start(fault="before_finish=block")
    command.wait_for_fault()
    command.send(signal.SIGKILL)
    command.wait()
    # Compatible with writing rows, but not with ANALYZE or a new index.
    with _locked(shop.destination, "LOCK TABLE arrived.orders IN SHARE UPDATE EXCLUSIVE MODE"):
        command = shop.start()
        _wait_for_lock_wait(shop.destination)
        _stop(command)

    assert shop.plane.states() == ["lost", "stopped"]
    assert shop.migrate().code == 0
    shop.assert_equal()
    assert shop.destination.value("SELECT count(*) FROM pg_indexes WHERE schemaname = 'arrived'") >= 2


def test_part_that_does_not_end_is_left_behind(shop: Shop) -> None:
    shop.use(table("syncing"))
    command = shop.start(fault="before_dest_commit:2=block")
    command.wait_for_fault()

    command.send(signal.SIGTERM)

    assert command.wait(_SOON_S + 1) == _STOPPED
    assert shop.plane.runs("state", "stop_reason") == [("stopped", "sigterm")]
    assert shop.migrate().code == 0
    shop.assert_equal()


def test_server_that_hangs_does_not_hold_the_process(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)
    reader = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    wait_until(lambda: bool(shop.source.rows(reader)), "the reading backend")
    backend = int(shop.source.rows(reader)[0][0])
    os.kill(backend, signal.SIGSTOP)
    try:
        command.send(signal.SIGTERM)
        assert command.wait(_SOON_S + 2) == _STOPPED
    finally:
        os.kill(backend, signal.SIGCONT)
    assert shop.plane.states() == ["stopped"]
    _assert_goes_on(shop)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_cut_off_time_in_the_time_zone_of_the_settings(
    shop: Shop, mongo: MongoServer, mongo_database_name: str, zone: str
) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    soon = datetime.now(tz=pytz.timezone(zone)) + timedelta(seconds=_CUT_OFF_AFTER_S)
    shop.plane.import_settings(
        settings(mongo, mongo_database_name, cut_off_time=soon.strftime("%H:%M:%S"), timezone=zone)
    )

    command = shop.start()

    assert command.wait(_CUT_OFF_AFTER_S + _SOON_S) == _STOPPED
    assert shop.plane.runs("state", "stop_reason") == [("stopped", "cut_off")]
    assert "cut-off time" in command.out
    _assert_goes_on(shop)


def test_operator_stops_one_stream_and_the_others_go_on(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.add_table("customers")
    shop.use(table("syncing"), table("syncing", "customers"))
    command = shop.start()
    shop.wait_for_commit(command)

    shop.plane.rows("UPDATE migrations_app_run SET stop_requested = true WHERE state = 'running'")

    assert command.wait(_SOON_S) == _STOPPED
    assert shop.plane.runs("state", "stop_reason") == [("stopped", "operator"), ("succeeded", "")]
    shop.assert_equal("customers")


def test_signal_keeps_further_streams_from_beginning(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.add_table("customers")
    shop.use(table("syncing"), table("syncing", "customers"))
    command = shop.start()
    shop.wait_for_commit(command)

    command.send(signal.SIGTERM)

    assert command.wait(_SOON_S) == _STOPPED
    assert command.err == "1 of 2 streams were not begun: the process was asked to end by SIGTERM\n"
    assert shop.plane.states() == ["stopped"]


def test_signal_after_the_last_outcome_is_too_late(shop: Shop) -> None:
    shop.use(table("syncing"))
    command = shop.start(fault="before_mirror=block")
    command.wait_for_fault()
    assert shop.plane.states() == ["succeeded"]
    command.send(signal.SIGTERM)
    time.sleep(0.3)
    command.send(signal.SIGKILL)
    command.wait()

    assert shop.plane.states() == ["succeeded"]


def test_end_of_the_parent_stops() -> None:
    watch = Watch(parent_pid=os.getppid())
    assert watch.look() is None

    stop = Watch(parent_pid=os.getpid()).look()

    assert stop is not None
    assert stop.reason is StopReason.PARENT_DIED


def _utc(text: str) -> datetime:
    return pytz.utc.localize(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("zone", "cut_off", "now", "expected"),
    [
        ("UTC", "06:00", "2026-05-01T05:59:59", "2026-05-01T06:00:00"),
        ("UTC", "06:00", "2026-05-01T06:00:00", "2026-05-02T06:00:00"),
        ("Asia/Kolkata", "07:00", "2026-05-01T01:00:00", "2026-05-01T01:30:00"),
        ("Asia/Kolkata", "00:10", "2026-05-01T18:39:00", "2026-05-01T18:40:00"),
        # Summer time begins: 02:30 is left out, and becomes 03:30.
        ("America/New_York", "02:30", "2026-03-08T05:00:00", "2026-03-08T07:30:00"),
        ("America/New_York", "03:30", "2026-03-08T05:00:00", "2026-03-08T07:30:00"),
        ("America/New_York", "02:30", "2026-03-08T08:00:00", "2026-03-09T06:30:00"),
        # It ends: 01:30 comes twice, and the first one counts.
        ("America/New_York", "01:30", "2026-11-01T04:00:00", "2026-11-01T05:30:00"),
        ("America/New_York", "01:30", "2026-11-01T05:45:00", "2026-11-02T06:30:00"),
        ("America/New_York", "02:30", "2026-11-01T04:00:00", "2026-11-01T07:30:00"),
    ],
)
def test_next_cut_off(zone: str, cut_off: str, now: str, expected: str) -> None:
    wanted = datetime.fromisoformat(f"2000-01-01T{cut_off}").time()

    assert next_cut_off(wanted, zone, _utc(now)) == _utc(expected)


def test_without_cut_off_time_there_is_none() -> None:
    assert next_cut_off(None, "UTC", _utc("2026-05-01T00:00:00")) is None
