"""What is due runs once; what changes in a mapping or the settings counts at the next pass."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from migrations_app.enums import RunState
from migrations_app.models import Mapping, Run, ServiceSettings, Stream, StreamSchedule, TableSpec
from migrations_app.scheduling.due import start_due
from migrations_app.scheduling.following import follow
from tests.scheduling.builders import HOURLY, at, many_streams, only_schedule, scheduled, turn_on

pytestmark = pytest.mark.django_db

#: Settings, differences; is anything due, due rows, busy streams, runs (SQLite takes 28 of them at a time), which of
#: them are new, next times, savepoints.
_MOST_QUERIES = 11


def _finish_runs() -> None:
    Run.objects.update(state=RunState.SUCCEEDED)


def test_due_stream_gets_one_run_and_its_next_time() -> None:
    turn_on()
    scheduled()
    assert follow(at("10:20")) == 1

    assert start_due(at("10:59:59")) == 0
    assert start_due(at("11:00:00.4")) == 1
    assert start_due(at("11:00:00.9")) == 0

    run = Run.objects.get()
    assert (run.state, run.trigger, run.due_at) == ("queued", "schedule", at("11:00"))
    schedule = only_schedule()
    assert (schedule.next_due_at, schedule.last_due_at) == (at("12:00"), at("11:00"))
    assert (schedule.skips, schedule.misfires) == (0, 0)


def test_nothing_is_scheduled_while_the_service_is_off() -> None:
    scheduled()
    assert follow(at("10:20")) == 0
    assert start_due(at("11:00")) == 0
    assert not StreamSchedule.objects.exists()


def test_times_that_passed_while_it_was_off_are_not_made_up_for() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))
    ServiceSettings.objects.update(fastapi_server=False)
    assert follow(at("10:30")) == 1
    assert start_due(at("12:10")) == 0
    turn_on()

    follow(at("12:20"))

    assert start_due(at("12:20")) == 0
    assert only_schedule().next_due_at == at("13:00")


def test_host_that_was_down_makes_up_by_one_run() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))

    assert start_due(at("17:30")) == 1

    assert Run.objects.get().due_at == at("11:00")
    schedule = only_schedule()
    assert (schedule.next_due_at, schedule.misfires, schedule.last_misfire_at) == (at("18:00"), 1, at("11:00"))


def test_stream_that_still_runs_is_skipped_and_says_so() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))
    assert start_due(at("11:00")) == 1

    assert start_due(at("12:00")) == 0

    schedule = only_schedule()
    assert (schedule.skips, schedule.last_skip_at, schedule.next_due_at) == (1, at("12:00"), at("13:00"))
    _finish_runs()
    assert start_due(at("13:00")) == 1


def test_streams_of_a_mapping_that_are_due_together_have_one_trigger() -> None:
    turn_on()
    scheduled(tables=3)
    scheduled(mapping_id="other")
    follow(at("10:20"))

    assert start_due(at("11:00")) == 4

    assert Run.objects.values("trigger_id").distinct().count() == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: TableSpec.objects.update(cron="* * * * * * 30 0"), at("10:30")),
        (lambda: turn_on("Asia/Kolkata"), at("10:30")),
        (lambda: TableSpec.objects.update(cron="self-managed"), None),
        (lambda: Stream.objects.update(paused=True), None),
        (lambda: Stream.objects.update(active=False), None),
        (lambda: Mapping.objects.update(enabled=False), None),
        (lambda: ServiceSettings.objects.update(fastapi_server=False), None),
        (lambda: TableSpec.objects.all().delete(), None),
        (lambda: TableSpec.objects.update(cron="nonsense"), None),
    ],
    ids=["cron", "timezone", "self-managed", "paused", "inactive", "disabled", "off", "spec gone", "damaged"],
)
def test_change_counts_at_once(change: object, expected: object) -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))
    assert only_schedule().next_due_at == at("11:00")
    assert callable(change)

    change()

    assert follow(at("10:21")) == 1
    assert only_schedule().next_due_at == expected
    assert follow(at("10:22")) == 0


def test_deleted_mapping_takes_its_schedules_along() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))
    Mapping.objects.all().delete()

    assert follow(at("10:21")) == 0
    assert start_due(at("12:00")) == 0


def test_stream_that_was_paused_goes_on_with_the_next_time() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))
    Stream.objects.update(paused=True)
    follow(at("10:21"))
    Stream.objects.update(paused=False)

    follow(at("14:10"))

    assert start_due(at("14:10")) == 0
    assert only_schedule().next_due_at == at("15:00")


def test_damaged_cron_holds_nobody_up() -> None:
    turn_on()
    scheduled(tables=2)
    TableSpec.objects.filter(table_name="orders").update(cron="* * * * * 77 0 0")
    follow(at("10:20"))

    assert start_due(at("11:00")) == 1

    problem = StreamSchedule.objects.get(stream__name="orders").problem
    assert "hour" in problem
    assert "correct it in the mapping" in problem


def test_tables_behind_a_star_follow_its_cron() -> None:
    turn_on()
    mapping = scheduled()
    TableSpec.objects.update(table_name="*")
    Stream.objects.create(unique_id="a", mapping=mapping, noun="table", name="found", destination_name="warehouse")
    Stream.objects.filter(name="orders").update(active=False)

    follow(at("10:20"))

    assert start_due(at("11:00")) == 1
    assert Run.objects.get().stream.name == "found"


@pytest.mark.parametrize(("streams", "crons", "due"), [(5, 1, 5), (1000, 20, 50)], ids=["few", "many"])
def test_pass_takes_less_than_a_second_and_a_fixed_number_of_queries(streams: int, crons: int, due: int) -> None:
    turn_on()
    many_streams(streams, [HOURLY, *["* * * * * 23 0 0"] * (crons - 1)])
    follow(at("10:20"))
    # Its own time: whatever else goes on on the machine is not its business.
    began = time.process_time()

    with CaptureQueriesContext(connection) as queries:
        follow(at("11:00"))
        started = start_due(at("11:00"))

    assert time.process_time() - began < 1.0
    assert started == due
    assert len(queries) <= _MOST_QUERIES


def test_list_of_what_is_coming() -> None:
    turn_on("Asia/Kolkata")
    scheduled(tables=2)
    TableSpec.objects.filter(table_name="orders").update(cron="self-managed")

    out = StringIO()
    call_command("schedule", "--next", "3", stdout=out)

    (heading, row) = out.getvalue().strip().splitlines()
    assert "next (Asia/Kolkata)" in heading
    assert row.startswith("shop_DMS_orders1_warehouse")
    assert row.count(":00:00") == 3


def test_list_as_a_document_and_when_nothing_is_scheduled() -> None:
    scheduled()
    out = StringIO()
    call_command("schedule", "shop", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert document["is_on"] is False
    assert len(document["streams"][0]["next"]) == 1

    out = StringIO()
    call_command("schedule", stdout=out)
    assert "`fastapi_server` is off" in out.getvalue()


def test_pass_that_comes_late_by_less_than_a_period_is_no_misfire() -> None:
    turn_on()
    scheduled()
    follow(at("10:20"))

    assert start_due(at("11:00") + timedelta(minutes=59)) == 1

    assert only_schedule().misfires == 0
