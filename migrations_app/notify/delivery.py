"""Delivering messages: oldest first, at the pace of each channel, by any number of processes at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Q
from django.utils import timezone

from connectors.mapping import MappingError
from migrations_app import outbox
from migrations_app.enums import OutboxKind
from migrations_app.models import OutboxEntry, ServiceSettings
from migrations_app.notify import channels
from migrations_app.notify.channels import SLACK, WEBHOOK, UndeliveredError, slack_channel
from migrations_app.outbox import Clock, DrainResult
from migrations_app.secrets import SecretUnreadableError
from migrations_app.settings_io import resolved_settings

logger = logging.getLogger(__name__)

KINDS = (OutboxKind.SLACK, OutboxKind.WEBHOOK)
#: Slack takes one message a second in a channel.
#: Source: docs.slack.dev/apis/web-api/rate-limits
_PACES = {OutboxKind.SLACK: timedelta(seconds=1), OutboxKind.WEBHOOK: timedelta(0)}
#: How long a message is worth being told.
_WORTH = timedelta(days=3)
#: How often the record of a delivery is tried while the control database is away.
_RECORD_ATTEMPTS = 5
_RECORD_PAUSE_S = 0.5


def drain(
    max_seconds: float = 2.0,
    *,
    is_patient: bool = False,
    clock: Clock = timezone.now,
    sleep: Callable[[float], None] = time.sleep,
) -> DrainResult:
    """Deliver what is due, for so long. Never raises for a channel or for wrong settings: messages wait instead.

    Args:
        max_seconds: When to stop; a message that is under way may take five seconds more.
        is_patient: Wait for channels that are free again within that time, instead of leaving the rest to others.
        clock: Tells the time.
        sleep: Waits.
    """
    waiting = outbox.waiting(KINDS)
    if not waiting.exists():
        return DrainResult()
    outbox.sweep(clock)
    if not ServiceSettings.objects.filter(notify=True).exists():
        outbox.give_up(waiting, "`notify` was set to False before it was sent", clock=clock)
        return DrainResult()
    too_old = waiting.filter(sequence__lt=outbox.micros(clock() - _WORTH))
    outbox.give_up(too_old, f"no channel took it for {_WORTH.days} days", clock=clock)
    return _Delivery(max_seconds, is_patient=is_patient, clock=clock, sleep=sleep).run()


class _Delivery:
    """One drain, with the connections that it has opened."""

    def __init__(self, max_seconds: float, *, is_patient: bool, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._is_patient = is_patient
        self._deadline = clock() + timedelta(seconds=max_seconds)
        self._slack: Any = None
        self._default_channel = ServiceSettings.objects.values_list("slack_notif_channel", flat=True).first() or ""
        self._problems: dict[str, str] = {}
        self._delivered = 0
        self._delayed = 0

    def run(self) -> DrainResult:
        while self._clock() < self._deadline:
            entry = self._next()
            if entry is None:
                if not self._wait():
                    break
                continue
            channel = self._channel_of(entry)
            is_ours = channels.take(channel, _PACES[OutboxKind(entry.kind)], self._clock)
            if is_ours and outbox.claim(entry, clock=self._clock):
                self._deliver(entry, channel)
        return DrainResult(
            delivered=self._delivered,
            delayed=self._delayed,
            pending=outbox.waiting(KINDS).count(),
            problems=tuple(self._problems.values()),
        )

    def _next(self) -> OutboxEntry | None:
        """The oldest message that is due to a channel that is free."""
        held = channels.held(self._clock)
        prefix = slack_channel("")
        names = [name.removeprefix(prefix) for name in held if name.startswith(prefix)]
        if self._default_channel in names:
            names.append("")
        busy = Q(kind=OutboxKind.SLACK, payload__channel__in=names) if names else Q(pk__in=[])
        if SLACK in held:
            busy |= Q(kind=OutboxKind.SLACK)
        if WEBHOOK in held:
            busy |= Q(kind=OutboxKind.WEBHOOK)
        due = outbox.waiting(KINDS).filter(next_attempt_at__lte=self._clock()).exclude(busy)
        return due.order_by("next_attempt_at", "id").first()

    def _wait(self) -> bool:
        """Wait until something may be sent; False when that is not worth it."""
        if not self._is_patient:
            return False
        now = self._clock()
        times = list(outbox.waiting(KINDS).order_by("next_attempt_at").values_list("next_attempt_at", flat=True)[:1])
        if not times:
            return False
        later = [moment for moment in (*times, *channels.held(self._clock).values()) if moment > now]
        if later and min(later) >= self._deadline:
            return False
        # Without a later moment, what was held a moment ago is free by now.
        self._sleep((min(later, default=now) - now).total_seconds())
        return True

    def _channel_of(self, entry: OutboxEntry) -> str:
        if entry.kind == OutboxKind.WEBHOOK:
            return WEBHOOK
        return slack_channel(entry.payload["channel"] or self._default_channel)

    def _deliver(self, entry: OutboxEntry, channel: str) -> None:
        try:
            rest = self._send(entry)
        except UndeliveredError as error:
            self._put_off(entry, error)
            return
        # Straight after the answer: a crash between the two posts the message again.
        if rest is None:
            _insist(lambda: outbox.delivered(entry, clock=self._clock))
            self._delivered += 1
        else:
            until = self._clock() + _PACES[OutboxKind(entry.kind)]
            _insist(lambda: outbox.put_back(entry, until, rest))
        channels.works(channel, SLACK if entry.kind == OutboxKind.SLACK else WEBHOOK)

    def _send(self, entry: OutboxEntry) -> dict[str, Any] | None:
        # Imported here: commands start often, and most of them send nothing.
        if entry.kind == OutboxKind.WEBHOOK:
            from migrations_app.notify.webhook import Webhook

            Webhook(settings.DMS_WEBHOOK_URL, settings.DMS_WEBHOOK_SECRET).send(entry, self._clock())
            return None
        from migrations_app.notify.slack import Slack

        if self._slack is None:
            try:
                slack = resolved_settings().slack_notif
            except (MappingError, SecretUnreadableError) as error:
                raise UndeliveredError(str(error), channel=SLACK) from None
            if slack is None:
                problem = "`slack_notif` is missing in the settings; give slack_token and channel"
                raise UndeliveredError(problem, channel=SLACK)
            self._slack = Slack(slack.slack_token, slack.channel, base_url=settings.DMS_SLACK_API_URL)
        rest: dict[str, Any] | None = self._slack.send(entry)
        return rest

    def _put_off(self, entry: OutboxEntry, error: UndeliveredError) -> None:
        if error.channel is None:
            outbox.give_up(OutboxEntry.objects.filter(pk=entry.pk), error.problem, clock=self._clock)
        else:
            until = channels.hold(error, error.channel, self._clock)
            if error.retry_after_s is not None:
                outbox.put_back(entry, until)
            else:
                outbox.delay(entry, error.problem, until=until)
        self._delayed += 1
        self._problems[error.channel or entry.key] = error.problem
        logger.warning("message not sent: %s", error.problem, extra={"action": "notify"})


def _insist(record: Callable[[], None]) -> None:
    """Record a delivery, also when the control database is away for a moment."""
    for _ in range(_RECORD_ATTEMPTS - 1):
        with suppress(OperationalError, InterfaceError):
            record()
            return
        connection.close()
        time.sleep(_RECORD_PAUSE_S)
    record()
