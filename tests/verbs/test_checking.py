"""Data checks in a process of their own: asked for, made, kept, and given up when their process is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.sandbox import MongoServer
from migrations_app import starting
from migrations_app.models import DataCheck, Stream
from migrations_app.owner import this_process
from migrations_app.verbs import checking
from tests.builders import make_mapping, make_table, run_once
from tests.controlplane.builders import make_stream
from tests.databases import PgDatabase
from tests.verbs import support
from tests.verbs.support import command, register

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def copied(two_databases: Databases, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """A table that is copied, with one row that has changed since."""
    monkeypatch.setattr(support, "STORE", mongo.url)
    two_databases[0].execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 100) n"
    )
    raw = make_mapping(*two_databases, make_table())
    run_once(raw)
    two_databases[0].execute("UPDATE orders SET note = 'changed' WHERE id = 42")
    register(raw)
    return two_databases


@pytest.mark.django_db
def test_result_of_a_check_is_kept(copied: Databases) -> None:
    stream = Stream.objects.get()
    checking.ask(stream, "somebody")
    assert checking.is_going_on(DataCheck.objects.get())

    outcome = command("verify_migration", "--keep")

    check = DataCheck.objects.get()
    assert outcome.code == 5
    assert "42" not in outcome.out, "the log of a detached process holds a key"
    assert (check.verdict, check.requested_by) == ("different", "somebody")
    assert check.result["differing_keys"] == [{"key": ["42"], "difference": "different"}]
    assert not checking.is_going_on(check)


@pytest.mark.django_db
def test_check_that_nobody_asked_for_is_kept_too(copied: Databases) -> None:
    assert command("verify_migration", "--keep", "--table", "orders").code == 5

    assert DataCheck.objects.get().verdict == "different"


@pytest.mark.django_db
def test_check_that_cannot_be_made_says_why(copied: Databases) -> None:
    stream = Stream.objects.get()
    checking.ask(stream, "somebody")
    stream.mapping.tables.all().delete()

    assert command("verify_migration", "--keep").code != 0

    check = DataCheck.objects.get()
    assert check.verdict == "unknown"
    assert check.result["error"]


@pytest.mark.django_db
def test_two_checks_of_one_stream_do_not_go_on_at_a_time() -> None:
    stream = make_stream()
    checking.ask(stream, "one")

    with pytest.raises(checking.CheckGoesOnError, match="wait for its result"):
        checking.ask(stream, "two")


@pytest.mark.django_db
def test_check_whose_process_is_gone_is_given_up() -> None:
    check = checking.ask(make_stream(), "one")
    assert checking.why_none(check, timezone.now() + timedelta(minutes=3)).startswith("its process did not come up")
    me = this_process()
    check.owner_host, check.owner_boot_id, check.owner_pid, check.owner_started = me.host, me.boot_id, me.pid, "0"

    assert checking.why_none(check).startswith("its process ended without a result")
    check.owner_started = me.started
    assert checking.why_none(check) == ""


@pytest.mark.django_db
def test_check_of_another_host_is_given_up_when_nothing_is_heard_of_it() -> None:
    check = checking.ask(make_stream(), "one")
    check.owner_host, check.owner_pid, check.owner_started = "elsewhere", 5, "1"
    check.heard_at = now = timezone.now()

    assert checking.why_none(check, now + timedelta(minutes=2)) == ""
    silent = checking.why_none(check, now + timedelta(minutes=5))
    assert silent.startswith("its process on elsewhere has not been heard of for 5 minutes; see runs/shop.log")
    check.heard_at = now + timedelta(days=3)
    assert checking.why_none(check, check.heard_at) == "", "one that gives signs of life may take days"


@pytest.mark.django_db
def test_new_check_takes_the_place_of_the_last_one() -> None:
    stream = make_stream()
    checking.ask(stream, "one")
    DataCheck.objects.update(
        finished_at=timezone.now(),
        verdict="cancelled",
        result={"verdict": "equal"},
        progress={"work": "hashing"},
        stop_requested=True,
        owner_pid=5,
    )

    check = checking.ask(stream, "two")

    assert (check.verdict, check.result, check.owner_pid, check.finished_at) == ("", {}, None, None)
    assert (check.progress, check.stop_requested, check.heard_at) == ({}, False, None)


@pytest.mark.django_db
def test_check_is_started_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(starting, "_start_process", lambda *args, **options: seen.append((*args, options)))

    starting.start_check(make_stream(), requested_by="somebody")

    assert seen == [("shop", ["--table=orders", "--destination=warehouse", "--keep"], {"command": "verify_migration"})]
