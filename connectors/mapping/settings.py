"""Service settings: what is true of every job - the two stores, time zone, notifications, cut-off time."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import pytz
from pydantic import BeforeValidator, Field

from connectors.mapping.base import Contract, Problem, Rule, problem_error, rule
from connectors.mapping.fields import Count, Flag, RequiredText, Secret, SecretUrl, Zone, expect


class Store(Contract):
    """A place in a MongoDB database where records of runs are kept."""

    url: SecretUrl = Field(description="address of the MongoDB server, as in mongodb://host:27017")
    db_name: RequiredText = Field(description="name of the database in it")
    collection_name: RequiredText = Field(description="name of the collection that holds the records")


class SlackNotif(Contract):
    """Where notifications go, and the token that allows to post them."""

    slack_token: Secret = Field(description="token of the Slack app that posts the messages")
    channel: RequiredText = Field(description="id or name of the channel that receives the messages")


class KeepaliveKwargs(Contract):
    """TCP keepalive of PostgreSQL connections, under libpq's own names.

    Source: postgresql.org/docs/current/libpq-connect.html
    """

    keepalives: Annotated[Count, Field(ge=0, le=1)] = Field(default=1, description="1 turns keepalive on, 0 off")
    keepalives_idle: Annotated[Count, Field(ge=0)] = Field(
        default=30, description="seconds without traffic after which the first probe is sent"
    )
    keepalives_interval: Annotated[Count, Field(ge=0)] = Field(
        default=5, description="seconds after which an unanswered probe is sent again"
    )
    keepalives_count: Annotated[Count, Field(ge=0)] = Field(
        default=5, description="unanswered probes after which the connection counts as lost"
    )
    tcp_user_timeout: Annotated[Count, Field(ge=0)] = Field(
        default=0,
        description="milliseconds that sent data may stay unacknowledged; 0 leaves it to the system",
    )


_TIME = "expected a time of day without a time zone, such as 22:30:00 (in quotes in YAML and JSON)"


def _time_of_day(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = dt.time.fromisoformat(value)
        except ValueError:
            raise problem_error(_TIME) from None
    if not isinstance(value, dt.time) or value.tzinfo is not None:
        raise problem_error(_TIME)
    return value


def _none_if_empty(value: Any) -> Any:
    return None if value == {} else value


@rule("notify", "slack_notif")
def _notify_needs_slack(settings: "ServiceSettings") -> Iterator[Problem]:
    if settings.notify and settings.slack_notif is None:
        message = "is required when notify is True; give slack_token and channel, or set notify to False"
        yield Problem(("slack_notif",), message)


class ServiceSettings(Contract):
    """The settings document."""

    rules: ClassVar[tuple[Rule, ...]] = (_notify_needs_slack,)

    fastapi_server: Flag = Field(
        default=False,
        description="whether the service stays up in the background; only then are cron jobs scheduled",
    )
    timezone: Zone = Field(default="Asia/Kolkata", description="the default time zone, by its IANA name")
    notify: Flag = Field(default=False, description="whether finished and failed runs are told to Slack")
    encryption_store: Store = Field(description="MongoDB collection for the state of jobs: last run, last record")
    dashboard_store: Store = Field(description="MongoDB collection for the history of runs: records, bytes, time")
    slack_notif: Annotated[SlackNotif | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, description="Slack token and channel; required when notify is True"
    )
    cut_off_time: Annotated[dt.time | None, expect(_TIME), BeforeValidator(_time_of_day)] = Field(
        default=None, description="time of day, in the default time zone, at which running jobs stop"
    )
    keepalive_kwargs: KeepaliveKwargs = Field(
        default=KeepaliveKwargs(), description="TCP keepalive of PostgreSQL connections"
    )
    clock_margin_s: Annotated[Count, Field(ge=0)] | None = Field(
        default=None,
        description="seconds that a watermark stays behind the source database's clock; else the installation's",
    )

    @property
    def tzinfo(self) -> dt.tzinfo:
        """The default time zone as an object."""
        return pytz.timezone(self.timezone)
