"""The webhook gets every event signed, and waits like Slack does."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest

from migrations_app import notify
from migrations_app.checks import check_webhook
from migrations_app.models import Channel, OutboxEntry, Stream
from tests.notify.conftest import WEBHOOK_SECRET
from tests.notify.outcomes import drain, fail, succeed
from tests.notify.servers import Answer, Clock, Receiver, SlackServer

pytestmark = pytest.mark.django_db


def test_event_is_signed_json(receiver: Receiver, slack: SlackServer, clock: Clock, stream: Stream) -> None:
    run = succeed(stream, read=7, inserted=6, updated=1)

    assert drain(clock).delivered == 2

    ((headers, body),) = receiver.got
    signed = hmac.new(WEBHOOK_SECRET.encode(), headers["x-dms-timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["x-dms-signature"] == f"v1={signed.hexdigest()}"
    assert int(headers["x-dms-timestamp"]) == int(clock().timestamp())
    assert headers["x-dms-delivery"] == f"{run.pk}:succeeded"
    assert (headers["x-dms-event"], headers["content-type"]) == ("succeeded", "application/json")
    (event,) = receiver.events()
    assert event["counts"] == {"read": 7, "inserted": 6, "updated": 1, "deleted": 0, "bytes": 0}
    wanted = {
        "event": "succeeded",
        "id": f"{run.pk}:succeeded",
        "run": str(run.pk),
        "stream": "shop_DMS_orders_warehouse",
        "mapping": "shop",
        "destination": "warehouse",
        "state": "succeeded",
        "trigger_id": str(run.trigger_id),
        "failures_before": 0,
    }
    assert wanted.items() <= event.items()
    assert "trace" not in event


@pytest.mark.parametrize("down", [Answer(500), Answer(404), Answer(hang_s=0.0), Answer(302, headers={"Location": "/"})])
def test_webhook_that_fails_holds_up_no_slack_and_gets_everything_later(
    receiver: Receiver, slack: SlackServer, clock: Clock, stream: Stream, down: Answer
) -> None:
    receiver.instead = [down] * 3
    ids = {str(succeed(stream).pk), str(fail(stream).pk)}

    result = drain(clock, 4.0)

    assert len(slack.messages) == 3
    assert receiver.events() == []
    assert "DMS_WEBHOOK_URL" in result.problems[0]
    assert "in-the-address" not in str(result) + Channel.objects.get(name="webhook").problem
    drain(clock)
    assert {event["run"] for event in receiver.events()} == ids
    assert len(receiver.events()) == 2


@pytest.mark.parametrize("down", [Answer(500), Answer(503, headers={"Retry-After": "60"}), Answer(hang_s=0.0)])
def test_hour_without_the_webhook_loses_and_repeats_nothing(
    receiver: Receiver, slack: SlackServer, clock: Clock, stream: Stream, down: Answer
) -> None:
    receiver.rule = lambda: down
    began = clock()
    ids = set()
    while clock() - began < timedelta(hours=1):
        ids |= {str(succeed(stream).pk), str(fail(stream).pk)}
        drain(clock, 5.0)
        clock.sleep(290)
    assert receiver.events() == []
    assert receiver.calls < 40
    # Nobody in Slack had to wait for it.
    assert len({message.metadata["event_payload"]["run"] for message in slack.messages}) == len(ids) == 26

    receiver.rule = lambda: None
    while drain(clock, 100.0).pending:
        clock.sleep(60)

    assert sorted(event["run"] for event in receiver.events()) == sorted(ids)
    assert len({headers["x-dms-delivery"] for headers, _ in receiver.got}) == len(receiver.got) == len(ids)
    assert not Channel.objects.exclude(problem="").exists()
    assert set(OutboxEntry.objects.filter(kind="webhook").values_list("given_up_at", flat=True)) == {None}


def test_webhook_that_is_busy_is_left_alone_as_long_as_it_says(
    receiver: Receiver, slack: SlackServer, clock: Clock, stream: Stream
) -> None:
    receiver.instead = [Answer(429, headers={"Retry-After": "90"})]
    succeed(stream)
    began = clock()

    drain(clock)

    assert clock() - began == timedelta(seconds=90)
    assert len(receiver.events()) == 1


def test_nothing_goes_out_unsigned(
    receiver: Receiver, slack: SlackServer, clock: Clock, stream: Stream, settings: object
) -> None:
    setattr(settings, "DMS_WEBHOOK_SECRET", "")  # noqa: B010 - pytest-django's settings take any name
    succeed(stream)

    result = drain(clock, 3.0)

    assert receiver.calls == 0
    assert any("DMS_WEBHOOK_SECRET" in problem for problem in result.problems)
    assert [error.id for error in check_webhook(None)] == ["migrations_app.E003"]


def test_no_webhook_no_entry(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    succeed(stream)

    assert not OutboxEntry.objects.filter(kind="webhook").exists()
    assert check_webhook(None) == []


def test_signature_is_what_the_documents_say() -> None:
    from migrations_app.notify.webhook import signature

    # openssl: printf '1774000000.{}' | openssl dgst -sha256 -hmac secret
    expected = "v1=" + hmac.new(b"secret", b"1774000000.{}", hashlib.sha256).hexdigest()
    assert signature("secret", "1774000000", b"{}") == expected
    assert notify.Event("lost")
