"""Real commands tell Slack how their runs ended; a Slack that is down delays its messages and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.sandbox import MongoServer
from tests.notify.servers import TOKEN, Answer, SlackServer, serving
from tests.runner.shop import ROWS, Shop, settings, table


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    server = SlackServer(lambda: datetime.now(tz=UTC))
    with serving(server.answer) as address:
        server.base_url = f"{address}/api/"
        yield server


@pytest.fixture
def shop(shop: Shop, mongo: MongoServer, mongo_database_name: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose settings notify, with two tables."""
    slack_notif = {"slack_token": TOKEN, "channel": "#data"}
    shop.plane.import_settings(settings(mongo, mongo_database_name, notify=True, slack_notif=slack_notif))
    shop.add_table("items", rows=20)
    return shop


def quiet(slack: SlackServer) -> dict[str, Any]:
    """Settings of a command: the server, and no proxy on the way to it."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")
    return {"DMS_SLACK_API_URL": slack.base_url, "environment": proxies}


def told(slack: SlackServer) -> set[str]:
    """The runs that messages were about, as the control database writes their ids."""
    return {message.metadata["event_payload"]["run"].replace("-", "") for message in slack.messages}


def test_every_stream_of_a_command_is_told(shop: Shop, slack: SlackServer) -> None:
    shop.use(table("syncing"), table("syncing", "items", slack_channel="#ops"))

    assert shop.migrate(**quiet(slack)).code == 0

    (orders,) = slack.texts("#data")
    assert "*shop_DMS_orders_dest* was copied to dest (pgsql)" in orders
    assert f"{ROWS} read, {ROWS} inserted" in orders
    assert len(slack.texts("#ops")) == 1


def test_failure_is_told_with_its_remedy_and_recovery_after_it(shop: Shop, slack: SlackServer) -> None:
    shop.use(table("syncing", primary_key="nowhere"))
    assert shop.migrate(**quiet(slack)).code == 1
    shop.use(table("syncing"))
    assert shop.migrate(fault="after_checkpoint:1=raise", **quiet(slack)).code == 1
    assert shop.migrate(**quiet(slack)).code == 0

    failed, trace, injected, second, recovered = slack.messages
    assert "nowhere" in failed.text
    assert "connectors/" in trace.text
    assert trace.thread_ts == failed.ts
    assert "unexpected InjectedFault" in injected.text
    assert "InjectedFault" in second.text
    assert "works again" in recovered.text
    assert "after 2 runs" in recovered.text
    said = "\n".join(message.text for message in slack.messages)
    for secret in (TOKEN, shop.source.server.password, "row 1"):
        assert secret not in said


def test_slack_that_is_down_delays_its_messages_and_nothing_else(shop: Shop, slack: SlackServer) -> None:
    shop.use(table("syncing"))
    slack.rule = lambda _: Answer(503)
    began = time.monotonic()

    assert shop.migrate(**quiet(slack)).code == 0

    assert time.monotonic() - began < 10
    assert slack.messages == []
    assert TOKEN not in shop.plane.everything()
    slack.rule = lambda _: None
    shop.plane.rows("UPDATE migrations_app_channel SET free_at = '2001-01-01 00:00:00'")
    shop.plane.rows("UPDATE migrations_app_outboxentry SET next_attempt_at = '2001-01-01 00:00:00'")
    assert shop.migrate(**quiet(slack)).code == 0
    assert len(slack.texts()) == 2


@pytest.mark.slow
def test_commands_that_end_together_tell_each_run_once_at_the_pace_of_the_channel(
    shop: Shop, slack: SlackServer
) -> None:
    names = [f"job{number}" for number in range(4)]
    for name in names:
        shop.use(table("logging", "items"), mapping_id=name, schema=name)
    commands = [shop.plane.start("run_migration", name, **quiet(slack)) for name in names]
    assert [command.wait(60) for command in commands] == [0] * len(names)

    jobs = {run for (run,) in shop.plane.rows("SELECT id FROM migrations_app_run")}
    assert len(jobs) == len(names)
    shop.use(table("syncing"), mapping_id="last")
    shop.mapping_id = "last"
    for _ in range(5):
        if jobs <= told(slack):
            break
        assert shop.migrate(**quiet(slack)).code == 0

    assert jobs <= told(slack)
    assert len(told(slack)) == len(slack.messages)
    # The server refuses what comes too fast; little of it does.
    assert slack.calls - len(slack.messages) <= 3
