"""A connection test shows its steps while it goes on, and comes to its end whoever leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from connectors import registry
from controlplane.logs import TextFormatter
from migrations_app.admin import slots, stepwise
from migrations_app.models import Source
from tests.admin.ends import Answer, do, source_form
from tests.databases import PgDatabase
from tests.relay import Relay, run_relay

pytestmark = pytest.mark.django_db

#: The statement of the step `role`.
_MARKER, _STEP = b"pg_is_in_recovery", "role"
_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%:shop db'"
)
_BEFORE = ("resolve", "connect", "TLS", "sign in", "version")


@pytest.fixture
def relay(pg_database: PgDatabase) -> Iterator[Relay]:
    """A server that falls silent in the step `role`."""
    with run_relay(pg_database.server.host, pg_database.server.port) as relay:
        relay.hold(_MARKER)
        yield relay


@pytest.fixture
def form(pg_database: PgDatabase, relay: Relay) -> dict[str, Any]:
    pg_database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    return source_form(pg_database, pgsql__url="127.0.0.1", pgsql__port=str(relay.port))


def lines_until_it_hangs(response: Any) -> tuple[Answer, Iterator[bytes]]:
    """What has come when the step has begun that does not end, and what is still to come."""
    coming = iter(response.streaming_content)
    text = ""
    for line in coming:
        text += line.decode()
        if Answer(text).told[-1:] == [(_STEP, "running")]:
            break
    return Answer(text), coming


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_step_shows_as_running_while_the_earlier_ones_show_how_they_ended(
    admin_client: Client, form: dict[str, Any], relay: Relay
) -> None:
    response = admin_client.post(do("source", "test_new"), form)
    assert response["X-Accel-Buffering"] == "no"

    found, coming = lines_until_it_hangs(response)

    assert {name: found.steps[name][0] for name in found.steps} == dict.fromkeys(_BEFORE, "ok") | {"TLS": "warning"}
    assert not found.verdict
    relay.release()
    found = Answer(found.text + b"".join(coming).decode())
    assert found.steps["rights"] == ("ok", "the user may read the only table")
    assert "It works; read the warnings." in found.verdict
    # Each one begins once and ends once, in its turn.
    names = [name for name, _ in found.told]
    assert names[::2] == names[1::2] == list(found.steps)
    assert [outcome for _, outcome in found.told[::2]] == ["running"] * len(found.steps)


def test_who_leaves_holds_up_nothing_and_leaves_nothing_behind(
    admin_client: Client, form: dict[str, Any], pg_database: PgDatabase, relay: Relay
) -> None:
    admin_client.post(reverse("admin:migrations_app_source_add"), form)
    source = Source.objects.get()
    response = admin_client.post(do("source", "test", source.pk), form | {"pgsql__password": ""})
    lines_until_it_hangs(response)
    assert pg_database.value(_SESSIONS) == 1

    relay.release()
    response.close()

    with slots.one_of_few(), slots.one_of_few():
        source.refresh_from_db()
    assert source.last_test is not None
    assert (source.last_test["outcome"], source.last_test["steps"]) == ("warning", "TLS")
    assert not any(each.name.startswith("connection-test") for each in threading.enumerate())
    wait_until(lambda: bool(pg_database.value(_SESSIONS) == 0))


def test_answer_that_nobody_reads_asks_nothing(admin_client: Client, form: dict[str, Any]) -> None:
    response = admin_client.post(do("source", "test_new"), form)
    response.close()
    with slots.one_of_few(), slots.one_of_few():
        assert not any(each.name.startswith("connection-test") for each in threading.enumerate())


def test_test_that_outlasts_the_session_does_not_bring_it_back(
    admin_client: Client, form: dict[str, Any], relay: Relay
) -> None:
    _, coming = lines_until_it_hangs(admin_client.post(do("source", "test_new"), form))
    admin_client.logout()
    relay.release()
    assert Answer(b"".join(coming).decode()).verdict
    assert not Session.objects.exists()


def test_what_nobody_has_foreseen_ends_the_answer_and_is_logged_without_secrets(
    admin_client: Client, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        message = "no route to postgresql://ann:hunter2-correct@db.example/"
        raise LookupError(message)

    monkeypatch.setattr(registry, "probe_source", fail)
    response: Any = admin_client.post(do("source", "test_new"), form)

    assert not Answer(b"".join(response.streaming_content).decode()).verdict
    (record,) = [each for each in caplog.records if each.name == stepwise.__name__]
    logged = TextFormatter().format(record)
    assert "no route to" in logged
    assert "hunter2" not in logged
    with slots.one_of_few(), slots.one_of_few():
        pass
