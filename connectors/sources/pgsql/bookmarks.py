"""Bookmarks: the condition that finds changed rows, for every type that a bookmark may have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
from psycopg2 import sql

from connectors.errors import ConfigError
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn

_TIMES = frozenset({"timestamptz", "timestamp", "date"})
_FOLD = timedelta(hours=1)
_EPOCH_MILLISECONDS_FROM = 10**11
_EPOCH_MICROSECONDS_FROM = 10**14


class Bookmark:
    """One bookmark column and how to compare it with an instant.

    Args:
        column: The column.
        timezone: Time zone of its values when they carry none.
        session: Where instants are converted.
        is_improper: Values are texts or numbers to be parsed here.

    Raises:
        ConfigError: The column's type does not tell a time, and improper_bookmarks is not set.
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

    def before_or_null(self, instant: str | None, lag: timedelta) -> sql.Composable:
        """The rows that `since` leaves out."""
        lower = self.lower_bound(instant, lag)
        if lower is None:
            return sql.SQL("false")
        return sql.SQL("({0} < {1}::{2} OR {0} IS NULL)").format(
            self.identifier, sql.Literal(lower), sql.SQL(self.column.type.pg.text)
        )

    def lower_bound(self, instant: str | None, lag: timedelta) -> str | None:
        """The bound as text of the column's type; None for no bound.

        timestamp(p) and date round, so the bound goes one unit of their resolution below; wall time goes an hour
        below, where the zone repeats an hour when summer time ends.
        """
        if instant is None:
            return None
        if not self._is_wall_time or self.timezone in {"UTC", "Etc/UTC", "GMT"}:
            fold = timedelta(0)
        else:
            fold = _FOLD if _changes_offset(self.timezone) else timedelta(0)
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
        moments = parse_moments(texts, self.timezone)
        unparsed = int(sum(text is not None and pd.isna(moment) for text, moment in zip(texts, moments, strict=True)))
        if instant is None:
            return [True] * len(texts), unparsed
        bound = pd.Timestamp(instant).tz_convert("UTC") - lag - _FOLD
        return [not moment < bound for moment in moments], unparsed


def parse_moments(texts: Sequence[str | None], timezone: str) -> list[pd.Timestamp]:
    """Instants of texts in any common form or epoch number; NaT where there is none."""
    values = pd.Series(list(texts), dtype="object").str.strip()
    numbers = pd.to_numeric(values, errors="coerce")
    is_compact_date = values.str.fullmatch(r"(?:19|20)\d{6}(?:\d{6})?").fillna(value=False).astype(bool)
    is_epoch = numbers.notna() & ~is_compact_date
    readings = [_parse_texts(values.mask(is_epoch), timezone, day_first=day_first) for day_first in (False, True)]
    # max() skips NaT: one reading is enough, and of two the later one re-reads the row once more at worst.
    latest = pd.concat(readings, axis=1).max(axis=1)
    epochs = _parse_epochs(numbers.where(is_epoch))
    return list(latest.where(~is_epoch, epochs))


def _parse_texts(values: pd.Series, timezone: str, *, day_first: bool) -> pd.Series:
    parsed = [_parse_one(value, timezone, day_first=day_first) for value in values]
    return pd.Series(pd.to_datetime(pd.Series(parsed, dtype="object"), utc=True, errors="coerce"))


def _parse_one(value: object, timezone: str, *, day_first: bool) -> pd.Timestamp | None:
    if not isinstance(value, str) or not value:
        return None
    moment = pd.to_datetime(value, dayfirst=day_first, errors="coerce")
    if not isinstance(moment, pd.Timestamp):
        return None
    if moment.tzinfo is not None:
        return moment.tz_convert("UTC")
    return moment.tz_localize(timezone, ambiguous=False, nonexistent="shift_forward").tz_convert("UTC")


def _parse_epochs(numbers: pd.Series) -> pd.Series:
    """Seconds, milliseconds or microseconds since 1970, told apart by their size."""
    seconds = numbers.astype("float64")
    magnitude = seconds.abs()
    seconds = seconds.mask(magnitude >= _EPOCH_MICROSECONDS_FROM, seconds / 1e6)
    is_milliseconds = (magnitude >= _EPOCH_MILLISECONDS_FROM) & (magnitude < _EPOCH_MICROSECONDS_FROM)
    seconds = seconds.mask(is_milliseconds, seconds / 1e3)
    return pd.Series(pd.to_datetime(seconds, unit="s", utc=True, errors="coerce"))


def _changes_offset(timezone: str) -> bool:
    """False only for zones that are known to keep one offset to UTC through the year."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return True
    months = (pd.Timestamp(year=2026, month=month, day=15, tz=zone).utcoffset() for month in range(1, 13))
    return len(set(months)) > 1
