"""What to write instead of a cron that cannot be read: what each field takes, and the usual mistakes.

A remedy repeats of what was entered only numbers, and names of months and weekdays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from apscheduler.triggers.cron.fields import MAX_VALUES, MIN_VALUES

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

#: By field: more that it takes than numbers, and an example.
_TAKES = {
    "year": ("", "2026-2028"),
    "month": (" (or jan to dec)", "jan-mar or 1,7"),
    "day": (", or last for the last day of the month", "1,15 or last"),
    "week": ("", "1-53/2"),
    "day_of_week": (", from Monday to Sunday (or mon to sun)", "mon-fri or 5,6"),
    "hour": ("", "7-19 or */2"),
    "minute": ("", "0,30 or */15"),
    "second": ("", "0"),
}
_NAMES: dict[str, Sequence[str]] = {"month": MONTHS, "day_of_week": WEEKDAYS}
#: Their last value is followed by the first one at the same distance each time, so that a step goes on over it.
_ROUND = frozenset({"month", "day_of_week", "hour", "minute", "second"})
_RANGE = re.compile(r"(?P<first>\w+)-(?P<last>\w+)(?:/(?P<step>\d+))?")
_STEP = re.compile(r"[\w*-]+/(?P<step>\d+)")
_MISREAD = {
    "month": re.compile(r"[a-z]+(?:-\d|#).*"),
    "day_of_week": re.compile(r"[a-z]+(?:-\d|#).*"),
    "day": re.compile(r"last.+"),
}
_NTH = re.compile(r"(?P<day>\w+)#(?P<nth>[1-5])")
_NICKNAMES = {
    "@yearly": "* 1 1 * * 0 0 0",
    "@annually": "* 1 1 * * 0 0 0",
    "@monthly": "* * 1 * * 0 0 0",
    "@weekly": "* * * * sun 0 0 0",
    "@daily": "* * * * * 0 0 0",
    "@midnight": "* * * * * 0 0 0",
    "@hourly": "* * * * * * 0 0",
}
_CRONTAB_FIELDS = 5
_ORDINALS = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5}
_DAYS_A_WEEK = 7


def takes(name: str) -> str:
    """What a field takes, with an example."""
    more, example = _TAKES[name]
    return (
        f"it takes *, */n, a, a-b, a-b/n or a list of those with commas, from {MIN_VALUES[name]} to"
        f" {MAX_VALUES[name]}{more}, such as {example}"
    )


def is_misread(name: str, value: str) -> bool:
    """True for what the library takes for something else: of `fri#2`, `mon-5` and `last-3` it reads the name alone."""
    pattern = _MISREAD.get(name)
    return pattern is not None and any(pattern.fullmatch(part) for part in value.lower().split(","))


def remedy_of(name: str, value: str) -> str:
    """What to write instead in a field that cannot be read; empty where nobody can tell."""
    for part in value.lower().split(","):
        for look in (_nth, _vendor_sign, _step, _wrapped, _other_name, _number):
            if found := look(name, part):
                return found
    return ""


def remedy_of_all(values: Sequence[str]) -> str:
    """What to write instead of an expression that has not eight fields; empty where nobody can tell."""
    lowered = [value.lower() for value in values]
    if len(lowered) == 1 and lowered[0].startswith("@"):
        written = _NICKNAMES.get(lowered[0])
        return f"write it as '{written}'" if written else f"of the names with @ there are {', '.join(_NICKNAMES)} alone"
    if len(lowered) == _CRONTAB_FIELDS:
        return _of_crontab(lowered)
    for ordinal, day in pairwise(lowered):
        if day in WEEKDAYS and ordinal == "last":
            return "the last weekday of a month cannot be written; choose a day of the month, or last in day"
        if day in WEEKDAYS and ordinal in _ORDINALS:
            return _nth_weekday(day, _ORDINALS[ordinal])
    return ""


def _of_crontab(values: Sequence[str]) -> str:
    """The five fields of Unix, from the minute on, in the order of the eight."""
    minute, hour, day, month, day_of_week = values
    if day != "*" and day_of_week != "*":
        return (
            "a crontab with a day of the month and a day of the week runs on both; here both have to hold, so choose"
            " one of them"
        )
    days = _unix_weekdays(day_of_week)
    if days is None or not all(re.fullmatch(r"[\d*/,-]+", value) for value in (minute, hour, day)):
        return ""
    if not re.fullmatch(rf"(?:[\d*/,-]|{'|'.join(MONTHS)})+", month):
        return ""
    return f"this looks like the five fields of a crontab: write it as '* {month} {day} * {days} {hour} {minute} 0'"


def _unix_weekdays(value: str) -> str | None:
    """Days of the week that are counted from Sunday, 0 or 7, as names; None when it is none."""
    if value == "*":
        return value
    found: set[int] = set()
    for part in value.split(","):
        read = re.fullmatch(r"(?P<first>\*|\d|[a-z]{3})(?:-(?P<last>\d|[a-z]{3}))?(?:/(?P<step>[1-7]))?", part)
        if read is None:
            return None
        first, last = (_unix_weekday(read[group]) for group in ("first", "last"))
        if read["first"] == "*":
            first, last = 0, 6
        if first is None or (read["last"] and last is None):
            return None
        if last is None:
            last = 6 if read["step"] else first
        if last < first:
            last += _DAYS_A_WEEK
        found |= {(day - 1) % _DAYS_A_WEEK for day in range(first, last + 1, int(read["step"] or 1))}
    return _days_in_order(sorted(found))


def _days_in_order(numbers: Sequence[int]) -> str:
    if len(numbers) == _DAYS_A_WEEK:
        return "*"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{WEEKDAYS[numbers[0]]}-{WEEKDAYS[numbers[-1]]}"
    return ",".join(WEEKDAYS[number] for number in numbers)


def _unix_weekday(value: str | None) -> int | None:
    if value is None:
        return None
    if value in WEEKDAYS:
        return (WEEKDAYS.index(value) + 1) % _DAYS_A_WEEK
    return int(value) if value.isdigit() and int(value) <= _DAYS_A_WEEK else None


def _nth(_name: str, part: str) -> str:
    found = _NTH.fullmatch(part)
    if found is None:
        return ""
    return _nth_weekday(found["day"] if found["day"] in WEEKDAYS else "the weekday's name", int(found["nth"]))


def _nth_weekday(day: str, nth: int) -> str:
    first = (nth - 1) * _DAYS_A_WEEK + 1
    days = f"{first}-{min(first + _DAYS_A_WEEK - 1, MAX_VALUES['day'])}"
    return f"write {days} in day and {day} in day_of_week: all fields have to hold, which leaves that one weekday"


def _vendor_sign(name: str, part: str) -> str:
    if name == "day" and part == "l":
        return "write last for the last day of the month"
    if re.fullmatch(r"(\d+|[a-z]{3})l|l(ast)?-\d+|\d+w|lw", part):
        return "the signs L and W of other schedulers cannot be written, but for last in day"
    if "?" in part:
        return "? stands alone in a field, and leaves it to its default"
    return ""


def _step(name: str, part: str) -> str:
    found = _STEP.fullmatch(part)
    if found is None:
        return ""
    if int(found["step"]) == 0:
        return "the step behind / is at least 1"
    if part.startswith("*") and int(found["step"]) > MAX_VALUES[name] - MIN_VALUES[name]:
        return f"the step behind / is at most {MAX_VALUES[name] - MIN_VALUES[name]}; write single values instead"
    return ""


def _wrapped(name: str, part: str) -> str:
    """A range over the end, in the two parts that stand for it."""
    found = _RANGE.fullmatch(part)
    if found is None:
        return ""
    first, last = _value(name, found["first"]), _value(name, found["last"])
    if first is None or last is None or first <= last:
        return ""
    if name == "year":
        return f"a range goes up: write {last}-{first}"
    step = int(found["step"] or 1)
    if step > 1 and name not in _ROUND:
        return "a range may not go over the end; write two ranges with a comma between"
    low, high = MIN_VALUES[name], MAX_VALUES[name]
    is_named = found["first"] in _NAMES.get(name, ()) and step == 1
    # Where the step comes out behind the end.
    second = low + (first - high - 1) % step
    parts = [_range(name, first, high, step, is_named=is_named)]
    if second <= last:
        parts.append(_range(name, second, last, step, is_named=is_named))
    return f"a range may not go over the end: write {','.join(parts)}"


def _range(name: str, first: int, last: int, step: int, *, is_named: bool) -> str:
    """A range that the library takes: it refuses a step that leads out of the range."""
    words = [_NAMES[name][value - MIN_VALUES[name]] if is_named else str(value) for value in (first, last)]
    if first + step > last:
        return words[0] if first == last or step > 1 else "-".join(words)
    return "-".join(words) + (f"/{step}" if step > 1 else "")


def _other_name(name: str, part: str) -> str:
    for word in re.findall(r"[a-z]+", part):
        if word in MONTHS and name != "month":
            return f"{word} is a month, which stands in field 2 (month)"
        if word in WEEKDAYS and name != "day_of_week":
            return f"{word} is a weekday, which stands in field 5 (day_of_week)"
        for known in _NAMES.get(name, ()):
            if word != known and word.startswith(known):
                return f"write {known}, the first three letters"
    if re.fullmatch(r"[a-z]+-\d\S*|\d+-[a-z]+\S*", part) and name in _NAMES:
        return "write both ends of a range as numbers, or both as names"
    return ""


def _number(name: str, part: str) -> str:
    numbers = [int(number) for number in re.findall(r"\d+", part.partition("/")[0])]
    if name == "day_of_week" and _DAYS_A_WEEK in numbers:
        return "Monday is 0 here, and Sunday 6: write 6 or sun for Sunday"
    if name == "hour" and MAX_VALUES["hour"] + 1 in numbers:
        return "midnight is 0"
    return ""


def _value(name: str, word: str) -> int | None:
    """A value in its field, by its number or name; None for one that the field does not have."""
    if word in _NAMES.get(name, ()):
        return _NAMES[name].index(word) + int(MIN_VALUES[name])
    if not word.isdecimal():
        return None
    return int(word) if MIN_VALUES[name] <= int(word) <= MAX_VALUES[name] else None
