"""How the page of the service settings is laid out: its sections, their words, and what of them can be tested."""

from __future__ import annotations

from dataclasses import dataclass

from migrations_app.verbs import service

_POSITIONS = (
    "Where each stream has got to, for others to read: one document for a stream's last record and its last run"
    " (<code>encryption_store</code>). The service goes by its own database: a store that is down stops no run."
)
_RUNS = "What each run did: rows, bytes, time and outcome, for a dashboard (<code>dashboard_store</code>)."
_NOTIFICATIONS = "What becomes of runs, in a Slack channel (<code>slack_notif</code>)."
_CONNECTIONS = (
    "TCP keepalive of connections to PostgreSQL (<code>keepalive_kwargs</code>), and how far watermarks stay behind."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        words: What it is for, as HTML.
        fields: Of the form.
        tests: The parts of `verbs/service.py` that can be tested, with the words of their buttons.
    """

    title: str
    words: str
    fields: tuple[str, ...]
    tests: tuple[tuple[str, str], ...] = ()


SECTIONS = (
    Section("Schedules and time", "", ("fastapi_server", "timezone", "cut_off_time")),
    Section(
        "Store of positions",
        _POSITIONS,
        ("encryption_store_url", "encryption_store_db_name", "encryption_store_collection_name"),
        ((service.ENCRYPTION_STORE, "Test the store of positions"),),
    ),
    Section(
        "Store of runs",
        _RUNS,
        ("dashboard_store_url", "dashboard_store_db_name", "dashboard_store_collection_name"),
        ((service.DASHBOARD_STORE, "Test the store of runs"),),
    ),
    Section(
        "Notifications",
        _NOTIFICATIONS,
        ("notify", "slack_notif_slack_token", "slack_notif_channel", "forget_slack"),
        ((service.SLACK, "Test Slack with a message"), (service.WEBHOOK, "Test the webhook with an event")),
    ),
    Section(
        "Connections",
        _CONNECTIONS,
        (
            "keepalive_kwargs_keepalives",
            "keepalive_kwargs_keepalives_idle",
            "keepalive_kwargs_keepalives_interval",
            "keepalive_kwargs_keepalives_count",
            "keepalive_kwargs_tcp_user_timeout",
            "clock_margin_s",
        ),
    ),
)
