"""A cron in English words. They say which moments it allows, no more and no fewer.

The words are made from what APScheduler has read out of the expression, and not from the expression: both would have to
be read in the same way, and APScheduler reads `jan-dec/2`, for one, as every month.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron.expressions import AllExpression, LastDayOfMonthExpression, RangeExpression
from apscheduler.triggers.cron.fields import MAX_VALUES, MIN_VALUES

from connectors.mapping.cron import check_cron, cron_trigger
from migrations_app.scheduling.times import due_times

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Where somebody writes what is never due, such as 30 February, nobody waits for the year 9999.
HORIZON = timedelta(days=50 * 366)

_FEW = 6
_EVERY_MONTH_HAS = 28


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments that a cron allows: those of which each part is among the values.

    Attributes:
        year, month, day, week, day_of_week, hour, minute, second: Values in order; weekdays from Monday, which is 0.
        last_day: The last day of a month is allowed, whatever its number.
    """

    year: tuple[int, ...]
    month: tuple[int, ...]
    day: tuple[int, ...]
    week: tuple[int, ...]
    day_of_week: tuple[int, ...]
    hour: tuple[int, ...]
    minute: tuple[int, ...]
    second: tuple[int, ...]
    last_day: bool

    def is_any(self, name: str) -> bool:
        """Whether that part may have every value."""
        values: tuple[int, ...] = getattr(self, name)
        return bool(len(values) == MAX_VALUES[name] - MIN_VALUES[name] + 1)


def moments_of(cron: str) -> Moments | None:
    """Read a cron; None for `self-managed`, which has no moments.

    Raises:
        ValueError: It cannot be read; the sentence names the field.
    """
    trigger = cron_trigger(check_cron(cron), ZoneInfo("UTC"))
    if trigger is None:
        return None
    values = {field.name: _values(field.name, field.expressions) for field in trigger.fields}
    last_day = any(isinstance(each, LastDayOfMonthExpression) for field in trigger.fields for each in field.expressions)
    return Moments(**values, last_day=last_day)


def in_words(cron: str) -> str:
    """What the cron means.

    Raises:
        ValueError: It cannot be read; the sentence names the field.
    """
    moments = moments_of(cron)
    if moments is None:
        return "No schedule: it runs when a person, a program or another scheduler starts it"
    time, date = _time_of_day(moments), _date(moments)
    clauses = [time, *(date or ([] if moments.is_any("hour") else ["every day"]))]
    text = ", ".join(clauses)
    return text[0].upper() + text[1:]


def next_times(cron: str, timezone: str, count: int, *, after: datetime | None = None) -> list[datetime]:
    """The first due times from now on, within the next fifty years, in the time zone.

    Raises:
        ValueError: The cron or the zone cannot be read.
    """
    after = after or datetime.now(UTC)
    found = islice(due_times(cron, timezone, after, until=after + HORIZON), count)
    return [moment.astimezone(ZoneInfo(timezone)) for moment in found]


def _values(name: str, expressions: Sequence[AllExpression]) -> tuple[int, ...]:
    found: set[int] = set()
    for each in expressions:
        if isinstance(each, LastDayOfMonthExpression):
            continue
        first, last = MIN_VALUES[name], MAX_VALUES[name]
        if isinstance(each, RangeExpression):
            first, last = each.first, last if each.last is None else each.last
        found.update(range(first, last + 1, each.step or 1))
    return tuple(sorted(found))


def _time_of_day(moments: Moments) -> str:
    hours, minutes, seconds = moments.hour, moments.minute, moments.second
    if len(hours) * len(minutes) * len(seconds) <= _FEW:
        with_seconds = seconds != (0,)
        times = [
            f"{hour:02}:{minute:02}" + (f":{second:02}" if with_seconds else "")
            for hour in hours
            for minute in minutes
            for second in seconds
        ]
        return f"at {_and(times)}"
    if minutes == (0,) and seconds == (0,):
        return _whole_hours(hours)
    return " ".join(part for part in (_minutes_and_seconds(moments), _in_hours(moments)) if part)


def _whole_hours(hours: tuple[int, ...]) -> str:
    step = _step(hours)
    if step is None:
        return f"at {_and([f'{hour:02}:00' for hour in hours])}"
    every = "every hour" if step == 1 else f"every {step} hours"
    return f"{every}, on the hour" if len(hours) == 24 else f"{every} from {hours[0]:02}:00 to {hours[-1]:02}:00"


def _minutes_and_seconds(moments: Moments) -> str:
    minutes, seconds = moments.minute, moments.second
    if seconds == (0,):
        return _every(minutes, 60, "minute") or f"at {_numbered('minute', minutes)}{_of_every_hour(moments)}"
    often = _every(seconds, 60, "second")
    if often and moments.is_any("minute"):
        return often
    start = often or f"at {_numbered('second', seconds)}"
    if moments.is_any("minute"):
        return f"{start} of every minute"
    return f"{start} in {_numbered('minute', minutes)}{_of_every_hour(moments)}"


def _of_every_hour(moments: Moments) -> str:
    return " of every hour" if _step(moments.hour) == 1 else ""


def _in_hours(moments: Moments) -> str:
    hours = moments.hour
    if moments.is_any("hour"):
        return ""
    if _step(hours) == 1 or len(hours) == 1:
        return f"from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return f"in {_numbered('hour', hours)}"


def _every(values: tuple[int, ...], whole: int, noun: str) -> str:
    """`every 5 minutes` where that is what it comes to, all round the clock face."""
    step = whole // len(values)
    if len(values) < 2 or values != tuple(range(0, whole, step)):
        return ""
    return f"every {noun}" if step == 1 else f"every {step} {noun}s"


def _date(moments: Moments) -> list[str]:
    clauses = []
    has_days = not moments.is_any("day")
    months = "" if moments.is_any("month") else _names(MONTHS, [month - 1 for month in moments.month], "and")
    if has_days:
        clauses.append(_days(moments, months))
    if not moments.is_any("day_of_week"):
        weekdays = _names(WEEKDAYS, moments.day_of_week, "or" if has_days else "and")
        clauses.append(
            f"only if it is {weekdays}" if has_days else weekdays if " to " in weekdays else f"on {weekdays}"
        )
    if months and not has_days:
        clauses.append(f"in {months}")
    if not moments.is_any("week"):
        clauses.append(f"in {_numbered('ISO week', moments.week)}")
    if not moments.is_any("year"):
        clauses.append(f"in {_years(moments.year)}")
    return clauses


def _days(moments: Moments, months: str) -> str:
    listed = [_numbered("day", moments.day)] if moments.day else []
    if moments.last_day:
        listed.append("the last day")
    rare = "" if not moments.day or moments.day[-1] <= _EVERY_MONTH_HAS else " (where it has one)"
    return f"on {' and on '.join(listed)} of {months or 'every month'}{rare}"


def _years(years: tuple[int, ...]) -> str:
    step = _step(years)
    if step is not None and years[-1] + step > MAX_VALUES["year"]:
        return f"every year from {years[0]} on" if step == 1 else f"every {_ordinal(step)} year from {years[0]} on"
    return f"{years[0]}" if len(years) == 1 else _numbered("year", years)


def _numbered(noun: str, values: tuple[int, ...]) -> str:
    """`minute 5`, `minutes 5 and 20`, `minutes 5 to 20`, or `every 7th minute from 0 to 56`."""
    step = _step(values)
    if len(values) == 1:
        return f"{noun} {values[0]}"
    if step == 1:
        return f"{noun}s {values[0]} to {values[-1]}"
    if step is not None and len(values) > _FEW:
        return f"every {_ordinal(step)} {noun} from {values[0]} to {values[-1]}"
    return f"{noun}s {_and(_runs(values))}"


def _names(names: Sequence[str], values: Collection[int], word: str) -> str:
    chosen = sorted(values)
    if _step(tuple(chosen)) == 1:
        return f"{names[chosen[0]]} to {names[chosen[-1]]}"
    return _and([names[value] for value in chosen], word)


def _step(values: tuple[int, ...]) -> int | None:
    """The distance that each value has from the one before; None for fewer than three, or for several distances."""
    distances = {later - earlier for earlier, later in pairwise(values)}
    return distances.pop() if len(values) > 2 and len(distances) == 1 else None


def _runs(values: tuple[int, ...]) -> list[str]:
    """The values, with `3 to 7` for more than two in a row."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [text for run in runs for text in (map(str, run) if len(run) < 3 else [f"{run[0]} to {run[-1]}"])]


def _and(words: Sequence[str], word: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 < number % 100 < 14 else ending}"
