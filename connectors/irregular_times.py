"""Times kept as texts or numbers in any common form, parsed by pandas."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import timedelta

import pandas as pd

# Smaller numbers are no instants of a living system but days, months or years written together.
_EPOCH_SECONDS_FROM = 10**8
_EPOCH_MILLISECONDS_FROM = 10**11
_EPOCH_MICROSECONDS_FROM = 10**14
_EPOCH_NANOSECONDS_FROM = 10**18
_FOLD = timedelta(hours=1)
_COMPACT = r"(?:19|20)\d{6}(?:\d{4}|\d{6})?"
_ISO = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?"
_PARTS_OF_A_DATE = 3


def find_due(texts: Sequence[str | None], timezone: str, instant: str | None, lag: timedelta) -> tuple[list[bool], int]:
    """Which texts tell a time at or after ``instant - lag``, and how many tell none.

    What tells no time (NaT, which is not before anything) is due. Wall time goes an hour further back, where a zone
    repeats an hour; a text without a time of day stands for all of its day, or month.
    """
    moments = parse_moments(texts, timezone)
    unparsed = int(sum(text is not None and pd.isna(moment) for text, moment in zip(texts, moments, strict=True)))
    if instant is None:
        return [True] * len(texts), unparsed
    bound = pd.Timestamp(instant).tz_convert("UTC") - lag - _FOLD
    return [not moment < bound - _span(text) for text, moment in zip(texts, moments, strict=True)], unparsed


def _span(text: str | None) -> timedelta:
    """How long after the moment that it is parsed to a text may still mean."""
    if text is None or ":" in text or (len(text.strip()) > 8 and text.strip().isdigit()):
        return timedelta(0)
    is_day = len(re.findall(r"\d+|[^\W\d_]{3,}", text)) >= _PARTS_OF_A_DATE or text.strip().isdigit()
    return timedelta(days=1 if is_day else 31)


def parse_moments(texts: Sequence[str | None], timezone: str) -> list[pd.Timestamp]:
    """Instants of texts in any common form or epoch number; NaT where there is none."""
    values = pd.Series(list(texts), dtype="object").str.strip()
    numbers = pd.to_numeric(values, errors="coerce")
    is_compact_date = values.str.fullmatch(_COMPACT).fillna(value=False).astype(bool)
    is_epoch = numbers.notna() & ~is_compact_date
    is_iso = values.str.fullmatch(_ISO).fillna(value=False).astype(bool)
    others = values.mask(is_epoch | is_iso)
    readings = [_parse_texts(others, timezone, day_first=day_first) for day_first in (False, True)]
    # max() skips NaT: one reading is enough, and of two the later one re-reads the row once more at worst.
    latest = pd.concat(readings, axis=1).max(axis=1)
    latest = latest.where(~is_iso, _parse_iso(values.where(is_iso), timezone))
    epochs = _parse_epochs(numbers.where(is_epoch))
    return list(latest.where(~is_epoch, epochs))


def _parse_iso(values: pd.Series, timezone: str) -> pd.Series:
    """The usual form in one go: text by text would take minutes for a million."""
    moments = pd.to_datetime(values, format="ISO8601", errors="coerce")
    is_summer = pd.Series(data=False, index=moments.index).to_numpy(dtype=bool)
    local = moments.dt.tz_localize(timezone, ambiguous=is_summer, nonexistent="shift_forward")
    return pd.Series(local.dt.tz_convert("UTC"))


def _parse_texts(values: pd.Series, timezone: str, *, day_first: bool) -> pd.Series:
    with warnings.catch_warnings():
        # pandas warns of every text that is not in the order asked for, which is why both are.
        warnings.simplefilter("ignore")
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
    """Seconds to nanoseconds since 1970, told apart by their size; 0 stands for never."""
    seconds = numbers.astype("float64")
    magnitude = seconds.abs()
    seconds = seconds.mask((magnitude > 0) & (magnitude < _EPOCH_SECONDS_FROM))
    seconds = seconds.mask(magnitude >= _EPOCH_NANOSECONDS_FROM, seconds / 1e9)
    is_microseconds = (magnitude >= _EPOCH_MICROSECONDS_FROM) & (magnitude < _EPOCH_NANOSECONDS_FROM)
    seconds = seconds.mask(is_microseconds, seconds / 1e6)
    is_milliseconds = (magnitude >= _EPOCH_MILLISECONDS_FROM) & (magnitude < _EPOCH_MICROSECONDS_FROM)
    seconds = seconds.mask(is_milliseconds, seconds / 1e3)
    return pd.Series(pd.to_datetime(seconds, unit="s", utc=True, errors="coerce"))
