"""Several hosts, ticks and tokens at once: each run is executed by one of them, on PostgreSQL and on SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PgDatabase
from tests.runner.plane import PROJECT, Plane, Warm
from tests.runner.shop import Shop, table
from tests.scheduling.working import Hosts

pytestmark = pytest.mark.slow

_RUNS = 200


@pytest.fixture
def postgres_hosts(postgres_warm: Warm, postgres_plane: Plane, tmp_path: Path) -> Iterator[Hosts]:
    opened = Hosts(postgres_warm, postgres_plane, tmp_path)
    yield opened
    opened.end()


@pytest.fixture
def postgres_shop(two_databases: tuple[PgDatabase, PgDatabase], postgres_plane: Plane) -> Shop:
    source, destination = two_databases
    return Shop(source, destination, postgres_plane)


def _queue_many(plane: Plane, count: int) -> None:
    """Queue runs of streams that nobody will execute."""
    plane.rows(
        "INSERT INTO migrations_app_stream (unique_id, mapping_id, noun, name, destination_name, active, paused, epoch,"
        " created_at) SELECT 'race_' || n, id, 'table', 'race_' || n, 'dest', true, false, 0, now()"
        f" FROM migrations_app_mapping, generate_series(1, {count}) AS n"
    )
    plane.rows(
        "INSERT INTO migrations_app_run SELECT (jsonb_populate_record(null::migrations_app_run, to_jsonb(old) ||"
        " jsonb_build_object('id', gen_random_uuid(), 'stream_id', stream.id, 'state', 'queued'))).*"
        " FROM migrations_app_run AS old, migrations_app_stream AS stream WHERE stream.name LIKE 'race_%'"
    )


def test_two_hosts_that_race_for_two_hundred_runs_claim_each_once(postgres_shop: Shop, postgres_warm: Warm) -> None:
    shop = postgres_shop
    shop.add_table()
    shop.use(table("syncing"))
    shop.plane.check("run_migration", "shop", "--queue")
    _queue_many(shop.plane, _RUNS - 1)
    environment = os.environ | {
        "DATABASE_URL": shop.plane.database_url,
        "DMS_VAR_DIR": str(postgres_warm.template.parent),
        "DMS_SOURCE_CONCURRENCY": str(_RUNS),
    }
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.scheduling.claimer"],
            cwd=PROJECT,
            env=environment | {"DMS_HOST": host},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in ("host-a", "host-a", "host-b", "host-b")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"

    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    claimed = [racer.communicate(timeout=60)[0].split() for racer in racers]

    everything = [pk for found in claimed for pk in found]
    assert len(everything) == len(set(everything)) == _RUNS
    assert all(racer.returncode == 0 for racer in racers)
    assert sum(bool(found) for found in claimed) > 1
    hosts_of_runs = {host for (host,) in shop.plane.runs("owner_host")}
    assert hosts_of_runs == {"host-a", "host-b"}


def test_two_hosts_share_the_streams_and_run_each_once(postgres_shop: Shop, postgres_hosts: Hosts) -> None:
    shop = postgres_shop
    names = [f"t{number}" for number in range(16)]
    for name in names:
        shop.add_table(name)
    shop.use(*(table("syncing", name, batch_size=300) for name in names))
    for name in ("host-a", "host-b"):
        # One whose slots are up early could take all of them.
        postgres_hosts.wait_for_slots(postgres_hosts.start(name))

    shop.plane.check("run_migration", "shop", "--queue")

    postgres_hosts.wait_until(lambda: shop.plane.states() == ["succeeded"] * len(names), "all streams", 90)
    assert {host for (host,) in shop.plane.runs("owner_host")} == {"host-a", "host-b"}
    assert {inserted for (inserted,) in shop.plane.runs("inserted")} == {300}
    for name in names:
        shop.assert_equal(name)


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_two_hosts_that_race_for_two_hundred_runs_execute_each_once(postgres_shop: Shop, postgres_hosts: Hosts) -> None:
    shop = postgres_shop
    names = [f"t{number}" for number in range(_RUNS)]
    shop.source.execute(
        "; ".join(
            f"CREATE TABLE {name} AS SELECT n AS id, n::text AS name FROM generate_series(1, 10) AS n" for name in names
        )
    )
    shop.use(*(table("logging", name) for name in names))
    for host in ("host-a", "host-b"):
        postgres_hosts.start(host, DMS_RUN_WORKERS="4", DMS_SOURCE_CONCURRENCY="0")

    shop.plane.check("run_migration", "shop", "--queue")

    postgres_hosts.wait_until(lambda: shop.plane.states() == ["succeeded"] * _RUNS, "all runs", 500)
    assert set(shop.plane.runs("inserted", "attempt")) == {(10, 0)}
    assert {host for (host,) in shop.plane.runs("owner_host")} == {"host-a", "host-b"}
    # Each execution raises the epoch of its table, and each of these has met one.
    assert shop.destination.rows(f"SELECT epoch, count(*) FROM {shop.schema}._dms_state GROUP BY epoch") == [(1, _RUNS)]
    for name in names:
        assert shop.arrived(name) == 10


def test_tokens_that_come_three_times_and_ticks_at_once_run_each_once(shop: Shop, hosts: Hosts) -> None:
    shop.slow_down(0.005)
    shop.use(table("syncing", cron="* * * * * * * */5"))
    shop.plane.rows("UPDATE migrations_app_servicesettings SET fastapi_server = true")
    hosts.start()
    for _ in range(3):
        shop.plane.check(
            "shell",
            "-v0",
            "-c",
            "from django_q.tasks import async_task;"
            "async_task('migrations_app.tasks.tick', cluster='control', save=False);"
            "async_task('migrations_app.tasks.serve_runs', cluster='runs', save=False)",
        )

    hosts.wait_until(lambda: shop.plane.states().count("succeeded") >= 2, "two runs", 60)
    time.sleep(1)

    due = [at for (at,) in shop.plane.runs("due_at")]
    assert len(due) == len(set(due))
    assert set(shop.plane.states()) <= {"succeeded", "queued", "running"}
    shop.assert_equal()
