"""The control database may be PostgreSQL, and it may be away for a while."""

from __future__ import annotations

import signal
import time

import pytest

from tests.databases import PgDatabase
from tests.runner.plane import Plane, wait_until
from tests.runner.shop import ROWS, Shop, table

_SLOW = 0.015


@pytest.fixture
def plane(postgres_plane: Plane) -> Plane:
    """The control plane of the shops of these tests."""
    return postgres_plane


@pytest.mark.parametrize("mode", ["dumping", "logging", "syncing", "mirroring"])
@pytest.mark.parametrize("point", ["after_claim", "after_dest_commit", "before_outcome"])
def test_crash(shop: Shop, mode: str, point: str) -> None:
    shop.use(table(mode))

    assert shop.migrate(fault=f"{point}=exit").code == 137

    assert shop.migrate().code == 0
    assert shop.plane.states() == ["lost", "succeeded"]
    if mode == "dumping":
        assert set(shop.snapshots()) == {shop.contents(shop.source, "orders")}
    else:
        shop.assert_equal()


@pytest.mark.slow
def test_one_of_four_processes_runs(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))

    racers = [shop.start() for _ in range(4)]

    assert sorted(racer.wait() for racer in racers) == [0, 3, 3, 3]
    assert shop.plane.runs("state", "inserted") == [("succeeded", ROWS)]


def test_expired_lease_is_taken_over(shop: Shop) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    frozen = shop.start(DMS_LEASE_S=1.0, DMS_HEARTBEAT_S=0.3)
    shop.wait_for_commit(frozen)
    frozen.send(signal.SIGSTOP)
    time.sleep(1.5)
    shop.speed_up()
    assert shop.migrate().code == 0
    frozen.send(signal.SIGCONT)

    assert frozen.wait(10) == 1
    assert shop.plane.states() == ["lost", "succeeded"]
    shop.assert_equal()


@pytest.mark.slow
def test_run_lives_through_a_restart_of_the_control_database(shop: Shop, control: PgDatabase) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start()
    shop.wait_for_commit(command)

    ended = shop.source.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{control.name}'")

    assert ended
    assert command.wait() == 0
    assert "control database away" in command.err
    assert "Traceback" not in command.err
    assert shop.plane.runs("state", "inserted") == [("succeeded", ROWS)]
    shop.assert_equal()


@pytest.mark.slow
def test_control_database_that_stays_away_ends_the_run_with_its_lease(shop: Shop, control: PgDatabase) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    command = shop.start(DMS_LEASE_S=1.0, DMS_HEARTBEAT_S=0.2)
    shop.wait_for_commit(command)
    shop.source.execute(f'ALTER DATABASE "{control.name}" ALLOW_CONNECTIONS false')
    try:
        shop.source.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{control.name}'")
        assert command.wait() == 1
    finally:
        shop.source.execute(f'ALTER DATABASE "{control.name}" ALLOW_CONNECTIONS true')
    arrived = shop.arrived()
    assert arrived < ROWS
    wait_until(lambda: shop.arrived() == arrived, "nothing more to arrive")

    shop.speed_up()
    assert shop.migrate().code == 0
    assert shop.plane.states() == ["lost", "succeeded"]
    shop.assert_equal()
