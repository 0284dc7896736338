"""The Redis server of the sandbox is ours alone, and the keeper holds it up where it is asked for."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from controlplane.sandbox import RedisServer, ensure_servers, run_redis
from controlplane.sandbox.keeper import REDIS, KeeperOptions, stop_keeper


def test_nobody_gets_in_without_the_password(redis_server: RedisServer) -> None:
    with contextlib.closing(redis_server.client()) as client:
        address = client.connection_pool.connection_kwargs
        assert client.ping()
    anybody = redis.Redis(address["host"], address["port"], retry=Retry(NoBackoff(), 0))
    with contextlib.closing(anybody), pytest.raises(redis.AuthenticationError):
        anybody.ping()


def test_server_comes_back_empty_on_the_same_port() -> None:
    with run_redis() as running, contextlib.closing(running.server.client()) as client:
        client.set("a", "1")
        running.kill()
        assert not running.server.is_ready()
        running.restart()
        assert client.dbsize() == 0


def test_keeper_starts_it_when_asked_and_names_it(tmp_path: Path) -> None:
    options = KeeperOptions(tmp_path / "state.json", services=(REDIS,), watched_pid=os.getpid())
    servers = ensure_servers(options)
    try:
        assert servers.redis is not None
        assert servers.environment() == {"DMS_TEST_REDIS": servers.redis.url}
        assert ensure_servers(options) == servers
    finally:
        assert stop_keeper(options.state_path)
    assert not servers.redis.is_ready()
