"""Monitors are answered without login, host name or TLS; readiness is red for each cause and says what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from migrations_app import mirror, outbox
from migrations_app.enums import RunState
from migrations_app.models import Channel, Heartbeat, OutboxEntry, Run, ServiceSettings
from tests.controlplane.builders import make_run, make_stream
from tests.notify.conftest import save_settings


@pytest.fixture
def client(settings: Any) -> Client:
    """As a real installation is asked: by an address that it does not know, without TLS."""
    settings.ALLOWED_HOSTS = ["dms.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    return Client(SERVER_NAME="10.1.2.3")


@pytest.fixture
def scheduling(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules are kept, the tick is alive, a worker is up."""
    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")
    save_settings(fastapi_server=True)
    Heartbeat.objects.create(name="tick")
    Heartbeat.objects.create(name="worker:alpha")


def ready(client: Client, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = client.get(f"/readyz{query}")
    return answer.status_code, answer.json()["checks"]


def older(name: str, **age: float) -> None:
    Heartbeat.objects.filter(name=name).update(at=timezone.now() - timedelta(**age))


def test_process_answers_without_a_database(client: Client) -> None:
    # No `db`: a query would fail this test.
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert client.post("/healthz").status_code == 405
    assert "sessionid" not in answer.cookies


@pytest.mark.usefixtures("scheduling")
def test_everything_green(client: Client) -> None:
    code, checks = ready(client)

    assert code == 200
    assert {name: check["ok"] for name, check in checks.items()} == dict.fromkeys(
        ("database", "scheduler", "workers", "queue", "mirror", "notifications"), True
    )
    assert checks["workers"]["says"] == "1 up: alpha"


@pytest.mark.usefixtures("scheduling")
def test_silent_tick_is_red(client: Client) -> None:
    older("tick", seconds=170)
    assert ready(client)[0] == 200
    older("tick", seconds=190)
    code, checks = ready(client)
    assert (code, checks["scheduler"]["ok"]) == (503, False)
    assert "restart the workers" in checks["scheduler"]["says"]
    Heartbeat.objects.filter(name="tick").delete()
    code, checks = ready(client)
    assert (code, "never" in checks["scheduler"]["says"]) == (503, True)


@pytest.mark.usefixtures("scheduling")
def test_no_worker_is_red(client: Client) -> None:
    older("worker:alpha", seconds=61)
    code, checks = ready(client)
    assert (code, checks["workers"]["ok"]) == (503, False)
    assert "./run worker" in checks["workers"]["says"]


@pytest.mark.usefixtures("scheduling")
def test_without_schedules_neither_tick_nor_worker_is_needed(client: Client) -> None:
    ServiceSettings.objects.update(fastapi_server=False)
    Heartbeat.objects.all().delete()

    assert ready(client)[0] == 200


@pytest.mark.usefixtures("scheduling")
def test_run_that_waits_too_long_is_red(client: Client, settings: Any) -> None:
    run = make_run(state=RunState.QUEUED)
    assert ready(client)[0] == 200
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=16))
    code, checks = ready(client)
    assert (code, checks["queue"]["ok"]) == (503, False)
    assert "1 run waits, the first for 16 min" in checks["queue"]["says"]
    make_run(make_stream("lake"), state=RunState.QUEUED)
    assert "2 runs wait, the first for 16 min" in ready(client)[1]["queue"]["says"]
    settings.DMS_READY_QUEUE_S = 0
    assert ready(client)[0] == 200


@pytest.mark.usefixtures("scheduling")
def test_store_that_lags_is_red(client: Client) -> None:
    mirror.enqueue_checkpoint(make_stream(), {"cursor": ["1"]}, epoch=1)
    assert ready(client)[0] == 200
    hour_ago = outbox.micros(timezone.now() - timedelta(minutes=61))
    OutboxEntry.objects.update(sequence=hour_ago)
    code, checks = ready(client)
    assert (code, checks["mirror"]["ok"]) == (503, False)
    OutboxEntry.objects.update(delivered_at=timezone.now())
    assert ready(client)[0] == 200


@pytest.mark.usefixtures("scheduling")
def test_notifications_are_told_and_make_nothing_unready(client: Client) -> None:
    Channel.objects.create(name="slack:#data", problem="Slack refused channel #data", failures=3)

    code, checks = ready(client)

    assert code == 200
    assert checks["notifications"] == {"ok": False, "counts": False, "says": "slack:#data: Slack refused channel #data"}


@pytest.mark.usefixtures("scheduling")
def test_probe_may_ask_for_some_checks(client: Client) -> None:
    older("tick", seconds=500)

    assert ready(client, "?checks=database")[0] == 200
    assert ready(client, "?checks=database,scheduler")[0] == 503
    answer = client.get("/readyz?checks=weather")
    assert (answer.status_code, "weather" in answer.json()["error"]) == (400, True)


@pytest.mark.django_db
def test_database_that_does_not_answer_is_red(client: Client) -> None:
    def away(*_: Any) -> Any:
        message = "could not connect to postgresql://u:secret-password@h"
        raise OperationalError(message)

    with connection.execute_wrapper(away):
        code, checks = ready(client)
        metrics = client.get("/metrics")

    assert (code, list(checks)) == (503, ["database"])
    assert "DATABASE_URL" in checks["database"]["says"]
    assert "secret-password" not in str(checks)
    assert (metrics.status_code, b"secret" in metrics.content) == (503, False)


@pytest.mark.usefixtures("scheduling")
def test_metrics_want_the_token_where_there_is_one(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 200
    settings.DMS_METRICS_TOKEN = "metrics-token"
    refused = client.get("/metrics")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer ümlaut"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer metrics-token"}).status_code == 200
    # The others stay open: a load balancer has no token.
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_other_pages_still_insist_on_host_and_tls(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["dms.example.org"]
    assert Client(SERVER_NAME="10.1.2.3").get("/admin/").status_code == 400
