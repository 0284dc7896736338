"""Expiry: old snapshots of a dump are deleted, the newest never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg2 import sql

from connectors.destinations.pgsql.state import fenced_transaction
from connectors.destinations.pgsql.target import SNAPSHOT_COLUMN, Target
from connectors.mapping import Expiry


def expire(target: Target, type_text: str) -> int:
    """Delete the snapshots that are older than the spec's `expiry` and return the number of rows.

    Args:
        target: Of a dump.
        type_text: Type of the snapshot column.
    """
    expiry: Expiry | None = getattr(target.stream.spec, "expiry", None)
    if expiry is None:
        return 0
    column = sql.Identifier(SNAPSHOT_COLUMN)
    statement = sql.SQL("DELETE FROM {0} WHERE {1} < %s AND {1} < (SELECT max({1}) FROM {0})").format(
        target.name, column
    )
    with fenced_transaction(target):
        deleted = target.session.execute(statement, [_oldest(target, type_text, expiry.timedelta)])
    target.report.counts["expired"] += deleted
    return deleted


def _oldest(target: Target, type_text: str, age: timedelta) -> datetime:
    """The oldest moment to keep, as the column tells time: an instant, or wall time of UTC or the settings."""
    moment = (target.report.t0 or datetime.now(UTC)) - age
    if type_text.endswith("without time zone"):
        is_strict = getattr(target.stream.spec, "strict", False)
        zone = ZoneInfo(target.stream.timezone) if is_strict else UTC
        return moment.astimezone(zone).replace(tzinfo=None)
    return moment
