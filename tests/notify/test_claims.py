"""Several processes drain at once: one of them sends each message, and all together keep a channel's pace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from migrations_app import outbox
from migrations_app.enums import OutboxKind
from migrations_app.models import OutboxEntry
from migrations_app.notify import channels
from migrations_app.notify.channels import UndeliveredError, parse_retry_after
from tests.notify.servers import Clock

pytestmark = pytest.mark.django_db


def entry(clock: Clock, key: str = "run:failed") -> OutboxEntry:
    outbox.put_once(OutboxKind.SLACK, key, {"n": 1}, clock=clock)
    return OutboxEntry.objects.get(key=key)


def test_message_is_claimed_by_one(clock: Clock) -> None:
    found = entry(clock)
    assert outbox.claim(found, clock=clock)
    assert not outbox.claim(found, clock=clock)
    clock.now += outbox.CLAIM
    assert outbox.claim(found, clock=clock)


def test_delivered_message_cannot_be_claimed_or_put_in_again(clock: Clock) -> None:
    found = entry(clock)
    assert outbox.claim(found, clock=clock)
    outbox.delivered(found, clock=clock)

    again = entry(clock)
    clock.now += timedelta(hours=1)

    assert (again.pk, again.delivered_at) == (found.pk, OutboxEntry.objects.get().delivered_at)
    assert not outbox.claim(again, clock=clock)


def test_channel_is_taken_by_one_a_second(clock: Clock) -> None:
    second = timedelta(seconds=1)
    assert channels.take("slack:#data", second, clock)
    assert not channels.take("slack:#data", second, clock)
    assert channels.take("slack:#ops", second, clock)
    clock.now += second
    assert channels.take("slack:#data", second, clock)


def test_pauses_after_failures_grow_up_to_ten_minutes_and_end_with_a_success(clock: Clock) -> None:
    problem = UndeliveredError("it is down", channel="slack")
    pauses = [(channels.hold(problem, "slack", clock) - clock()).total_seconds() for _ in range(9)]

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    channels.works("slack")
    assert (channels.hold(problem, "slack", clock) - clock()).total_seconds() == 5


def test_closed_entries_are_kept_for_a_week(clock: Clock) -> None:
    outbox.delivered(entry(clock, "a"), clock=clock)
    outbox.give_up(OutboxEntry.objects.filter(pk=entry(clock, "b").pk), "nobody", clock=clock)
    entry(clock, "c")
    clock.now += timedelta(days=6)
    outbox.sweep(clock)
    assert OutboxEntry.objects.count() == 3
    clock.now += timedelta(days=2)
    outbox.sweep(clock)
    assert [found.key for found in OutboxEntry.objects.all()] == ["c"]


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("0", 1), ("99999", 3600), ("soon", 30), (None, 30)])
def test_retry_after(value: str | None, seconds: float) -> None:
    assert parse_retry_after(value) == seconds
