"""Slack, a webhook's receiver, and settings that send to both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from migrations_app import settings_io
from migrations_app.models import Stream
from tests.controlplane.builders import make_stream, raw_settings
from tests.notify.servers import TOKEN, Clock, Receiver, SlackServer, serving

WEBHOOK_SECRET = "webhook-secret-of-this-test"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on the loopback address, whatever the host's way to the internet is."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(clock: Clock, settings: Any) -> Iterator[SlackServer]:
    """A Slack, and service settings that name it."""
    server = SlackServer(clock)
    with serving(server.answer) as address:
        server.base_url = settings.DMS_SLACK_API_URL = f"{address}/api/"
        yield server


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A webhook's receiver, and an installation that posts to it."""
    server = Receiver()
    with serving(server.answer) as address:
        server.url = settings.DMS_WEBHOOK_URL = f"{address}/hook?key=in-the-address"
        settings.DMS_WEBHOOK_SECRET = WEBHOOK_SECRET
        yield server


@pytest.fixture
def stream(db: None) -> Stream:
    """A stream, and settings that notify."""
    save_settings()
    return make_stream()


def save_settings(**overrides: Any) -> None:
    """Service settings that notify in #data."""
    raw = raw_settings(**{"notify": True, "slack_notif": {"slack_token": TOKEN, "channel": "#data"}, **overrides})
    settings_io.save_settings(settings_io.parse_settings(raw))
