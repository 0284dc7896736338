"""When the supervisor of a host starts a cluster anew: when it takes no work, not when it is sent none."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django_q.conf import Conf
from pytest_django import Settings

from controlplane.sandbox import run_redis
from controlplane.sandbox.process import LOOPBACK
from migrations_app import dispatch, hosts, runs, supervisor, ticking
from migrations_app.enums import TriggerKind
from migrations_app.models import Run
from tests.relay import closed_port
from tests.runner.plane import wait_until
from tests.scheduling.builders import scheduled

pytestmark = pytest.mark.django_db

_LONG_S = 1000.0


@pytest.fixture
def idle() -> Iterator[supervisor.Supervisor]:
    """A supervisor whose clusters have been up for long, with a free slot that has left a run waiting for long."""
    run = runs.queue(scheduled().streams.get(), trigger=TriggerKind.API)
    Run.objects.filter(pk=run.pk).update(created_at=run.created_at - timedelta(minutes=5))
    watching = supervisor.Supervisor(host="here")
    watching._idle_since = watching._carried_since = time.monotonic() - _LONG_S
    for member in watching._members:
        command = [sys.executable, "-c", "import time; time.sleep(100)"]
        member.process = subprocess.Popen(command, start_new_session=True)
        member.started_at = time.monotonic() - _LONG_S
    yield watching
    for member in watching._members:
        if member.process is not None:
            member.process.kill()
            member.process.wait()


def _killed(watching: supervisor.Supervisor) -> set[str]:
    """Which clusters do not live on for a while."""
    found = set()
    for member in watching._members:
        assert member.process is not None
        try:
            member.process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
        found.add(member.name)
    return found


def test_clusters_that_take_no_work_are_started_anew(idle: supervisor.Supervisor) -> None:
    idle._tend()

    wait_until(lambda: _killed(idle) == {ticking.CLUSTER, dispatch.CLUSTER}, "both to end")


def test_clusters_are_left_alone_while_redis_answers_and_takes_nothing(
    idle: supervisor.Supervisor, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Conf, "BROKER_CLASS", "controlplane.broker.RedisBroker")
    with run_redis() as running:
        settings.DMS_BROKER_URL = running.server.url
        with contextlib.closing(running.server.client()) as client:
            client.config_set("maxmemory", 1)
            assert client.ping()

            idle._tend()
            assert _killed(idle) == set()

            client.config_set("maxmemory", 0)
            idle._tend()
            assert client.keys() == [b"django_q:control:q"]

    assert "Redis, which DMS_BROKER_URL names" in caplog.text
    assert _killed(idle) == set()


def test_worker_that_ends_leaves_no_drain_for_the_next_one_of_its_name(idle: supervisor.Supervisor) -> None:
    for member in idle._members:
        assert member.process is not None
        member.process.kill()
        member.process.wait()
        member.process = None

    idle._end()

    assert not hosts.is_draining("here")


def test_clusters_that_redis_sends_nothing_are_left_alone_and_get_their_time_when_it_is_back(
    idle: supervisor.Supervisor, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DMS_BROKER_URL = f"redis://:password-of-redis@{LOOPBACK}:{closed_port()}"
    monkeypatch.setattr(Conf, "BROKER_CLASS", "controlplane.broker.RedisBroker")

    idle._tend()
    monkeypatch.undo()
    idle._tend()

    assert _killed(idle) == set()
    assert "Redis, which DMS_BROKER_URL names" in caplog.text
    assert "password-of-redis" not in caplog.text
    assert "Traceback" not in caplog.text
