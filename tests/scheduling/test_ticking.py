"""The tick: takes over, hands on what would hold it up, and survives what goes wrong in one of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from controlplane.sandbox import PostgresServer
from migrations_app import mapping_io, settings_io, supervisor, ticking
from migrations_app.models import Heartbeat, Mapping, OutboxEntry, Run, Stream
from migrations_app.scheduling import due, expanding
from migrations_app.scheduling.following import follow
from tests.builders import make_mapping, make_table
from tests.controlplane.builders import raw_settings
from tests.databases import PgDatabase, new_database
from tests.scheduling.builders import scheduled, turn_on

pytestmark = pytest.mark.django_db


def test_tick_starts_what_is_due_and_says_that_it_lives() -> None:
    turn_on()
    scheduled("* * * * * * * *")
    follow(timezone.now() - timedelta(seconds=5))
    began = timezone.now()

    assert "no other tick" in ticking.serve(longest_s=0.1)

    assert Run.objects.get().state == "queued"
    assert Heartbeat.objects.get(name="tick").at >= began - timedelta(milliseconds=1)


def test_tick_ends_when_another_has_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_over(_: float) -> None:
        Heartbeat.objects.filter(name="tick").update(holder="another")

    monkeypatch.setattr("migrations_app.ticking.time.sleep", take_over)

    assert ticking.serve(longest_s=20) == "another tick has taken over"
    assert Heartbeat.objects.get(name="tick").holder == "another"


def test_worker_that_ends_takes_its_tick_along(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DMS_HOST = "here"
    monkeypatch.setattr("migrations_app.ticking.time.sleep", lambda _: ticking.abdicate("here"))

    assert ticking.serve(longest_s=20) == "another tick has taken over"
    assert timezone.now() - Heartbeat.objects.get(name="tick").at > timedelta(minutes=3)


def test_step_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    turn_on()
    scheduled("* * * * * * * *")
    follow(timezone.now() - timedelta(seconds=5))

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ticking, "follow", fail)
    monkeypatch.setattr("migrations_app.recovery.reap", fail)

    ticking.serve(longest_s=0.1)

    assert Run.objects.count() == 1
    assert "a step failed" in caplog.text


def test_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def away() -> None:
        calls.append(1)
        raise OperationalError

    monkeypatch.setattr(ticking, "start_due", away)

    ticking.serve(longest_s=0.8)

    assert len(calls) == 2
    assert "control database: OperationalError" in caplog.text
    assert "Traceback" not in caplog.text


def _tokens(function: str) -> int:
    return sum(task.func() == f"migrations_app.tasks.{function}" for task in OrmQ.objects.all())


def test_delivery_is_handed_on_once_at_a_time() -> None:
    for _ in range(2):
        ticking.serve(longest_s=0.1)
    assert _tokens("deliver") == 0
    OutboxEntry.objects.create(kind="run", key="x", payload={}, sequence=1)

    for _ in range(2):
        ticking.serve(longest_s=0.1)
    assert _tokens("deliver") == 1
    ticking.delivered()
    ticking.serve(longest_s=0.1)

    assert _tokens("deliver") == 2


def test_one_schedule_of_django_q2_sends_ticks() -> None:
    for _ in range(2):
        supervisor.ensure_schedule()

    schedule = Schedule.objects.get()
    assert (schedule.func, schedule.minutes, schedule.cluster) == ("migrations_app.tasks.tick", 1, None)


@pytest.fixture
def source(postgres: PostgresServer) -> Iterator[PgDatabase]:
    with new_database(postgres, "source") as database:
        yield database


def _star(source: PgDatabase) -> Mapping:
    raw = make_mapping(source, source, make_table("*", cron="* * * * * * 0 0"))
    return mapping_io.save_mapping("star", mapping_io.parse(raw))


def test_tables_behind_a_star_come_and_go(source: PgDatabase) -> None:
    store = {"url": "mongodb://store.example", "db_name": "d", "collection_name": "c"}
    settings_io.save_settings(
        settings_io.parse_settings(raw_settings(dashboard_store=store, fastapi_server=True, timezone="UTC"))
    )
    for name in ("a", "b"):
        source.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, updated_at timestamp)")
    _star(source)

    assert expanding.take_due_expansions() == ["star"]
    assert expanding.take_due_expansions() == []
    expanding.expand("star")
    assert sorted(Stream.objects.filter(active=True).values_list("name", flat=True)) == ["a", "b"]
    source.execute("DROP TABLE b; CREATE TABLE c (id bigint PRIMARY KEY, updated_at timestamp)")
    assert expanding.take_due_expansions(timezone.now() + timedelta(minutes=6)) == ["star"]
    expanding.expand("star")

    assert sorted(Stream.objects.filter(active=True).values_list("name", flat=True)) == ["a", "c"]
    follow()
    assert due.start_due(timezone.now() + timedelta(hours=1)) == 2


def test_destination_without_its_variable_keeps_no_table_from_another(
    source: PgDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    store = {"url": "mongodb://store.example", "db_name": "d", "collection_name": "c"}
    settings_io.save_settings(
        settings_io.parse_settings(raw_settings(dashboard_store=store, fastapi_server=True, timezone="UTC"))
    )
    source.execute("CREATE TABLE a (id bigint PRIMARY KEY, updated_at timestamp)")
    raw = make_mapping(source, source, make_table("*", cron="* * * * * * 0 0"))
    other = {"schema": "other", "password": "env:DEST_NEVER_SET"}
    raw["destination"]["broken"] = raw["destination"]["dest"] | other
    mapping_io.save_mapping("star", mapping_io.parse(raw))

    expanding.expand("star")

    assert list(Stream.objects.filter(active=True).values_list("destination_name", flat=True)) == ["dest"]
    assert "broken" in caplog.text
    assert "DEST_NEVER_SET" in caplog.text


def test_source_that_cannot_be_asked_changes_nothing(source: PgDatabase, caplog: pytest.LogCaptureFixture) -> None:
    mapping = _star(source)
    Stream.objects.create(unique_id="x", mapping=mapping, noun="table", name="a", destination_name="dest")

    expanding.expand("star")

    assert Stream.objects.get().active
    assert "tables of a mapping not looked up" in caplog.text
