"""A cron in words says what APScheduler makes of it: the words are read back here, and held against the due times."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mapping.cron import FIELDS
from migrations_app.scheduling.times import due_times
from migrations_app.scheduling.words import MONTHS, WEEKDAYS, Moments, in_words, moments_of, next_times

WHOLE = {
    "year": range(1970, 10000),
    "month": range(1, 13),
    "day": range(1, 32),
    "week": range(1, 54),
    "day_of_week": range(7),
    "hour": range(24),
    "minute": range(60),
    "second": range(60),
}


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("self-managed", "No schedule: it runs when a person, a program or another scheduler starts it"),
        # The example of the contract.
        ("* * * * * 7-19 */1 0", "Every minute from 07:00 to 19:59, every day"),
        ("* * * * * 2 30 0", "At 02:30, every day"),
        ("* * * * * 2,14 30 0", "At 02:30 and 14:30, every day"),
        ("* * * * * * * *", "Every second"),
        ("* * * * * * */5 0", "Every 5 minutes"),
        ("* * * * * * 0,30 0", "Every 30 minutes"),
        # It begins anew in each hour, so it is not every 7 minutes.
        ("* * * * * * */7 0", "At every 7th minute from 0 to 56 of every hour"),
        ("* * * * * * 0 0", "Every hour, on the hour"),
        ("* * * * * */2 0 0", "Every 2 hours from 00:00 to 22:00, every day"),
        ("* * * * mon-fri 9-17 */15 0", "Every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("* * * * 0 9 0 0", "At 09:00, on Monday"),
        ("* * * * 6 * 5 0", "At minute 5 of every hour, on Sunday"),
        ("* * last * * 3 0 0", "At 03:00, on the last day of every month"),
        # Both have to hold, unlike in Unix.
        ("* * 1-7 * mon 3 0 0", "At 03:00, on days 1 to 7 of every month, only if it is Monday"),
        ("* 1,7 31 * * 0 0 5", "At 00:00:05, on day 31 of January and July (where it has one)"),
        ("2027 * * 1 * 0 0 0", "At 00:00, in ISO week 1, in 2027"),
        ("*/2 * * * * * * */20", "Every 20 seconds, in every 2nd year from 1970 on"),
        # What is left open takes APScheduler's default: the start of the hour that is given.
        ("? ? ? ? ? 3 ? ?", "At 03:00, every day"),
        # APScheduler does not read the step after names.
        ("* jan-dec/2 * * * 5 0 0", "At 05:00, every day"),
    ],
)
def test_words(cron: str, words: str) -> None:
    assert in_words(cron) == words


@pytest.mark.parametrize("cron", ["* *", "* * * * * 25 0 0", "? ? ? ? ? ? ? ?", ""])
def test_what_cannot_be_read_is_refused_with_a_sentence(cron: str) -> None:
    with pytest.raises(ValueError, match="field"):
        in_words(cron)


def _ranges(name: str) -> st.SearchStrategy[str]:
    low, high = WHOLE[name][0], min(WHOLE[name][-1], 2100)
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted)
    step = st.integers(1, max(1, (high - low) // 2))
    return st.one_of(
        st.just("*"),
        number.map(str),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(span, st.integers(1, 5))
        .filter(lambda each: each[0][0] + each[1] <= each[0][1])
        .map(lambda each: f"{each[0][0]}-{each[0][1]}/{each[1]}"),
        step.map(lambda each: f"*/{each}"),
        st.lists(number, min_size=1, max_size=4).map(lambda each: ",".join(map(str, each))),
    )


_SPECIAL = {
    "month": st.sampled_from(["jan", "feb-apr", "dec,mar"]),
    "day": st.sampled_from(["last", "last,15", "31"]),
    "day_of_week": st.sampled_from(["mon-fri", "sat,sun", "wed"]),
}
_field = {name: _ranges(name) | _SPECIAL[name] if name in _SPECIAL else _ranges(name) for name in FIELDS}
_seldom = {name: st.one_of(st.just("*"), st.just("*"), _field[name]) for name in ("year", "month", "day", "week")}
crons = st.tuples(*((_field | _seldom)[name] for name in FIELDS)).map(" ".join)


@given(cron=crons)
def test_words_say_neither_more_nor_less_than_the_cron(cron: str) -> None:
    assert _read(in_words(cron)) == moments_of(cron)


@given(cron=crons, start=st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)))
def test_due_times_are_the_moments_of_the_words(cron: str, start: datetime) -> None:
    moments = _read(in_words(cron))
    begin = start.replace(tzinfo=UTC)

    times = list(islice(due_times(cron, "UTC", begin, until=begin + timedelta(days=800)), 20))

    assert all(_allows(moments, moment) for moment in times)
    # Nothing between them is left out, as far as a test can look.
    moment, found, looked = begin.replace(microsecond=0) + timedelta(seconds=1), list(times), 0
    while found and looked < 4000:
        if _allows(moments, moment):
            assert moment == found.pop(0)
        moment, looked = moment + timedelta(seconds=1), looked + 1


def test_the_next_times_are_in_the_zone_of_the_settings() -> None:
    after = datetime(2026, 10, 31, 10, tzinfo=UTC)

    times = next_times("* * * * * 1 30 0", "America/New_York", 3, after=after)

    assert [f"{at:%d %H:%M %z}" for at in times] == ["01 01:30 -0400", "01 01:30 -0500", "02 01:30 -0500"]


@pytest.mark.parametrize("cron", ["* 2 30 * * 0 0 0", "* 1 * 30 * 0 0 0", "2020 * * * * 0 0 0"])
def test_what_is_never_due_is_found_so_at_once(cron: str) -> None:
    begun = time.monotonic()

    assert next_times(cron, "Asia/Kolkata", 5) == []
    assert time.monotonic() - begun < 5


def _allows(moments: Moments, at: datetime) -> bool:
    is_last = (at + timedelta(days=1)).day == 1
    return (
        (at.day in moments.day or (moments.last_day and is_last))
        and at.isocalendar().week in moments.week
        and at.weekday() in moments.day_of_week
        and all(getattr(at, name) in getattr(moments, name) for name in ("year", "month", "hour", "minute", "second"))
    )


def _read(words: str) -> Moments:
    """Read the English back: each part is whole until a clause says otherwise."""
    found: dict[str, list[int]] = {name: list(values) for name, values in WHOLE.items()}
    last_day = "the last day" in words
    head, _, rest = words.partition(", on the hour")
    on_the_hour = head != words
    if not on_the_hour:
        head, rest = _split(words)
    _read_time(head, found, on_the_hour=on_the_hour)
    if last_day and not re.search(r"on (day|every)", rest):
        found["day"] = []
    _read_date(rest, found)
    return Moments(**{name: tuple(values) for name, values in found.items()}, last_day=last_day)


def _split(words: str) -> tuple[str, str]:
    """The time of day, and what follows."""
    starts = re.search(r", (?=every day|on |only|in |Monday|Tuesday|Wednesday|Thursday|Friday|Saturday)", words)
    return (words, "") if starts is None else (words[: starts.start()], words[starts.end() :])


def _read_time(head: str, found: dict[str, list[int]], *, on_the_hour: bool) -> None:
    clock = re.fullmatch(r"At (\d\d:\d\d(?::\d\d)?(?:, | and |\d|:)*)", head)
    if clock:
        times = [[int(part) for part in text.split(":")] for text in re.split(", | and ", clock[1])]
        for position, name in enumerate(("hour", "minute", "second")):
            found[name] = sorted({time[position] if position < len(time) else 0 for time in times})
        return
    hours = re.search(r" from (\d\d):00 to (\d\d):(\d\d)$", head)
    step = re.match(r"Every (\d+ )?hours?", head)
    if step or on_the_hour:
        found["minute"], found["second"] = [0], [0]
    if hours:
        distance = int(step[1] or 1) if step else 1
        found["hour"] = list(range(int(hours[1]), int(hours[2]) + 1, distance))
        head = head[: hours.start()]
    _read_hands(head.removesuffix(" of every hour"), found)


def _read_hands(head: str, found: dict[str, list[int]]) -> None:
    for name in ("second", "minute"):
        often = re.match(rf"Every (?:(\d+) )?{name}", head)
        if often:
            found[name] = list(range(0, 60, int(often[1] or 1)))
            if name == "minute":
                found["second"] = [0]
    if not re.search("second|[Ee]very (?:\\d+ )?hour", head):
        found["second"] = [0]
    for name in ("second", "minute", "hour"):
        listed = re.search(rf"(?:[Aa]t|in) ((?:every \d+\w\w )?{name}s? .*?)(?= of | in |$)", head)
        if listed:
            found[name] = _numbers(listed[1])


def _read_date(rest: str, found: dict[str, list[int]]) -> None:
    days = re.search(r"on ((?:every \d+\w\w )?days? .*?)(?= and on the last| of )", rest)
    if days:
        found["day"] = _numbers(days[1])
    for name, names, words in (("month", MONTHS, "of |in "), ("day_of_week", WEEKDAYS, "on |is |")):
        either = "|".join(names)
        listed = re.search(rf"(?:^|, | )(?:{words})((?:{either})(?:(?:, | and | or | to )(?:{either}))*)", rest)
        if listed:
            shift = 1 if name == "month" else 0
            chosen = [names.index(each) + shift for each in re.findall(either, listed[1])]
            found[name] = list(range(chosen[0], chosen[1] + 1)) if " to " in listed[1] else chosen
    week = re.search(r"in ((?:every \d+\w\w )?ISO weeks? .*?)(?=, in|$)", rest)
    if week:
        found["week"] = _numbers(week[1])
    if year := re.search(r"every (?:(\d+)\w\w )?year from (\d+) on", rest):
        found["year"] = list(range(int(year[2]), 10000, int(year[1] or 1)))
    elif year := re.search(r"in ((?:every \d+\w\w year from |years? )?\d{4}[^()]*)$", rest):
        found["year"] = _numbers(year[1])


def _numbers(text: str) -> list[int]:
    step = re.match(r"every (\d+)\w\w [a-zA-Z ]+ from (\d+) to (\d+)", text)
    if step:
        return list(range(int(step[2]), int(step[3]) + 1, int(step[1])))
    numbers: list[int] = []
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        numbers += range(int(first), int(last or first) + 1)
    return numbers
