"""Times kept as texts or numbers in any common form, parsed by pandas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd

_EPOCH_MILLISECONDS_FROM = 10**11
_EPOCH_MICROSECONDS_FROM = 10**14
_FOLD = timedelta(hours=1)


def find_due(texts: Sequence[str | None], timezone: str, instant: str | None, lag: timedelta) -> tuple[list[bool], int]:
    """Which texts tell a time at or after ``instant - lag``, and how many tell none.

    What tells no time (NaT, which is not before anything) is due. Wall time goes an hour further back, where a zone
    repeats an hour.
    """
    moments = parse_moments(texts, timezone)
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
