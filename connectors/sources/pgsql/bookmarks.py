"""Bookmarks: the condition that finds changed rows, for every type that a bookmark may have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from psycopg2 import sql

from connectors.errors import ConfigError
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn

_TIMES = frozenset({"timestamptz", "timestamp", "date"})
_FOLD = timedelta(hours=1)


class Bookmark:
    """One bookmark column and how to compare it with an instant.

    Args:
        column: The column.
        timezone: Time zone of its values when they carry none.
        session: Where instants are converted.
        is_improper: Values are texts or numbers to be parsed here.

    Raises:
        ConfigError: The column's type does not tell a time, and improper_bookmarks is not set; or texts would have to
            be read in a zone that is not known.
    """

    def __init__(self, column: SourceColumn, timezone: str, session: Session, *, is_improper: bool) -> None:
        self.column = column
        self.timezone = timezone
        self._session = session
        self.is_parsed_here = is_improper and column.type.name not in _TIMES
        if column.type.name not in _TIMES and not is_improper:
            msg = (
                f"`bookmark` names column {column.name} of type {column.type.pg.text}, which is no date or time;"
                " name a timestamp column, or set `improper_bookmarks` to True when it holds times in another form"
            )
            raise ConfigError(
                msg,
                connector=session.side.connector,
                stream=session.side.stream,
            )
        if self.is_parsed_here and _zone(timezone) is None:
            msg = (
                f"times in bookmark {column.name} are read in the source's time zone, {timezone}, which is not known"
                " here; set `bookmark_timezone` to the name of a zone, such as Europe/Berlin"
            )
            raise ConfigError(msg, connector=session.side.connector, stream=session.side.stream)

    @property
    def identifier(self) -> sql.Composable:
        """The quoted column."""
        return sql.Identifier(self.column.name)

    def since(self, instant: str | None, lag: timedelta) -> sql.Composable:
        """``bookmark >= instant - lag``, rounded down to what the column can hold; all rows when instant is None."""
        lower = self.lower_bound(instant, lag)
        if lower is None:
            return sql.SQL("true")
        return sql.SQL("{} >= {}::{}").format(self.identifier, sql.Literal(lower), sql.SQL(self.column.type.pg.text))

    def until(self, instant: str) -> sql.Composable:
        """``bookmark <= instant``, in the column's own resolution; wall time that a zone repeats counts twice."""
        moment = sql.SQL("{}::timestamptz").format(sql.Literal(instant))
        if self._is_wall_time:
            moment = sql.SQL("({} AT TIME ZONE {})").format(moment, sql.Literal(self.timezone))
        return sql.SQL("{} <= {}::{}").format(self.identifier, moment, sql.SQL(self.column.type.pg.text))

    def before_or_null(self, instant: str | None, lag: timedelta) -> sql.Composable:
        """The rows that `since` leaves out, and those without a bookmark, which windows cut by it leave out."""
        lower = self.lower_bound(instant, lag)
        if lower is None:
            return sql.SQL("{} IS NULL").format(self.identifier)
        return sql.SQL("({0} < {1}::{2} OR {0} IS NULL)").format(
            self.identifier, sql.Literal(lower), sql.SQL(self.column.type.pg.text)
        )

    def lower_bound(self, instant: str | None, lag: timedelta) -> str | None:
        """The bound as text of the column's type; None for no bound.

        timestamp(p) and date round, so the bound goes down to a whole unit of their resolution; wall time goes lower
        by what the zone repeats when summer time ends.
        """
        if instant is None:
            return None
        fold = _repeated(self.timezone) if self._is_wall_time else timedelta(0)
        bare = self.column.type.name
        moment = sql.SQL("({}::timestamptz - {}::interval)").format(
            sql.Literal(instant), sql.Literal(f"{(lag + fold).total_seconds():.6f} seconds")
        )
        if self._is_wall_time:
            moment = sql.SQL("({} AT TIME ZONE {})").format(moment, sql.Literal(self.timezone))
        floored = sql.SQL("date_trunc({}, {})").format(sql.Literal("day" if bare == "date" else self._unit), moment)
        return str(self._session.value(sql.SQL("SELECT ({})::text").format(floored)))

    @property
    def _is_wall_time(self) -> bool:
        return self.column.type.name != "timestamptz"

    @property
    def _unit(self) -> str:
        """The coarsest unit that is at least as coarse as the column's precision: timestamp(0) to timestamp(6)."""
        text = self.column.type.pg.text
        if "(" not in text:
            return "microseconds"
        digits = int(text[text.index("(") + 1])
        return "second" if digits < 3 else "milliseconds" if digits < 6 else "microseconds"

    def is_due(self, texts: Sequence[str | None], instant: str | None, lag: timedelta) -> tuple[list[bool], int]:
        """For bookmarks that are parsed here: which of them are at or after the bound, and how many told no time.

        What cannot be parsed (NaT, which is not before anything) is due in every run. Where day and month could be
        either, the later reading counts.
        """
        # pandas takes a second to import, which most runs need not spend.
        from connectors.irregular_times import find_due

        return find_due(texts, self.timezone, instant, lag)


def _repeated(timezone: str) -> timedelta:
    """The most that a zone's clocks are set back within two years; an hour for a zone that is not known."""
    zone = _zone(timezone)
    if zone is None:
        return _FOLD
    # Every week, since some zones change for a month only.
    weeks = (datetime.now(UTC) + timedelta(weeks=number) for number in range(-52, 53))
    offsets = {moment.astimezone(zone).utcoffset() or timedelta(0) for moment in weeks}
    return max(offsets) - min(offsets)


def _zone(timezone: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
