"""Who may run a stream: one process at a time, and another as soon as the first is surely gone or silent too long."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing

import pytest

from migrations_app.owner import Owner, this_process
from tests.runner.plane import wait_until
from tests.runner.shop import ROWS, Shop, table

_SLOW = 0.015
_ALREADY_RUNNING = 3
_STOPPED = 4
_FAILED = 1
#: A write that another session of the destination holds up.
_HELD = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_stream_with_a_living_owner_is_left_alone(shop: Shop) -> None:
    shop.use(table("syncing"))
    command = shop.start(fault="after_prepare=block")
    command.wait_for_fault()

    second = shop.migrate()

    assert second.code == _ALREADY_RUNNING
    assert f"running, by process {command.pid} on" in second.err
    assert "wait for it or stop it" in second.err
    assert "Traceback" not in second.err
    assert shop.plane.states() == ["running"]


@pytest.mark.slow
def test_processes_that_race_for_a_stream_run_it_once(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))

    racers = [shop.start() for _ in range(4)]

    codes = sorted(racer.wait() for racer in racers)
    assert codes == [0, _ALREADY_RUNNING, _ALREADY_RUNNING, _ALREADY_RUNNING]
    assert shop.plane.runs("state", "inserted") == [("succeeded", ROWS)]


def test_frozen_owner_loses_its_lease_and_can_write_no_more(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    frozen = shop.start(DMS_LEASE_S=1.0, DMS_HEARTBEAT_S=0.3)
    shop.wait_for_commit(frozen)
    frozen.send(signal.SIGSTOP)
    time.sleep(1.5)
    shop.speed_up()

    second = shop.migrate()
    assert second.code == 0
    before = shop.plane.runs("id", "state", "read", "reason")
    frozen.send(signal.SIGCONT)

    assert frozen.wait(10) == _FAILED
    assert "Traceback" not in frozen.err
    assert shop.plane.runs("id", "state", "read", "reason") == before
    assert shop.plane.states() == ["lost", "succeeded"]
    assert "its lease expired" in before[0][3]
    shop.assert_equal()


def test_owner_frozen_with_rows_on_their_way_is_fenced_off(shop: Shop) -> None:
    shop.use(table("syncing"))
    assert shop.migrate().code == 0
    shop.change()
    with closing(shop.destination.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("UPDATE arrived.orders SET name = name WHERE id = 7")
        frozen = shop.start(DMS_LEASE_S=1.0, DMS_HEARTBEAT_S=0.3)
        wait_until(lambda: bool(shop.destination.rows(_HELD)), "the frozen run to wait")
        zombie = shop.destination.rows(_HELD)[0][0]
        frozen.send(signal.SIGSTOP)
        time.sleep(1.5)
        second = shop.start()
        alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {zombie}"
        wait_until(lambda: not shop.destination.value(alive), "the old session to be ended")
        holder.rollback()
    assert second.wait() == 0
    frozen.send(signal.SIGCONT)

    assert frozen.wait(10) == _FAILED
    assert shop.plane.states() == ["succeeded", "lost", "succeeded"]
    shop.assert_equal()


def test_statement_of_a_killed_process_that_still_runs_commits_no_more(shop: Shop) -> None:
    shop.use(table("mirroring"))
    assert shop.migrate().code == 0
    shop.change()
    with closing(shop.destination.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("UPDATE arrived.orders SET name = name WHERE id = 7")
        killed = shop.start()
        wait_until(lambda: bool(shop.destination.rows(_HELD)), "the upsert to wait")
        zombie = shop.destination.rows(_HELD)[0][0]
        killed.send(signal.SIGKILL)
        killed.wait()
        assert shop.destination.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {zombie}") == 1
        shop.delete()
        second = shop.start()
        alive = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {zombie}"
        wait_until(lambda: not shop.destination.value(alive), "the zombie to be ended")
        holder.rollback()

    assert second.wait() == 0
    assert shop.plane.states() == ["succeeded", "lost", "succeeded"]
    shop.assert_equal()


def test_zombie_that_sleeps_in_a_trigger_is_ended(shop: Shop) -> None:
    shop.use(table("syncing"))
    assert shop.migrate().code == 0
    shop.change()
    shop.destination.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id = 14 THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER slow BEFORE UPDATE ON arrived.orders FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    killed = shop.start()
    wait_until(lambda: bool(shop.destination.rows(asleep)), "the trigger to sleep")
    killed.send(signal.SIGKILL)
    killed.wait()
    ((zombie,),) = shop.destination.rows(asleep)
    second = shop.start()
    # The trigger is there for the second one too.
    wait_until(lambda: {(zombie,)}.isdisjoint(shop.destination.rows(asleep) or [(zombie,)]), "another to sleep")
    second.send(signal.SIGTERM)
    assert second.wait(5) == _STOPPED
    wait_until(lambda: not shop.destination.rows(asleep), "its statement to end with it")
    shop.destination.execute("DROP TRIGGER slow ON arrived.orders")

    assert shop.migrate().code == 0
    assert shop.plane.states() == ["succeeded", "lost", "stopped", "succeeded"]
    shop.assert_equal()


def test_run_that_somebody_else_marked_lost_ends_without_a_word_on_record(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)
    shop.plane.rows("UPDATE migrations_app_run SET state = 'lost', reason = 'by hand'")
    before = shop.plane.runs("state", "read", "reason", "finished_at")

    assert command.wait(8) == _FAILED

    assert shop.plane.runs("state", "read", "reason", "finished_at") == before
    assert shop.plane.rows("SELECT count(*) FROM migrations_app_runevent") == [(0,)]
    assert shop.arrived() < ROWS


def _orphan(shop: Shop, changes: str) -> None:
    """A run that is under way on record, with other owner's data."""
    command = shop.start(fault="after_open=block")
    command.wait_for_fault()
    command.send(signal.SIGKILL)
    command.wait()
    shop.plane.rows(f"UPDATE migrations_app_run SET {changes}")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        # Somebody else has the number now.
        (f"owner_pid = {os.getpid()}, owner_started = '1'", 0),
        # The host was started anew since.
        ("owner_boot_id = 'another boot:1'", 0),
        # Only the lease can tell of another host, or of another container on this one.
        ("owner_host = 'elsewhere'", _ALREADY_RUNNING),
        (f"owner_boot_id = '{this_process().boot_id}0'", _ALREADY_RUNNING),
        ("owner_host = 'elsewhere', lease_until = '2001-01-01 00:00:00'", 0),
    ],
    # Parallel workers must agree on the names, which would hold their process's id.
    ids=["pid used again", "booted anew", "another host", "another container", "another host, lease expired"],
)
def test_when_an_owner_counts_as_gone(shop: Shop, changes: str, code: int) -> None:
    shop.use(table("syncing"))
    _orphan(shop, changes)

    assert shop.migrate().code == code

    assert shop.plane.states() == (["lost", "succeeded"] if code == 0 else ["running"])


def test_this_process_is_not_gone() -> None:
    assert not this_process().is_gone


def test_zombie_process_is_gone() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    here = this_process()
    owner = Owner(here.host, here.boot_id, child, "1")
    time.sleep(0.2)
    try:
        assert owner.is_gone
    finally:
        os.waitpid(child, 0)
