"""Redis as the carrier of tasks: what it loses is sent again, and workers outlive its absence."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from controlplane.sandbox import RedisServer, run_redis
from controlplane.sandbox.redis import RedisProcess
from tests.runner.shop import Shop, table
from tests.scheduling.working import Host, Hosts

pytestmark = pytest.mark.slow

_TOKENS = "django_q:runs:q"
_AWAY = "Redis, which DMS_BROKER_URL names"
#: Rows come at 60 a 0.9 s, which is a chunk.
_SLOW = 0.015


@pytest.fixture
def database(redis_server: RedisServer) -> Iterator[int]:
    """A database that no other test uses at the same time."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    yield number
    with contextlib.closing(redis_server.client(number)) as client:
        client.flushdb()


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    with run_redis() as running:
        yield running


def _queue(shop: Shop) -> None:
    shop.plane.check("run_migration", shop.mapping_id, "--queue")


def _wait_for_success(shop: Shop, hosts: Hosts, runs: int) -> None:
    hosts.wait_until(lambda: shop.plane.states() == ["succeeded"] * runs, f"{runs} runs to succeed")
    shop.assert_equal()


def _pids(host: Host) -> list[int]:
    return [process.pid for process in host.clusters().values()]


def test_tokens_that_redis_or_a_dead_client_lost_are_sent_again(
    shop: Shop, hosts: Hosts, redis_server: RedisServer, database: int
) -> None:
    shop.use(table("syncing"))
    host = hosts.start(DMS_BROKER_URL=redis_server.database(database))
    _queue(shop)
    _wait_for_success(shop, hosts, 1)

    with contextlib.closing(redis_server.client(database)) as client:
        cluster = host.clusters()["runs"]
        frozen = [cluster, *cluster.children(recursive=True)]
        _signal(frozen, signal.SIGSTOP)
        _queue(shop)
        # One is in the hands of a client that waited for it; this is the next.
        hosts.wait_until(lambda: client.llen(_TOKENS) == 1, "a token to lie in Redis")
        _signal(frozen, signal.SIGKILL)
        client.flushdb()

    _wait_for_success(shop, hosts, 2)
    assert shop.plane.rows("SELECT count(*) FROM django_q_ormq") == [(0,)]
    assert "Traceback" not in host.log


def test_runs_go_on_without_redis_and_begin_when_it_is_back(shop: Shop, hosts: Hosts, own_redis: RedisProcess) -> None:
    shop.slow_down(_SLOW)
    shop.use(table("syncing"))
    host = hosts.start(DMS_BROKER_URL=own_redis.server.url)
    before = _pids(host)
    _queue(shop)
    hosts.wait_until(lambda: any(read for (read,) in shop.plane.runs("read")), "a commit")

    own_redis.kill()
    shop.speed_up()
    _wait_for_success(shop, hosts, 1)
    _assert_waits(shop, hosts, host, runs=2)
    own_redis.restart()
    _wait_for_success(shop, hosts, 2)

    # One that hangs takes connections and never answers.
    own_redis.process.pause()
    _assert_waits(shop, hosts, host, runs=3)
    own_redis.process.resume()
    _wait_for_success(shop, hosts, 3)

    assert _pids(host) == before
    assert "Traceback" not in host.log
    password = own_redis.server.url.split("@")[0].removeprefix("redis://:")
    assert password not in host.log


def _assert_waits(shop: Shop, hosts: Hosts, host: Host, runs: int) -> None:
    """A run that is queued now waits, and the worker has said why."""
    said = host.log.count(_AWAY)
    # By then the last token is spent as well.
    hosts.wait_until(lambda: host.log.count(_AWAY) > said + 1, "the worker to notice")
    _queue(shop)
    time.sleep(1)
    assert shop.plane.states() == ["succeeded"] * (runs - 1) + ["queued"]


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
