"""Notifications: what became of runs, told to Slack and to a webhook, through the outbox.

Whoever records an outcome calls `enqueue` in the same transaction; `drain` delivers. A channel that is down, or
wrong, delays its messages and stops nothing. Without `notify` in the settings nothing is written and nothing sent.
"""

from __future__ import annotations

from migrations_app.notify.delivery import KINDS as KINDS
from migrations_app.notify.delivery import drain as drain
from migrations_app.notify.events import Event as Event
from migrations_app.notify.events import enqueue as enqueue
