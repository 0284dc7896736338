"""The rules by which a stream or a mapping gets its word, from made-up facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations_app.standing.judging import ActiveRun, Facts, LastRun, Standing, Verdict, of_mapping, of_stream

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
EVERY_HOUR = "* * * * * * 0 0"


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def judged(**facts: Any) -> Verdict:
    return of_stream(Facts(**facts), NOW)


def succeeded(at: datetime) -> dict[str, Any]:
    return {"last_state": "succeeded", "last_finished_at": at, "last_success_at": at}


def running(**fields: Any) -> ActiveRun:
    return ActiveRun("running", ago(minutes=5), ago(minutes=4), **fields)


SCHEDULED = {"cron": EVERY_HOUR, "last_due_at": ago(minutes=30), "next_due_at": NOW + timedelta(minutes=30)}


@pytest.mark.parametrize(
    ("interval", "waited", "standing"),
    [
        (timedelta(minutes=1), timedelta(minutes=2), Standing.QUEUED),
        (timedelta(minutes=1), timedelta(minutes=4), Standing.LATE),
        (timedelta(hours=1), timedelta(minutes=5), Standing.QUEUED),
        (timedelta(hours=1), timedelta(minutes=7), Standing.LATE),
        (timedelta(days=1), timedelta(minutes=50), Standing.QUEUED),
        (timedelta(days=1), timedelta(minutes=61), Standing.LATE),
        (timedelta(days=365), timedelta(minutes=61), Standing.LATE),
    ],
)
def test_run_may_stand_in_line_as_long_as_its_schedule_bears(
    interval: timedelta, waited: timedelta, standing: Standing
) -> None:
    due = NOW - waited

    found = judged(active=ActiveRun("queued", due), cron=EVERY_HOUR, last_due_at=due, next_due_at=due + interval)

    assert found.standing is standing


@pytest.mark.parametrize(
    ("facts", "standing", "says"),
    [
        (SCHEDULED | succeeded(ago(minutes=29)), Standing.ON_TIME, "succeeded 29 min ago; it is due in 30 min"),
        (succeeded(ago(minutes=29)), Standing.ON_TIME, "no schedule of its own"),
        (SCHEDULED | succeeded(ago(hours=1)) | {"is_scheduling": False}, Standing.ON_TIME, "schedules are off"),
        ({}, Standing.NEVER_RUN, "has not run yet"),
        ({"active": running()}, Standing.RUNNING, "began 4 min ago"),
        ({"active": running(resumes=True)}, Standing.RUNNING, "goes on where the last one ended"),
        ({"active": running(stop_requested=True)}, Standing.RUNNING, "stops within seconds"),
        ({"active": running(), "last_skip_at": ago(minutes=1)}, Standing.RUNNING, "that time was skipped"),
        ({"active": running(), "failures_in_row": 3}, Standing.RUNNING, "3 runs failed in a row"),
        ({"active": running(lease_until=ago(minutes=4))}, Standing.LATE, "silent"),
        ({"active": ActiveRun("queued", ago(seconds=20))}, Standing.QUEUED, "waited for a worker for 20 s"),
        ({"active": ActiveRun("queued", ago(minutes=4))}, Standing.LATE, "waited for a worker for 4 min"),
        ({"is_part": False}, Standing.GONE, "history"),
        ({"is_enabled": False}, Standing.DISABLED, "mapping is disabled"),
        ({"is_paused": True} | succeeded(ago(hours=2)), Standing.PAUSED, "succeeded 2 h ago"),
        ({"is_paused": True, "active": running()}, Standing.RUNNING, "it is paused"),
        ({"is_enabled": False, "active": running()}, Standing.RUNNING, "its mapping is disabled"),
        (SCHEDULED | {"next_due_at": ago(minutes=10)}, Standing.LATE, "was due 10 min ago and nobody"),
        (SCHEDULED | succeeded(ago(hours=1)), Standing.LATE, "no run of it has ended since"),
        ({"cron": EVERY_HOUR, "schedule_problem": "no such day."}, Standing.LATE, "never due: no such day."),
    ],
)
def test_stream_has_a_word_and_its_reason(facts: dict[str, Any], standing: Standing, says: str) -> None:
    verdict = judged(**facts)

    assert (verdict.standing, says in verdict.reason) == (standing, True), verdict


def failed(**fields: Any) -> dict[str, Any]:
    return {"last_state": "failed", "last_finished_at": ago(minutes=3), "failures_in_row": 2} | fields


def test_failing_stream_says_how_often_why_and_since_when() -> None:
    last = LastRun("failed", "The source cannot be reached.", "See that it is up.", "host db, row 4711")

    verdict = judged(**failed(last=last, last_success_at=ago(hours=5)))

    assert verdict.standing is Standing.FAILING
    assert verdict.reason == (
        "2 runs failed in a row, the last 3 min ago. The source cannot be reached. It last succeeded 5 h ago."
    )
    assert verdict.remedy == "See that it is up."
    assert verdict.quote == "host db, row 4711"


def test_failing_stream_that_goes_on_by_itself_says_when() -> None:
    last = LastRun("lost", "its lease expired", resume_at=NOW + timedelta(seconds=40))

    verdict = judged(**failed(last_state="lost", last=last))

    assert (verdict.standing, verdict.remedy) == (Standing.FAILING, "It goes on by itself in 40 s.")


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (LastRun("stopped", "an operator stopped it", stop_reason="operator"), "Run it now to go on from there."),
        (LastRun("stopped", "the cut-off time", stop_reason="cut_off"), "when it is due next"),
        (LastRun("stopped", "drain", stop_reason="drain", resume_at=NOW), "within seconds, by a worker"),
    ],
)
def test_stopped_stream_says_whether_it_goes_on(last: LastRun, says: str) -> None:
    verdict = judged(**SCHEDULED, last_state="stopped", last_finished_at=ago(minutes=1), last=last)

    assert verdict.standing is Standing.STOPPED
    assert last.reason.lower() in verdict.reason.lower()
    assert says in verdict.remedy


def test_due_time_is_not_late_before_the_scheduler_had_its_chance() -> None:
    verdict = judged(**SCHEDULED | succeeded(ago(hours=1)) | {"next_due_at": ago(seconds=100), "last_due_at": None})

    assert verdict.standing is Standing.ON_TIME


def test_what_is_not_scheduled_names_the_button_that_changes_it() -> None:
    assert judged(is_enabled=False).remedy.startswith("Enable the mapping")
    assert judged(is_paused=True).remedy.startswith("Resume it")
    assert of_mapping([Standing.DISABLED], is_enabled=False).remedy.startswith("Enable it")
    assert of_mapping([Standing.PAUSED], is_enabled=True).remedy.startswith("Resume all")


def test_paused_stream_that_failed_does_not_call_for_anybody() -> None:
    assert not judged(**failed(is_paused=True)).standing.wants_attention


@pytest.mark.parametrize(
    ("standings", "word", "says"),
    [
        ([Standing.ON_TIME, Standing.FAILING, Standing.LATE], Standing.FAILING, "3 streams: 1 failing, 1 late, 1 on"),
        ([Standing.ON_TIME, Standing.RUNNING], Standing.RUNNING, "1 running, 1 on time"),
        ([Standing.ON_TIME, Standing.PAUSED, Standing.NEVER_RUN], Standing.ON_TIME, "1 paused"),
        ([Standing.PAUSED, Standing.PAUSED], Standing.PAUSED, "2 paused"),
        ([Standing.ON_TIME, Standing.GONE], Standing.ON_TIME, "Its stream: on time."),
        ([], Standing.NEVER_RUN, "no streams"),
    ],
)
def test_mapping_has_the_word_of_the_stream_that_needs_somebody(
    standings: list[Standing], word: Standing, says: str
) -> None:
    verdict = of_mapping(standings, is_enabled=True)

    assert (verdict.standing, says in verdict.reason) == (word, True), verdict
