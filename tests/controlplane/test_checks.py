"""System checks of the address that carries tasks, and what a worker does about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from migrations_app.checks import check_broker, check_runs


@pytest.mark.parametrize(
    "address",
    ["", "redis://:secret@redis.example:6379/0", "rediss://user:secret@redis.example", "redis://[::1]:6379/3"],
)
def test_addresses_of_a_redis(settings: Settings, address: str) -> None:
    settings.DMS_BROKER_URL = address

    assert check_broker(None) == []


@pytest.mark.parametrize(
    "address",
    [
        "redis.example:6379",
        "http://:secret-of-redis@redis.example",
        "redis://:secret-of-redis@/0",
        "redis://:secret-of-redis@redis.example:port",
        "redis://:secret-of-redis/with-slash@redis.example:6379",
        "redis://:secret-of-redis@redis.example/nought",
    ],
)
def test_what_is_none_is_told_without_its_password(settings: Settings, address: str) -> None:
    settings.DMS_BROKER_URL = address

    (error,) = check_broker(None)

    assert error.id == "migrations_app.E005"
    assert "DMS_BROKER_URL" in error.msg
    assert "secret-of-redis" not in f"{error}"


@pytest.mark.parametrize(
    ("name", "number", "error"),
    [
        ("DMS_RUN_WORKERS", 0, "migrations_app.E006"),
        ("DMS_HEARTBEAT_S", 40.0, "migrations_app.E007"),
        ("DMS_LEASE_S", 20.0, "migrations_app.E007"),
        ("DMS_HEARTBEAT_S", 0.0, "migrations_app.E007"),
    ],
)
def test_numbers_with_which_no_run_would_end_well(settings: Settings, name: str, number: float, error: str) -> None:
    assert check_runs(None) == []
    setattr(settings, name, number)

    assert [found.id for found in check_runs(None)] == [error]


def test_worker_does_not_start_without_an_address_of_its_broker(tmp_path: Path) -> None:
    environment = os.environ | {"DMS_VAR_DIR": str(tmp_path), "DMS_BROKER_URL": "http://:secret-of-redis@redis.example"}

    ended = subprocess.run(
        [sys.executable, "manage.py", "worker"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 1
    assert "DMS_BROKER_URL is no address of a Redis" in ended.stderr
    assert "secret-of-redis" not in ended.stderr
