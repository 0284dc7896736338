"""The parts of the service settings are tested before they are saved, and nothing stays behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from connectors import egress
from connectors.steps import FAILED, OK, WARNING, tell_nobody
from controlplane.sandbox import MongoServer
from migrations_app.verbs import service
from tests.notify.conftest import WEBHOOK_SECRET
from tests.notify.servers import TOKEN, Answer, Clock, Receiver, SlackServer, error, serving, too_many


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def slack(settings: Any) -> Iterator[SlackServer]:
    server = SlackServer(Clock())
    with serving(server.answer) as address:
        server.base_url = settings.DMS_SLACK_API_URL = f"{address}/api/"
        yield server


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    server = Receiver()
    with serving(server.answer) as address:
        settings.DMS_WEBHOOK_URL = f"{address}/hook?key=in-the-address"
        settings.DMS_WEBHOOK_SECRET = WEBHOOK_SECRET
        yield server


def steps_of(part: str, raw: dict[str, Any]) -> dict[str, tuple[str, str]]:
    tested = service.test_part(part, raw, "ann", tell_nobody)
    return {step.name: (step.outcome, step.detail) for step in tested.steps}


def store(url: str, **overrides: Any) -> dict[str, Any]:
    return {"url": url, "db_name": "dms", "collection_name": "runs"} | overrides


def slack_notif(**overrides: Any) -> dict[str, Any]:
    return {"slack_token": TOKEN, "channel": "#data"} | overrides


def test_store_is_reached_and_written_and_nothing_stays(mongo: MongoServer, mongo_database_name: str) -> None:
    found = steps_of("dashboard_store", store(mongo.url, db_name=mongo_database_name))

    assert list(found) == ["resolve", "connect", "sign in", "clock", "write and delete"]
    assert {outcome for outcome, _ in found.values()} == {OK}
    client = mongo.client()
    try:
        assert client[mongo_database_name]["runs"].count_documents({}) == 0
    finally:
        client.close()


def test_store_whose_host_nobody_knows_is_told_in_the_first_step() -> None:
    found = steps_of("encryption_store", store("mongodb://u:store-secret@nowhere.invalid"))

    assert found == {"resolve": (FAILED, "the host name nowhere.invalid is unknown; check encryption_store.url")}


def test_store_that_is_down_is_told_with_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = steps_of("encryption_store", store(f"mongodb://u:store-secret@127.0.0.1:{port}"))

    outcome, detail = found["connect"]
    assert outcome == FAILED
    assert f"port {port}, refused the connection; check encryption_store.url and firewalls" in detail
    assert "store-secret" not in str(found)


def test_server_that_speaks_something_else_ends_the_test_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.store_probe._TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = steps_of("encryption_store", store(f"mongodb://127.0.0.1:{server.getsockname()[1]}"))

    assert found["sign in"][0] == FAILED
    assert "no answer in 0.5 s; see that the server of encryption_store.url is up" in found["sign in"][1]


def test_store_that_may_not_be_connected_to_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_policy", lambda: egress.Policy.of(["127.0.0.0/8"], []))
    found = steps_of("encryption_store", store("mongodb://127.0.0.1:1"))

    assert list(found) == ["resolve"]
    assert "DMS_ALLOWED_NETWORKS" in found["resolve"][1]


def test_reference_of_a_store_is_looked_up(mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", mongo.url)
    assert steps_of("dashboard_store", store("env:MONGO_URL"))["sign in"][0] == OK
    monkeypatch.delenv("MONGO_URL")
    outcome, detail = steps_of("dashboard_store", store("env:MONGO_URL"))["settings"]
    assert outcome == FAILED
    assert "MONGO_URL" in detail


@pytest.mark.parametrize("raw", [{}, {"db_name": "dms", "collection_name": "runs"}, store("mongodb://h", db_name="")])
def test_store_that_is_not_filled_in_is_told_and_nothing_is_tried(raw: dict[str, Any]) -> None:
    found = steps_of("dashboard_store", raw)

    assert found["settings"][0] == FAILED
    assert found["settings"][1].startswith("dashboard_store")


def test_slack_gets_a_message_that_says_that_it_is_a_test(slack: SlackServer) -> None:
    found = steps_of("slack_notif", slack_notif())

    assert {name: outcome for name, (outcome, _) in found.items()} == dict.fromkeys(
        ("token", "scope", "channel", "message"), OK
    )
    assert found["token"][1] == "valid: dms in Shop"
    (text,) = slack.texts()
    assert "This is a test" in text
    assert "ann" in text


def test_channel_that_is_named_by_its_id_is_looked_up(slack: SlackServer) -> None:
    slack.channels.add("C123")

    assert steps_of("slack_notif", slack_notif(channel="C123"))["channel"] == (OK, "#data")
    outcome, detail = steps_of("slack_notif", slack_notif(channel="C999"))["channel"]
    assert outcome == FAILED
    assert "C999 (channel_not_found)" in detail
    assert "invite the app" in detail


def test_wrong_token_is_told_without_it(slack: SlackServer) -> None:
    found = steps_of("slack_notif", slack_notif(slack_token="xoxb-wrong-one"))

    assert list(found) == ["token"]
    assert found["token"][0] == FAILED
    assert "replace `slack_notif.slack_token`" in found["token"][1]
    assert "xoxb" not in str(found)


def test_token_without_the_scope_is_told_before_anything_is_posted(slack: SlackServer) -> None:
    slack.scopes = "channels:read"

    assert steps_of("slack_notif", slack_notif())["scope"][0] == FAILED
    assert slack.messages == []


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (error("not_in_channel"), FAILED, "invite the app to the channel"),
        (too_many(7), WARNING, "test again in 7 s"),
        (Answer(500, "<html>"), FAILED, "Slack answered 500"),
    ],
)
def test_what_slack_refuses_is_told_with_its_remedy(
    slack: SlackServer, answer: Answer, outcome: str, words: str
) -> None:
    slack.rule = lambda form: answer if "text" in form else None
    found = steps_of("slack_notif", slack_notif())

    assert found["message"][0] == outcome
    assert words in found["message"][1]


def test_slack_that_cannot_be_reached_is_told(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.DMS_SLACK_API_URL = f"http://127.0.0.1:{port}/api/"

    assert "Slack could not be reached" in steps_of("slack_notif", slack_notif())["token"][1]


def test_webhook_gets_a_signed_event(receiver: Receiver) -> None:
    assert steps_of("webhook", {}) == {"signed event": (OK, "an event `test` was taken")}

    (event,) = receiver.events()
    assert (event["event"], event["requested_by"]) == ("test", "ann")
    assert receiver.got[0][0]["x-dms-signature"].startswith("v1=")


def test_webhook_that_refuses_is_told_without_its_address(receiver: Receiver) -> None:
    receiver.rule = lambda: Answer(403)

    outcome, detail = steps_of("webhook", {})["signed event"]
    assert outcome == FAILED
    assert "answered 403" in detail
    assert "in-the-address" not in detail


def test_webhook_that_is_not_set_is_told(settings: Any) -> None:
    settings.DMS_WEBHOOK_URL = ""

    assert "DMS_WEBHOOK_URL is not set" in steps_of("webhook", {})["settings"][1]
