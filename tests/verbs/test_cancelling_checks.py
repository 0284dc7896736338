"""Data checks are ended by whoever cancels them, and so are their statements at both ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db.models import Q

from connectors.comparison import ComparisonReport
from controlplane.sandbox import MongoServer
from migrations_app import plans
from migrations_app.models import DataCheck, Stream
from migrations_app.verbs import checking
from migrations_app.verbs.verify import verify
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.runner.plane import wait_until
from tests.verbs import support
from tests.verbs.support import command, register

Databases = tuple[PgDatabase, PgDatabase]

pytestmark = pytest.mark.django_db

#: Longer than any test may take, so that a statement which is left alone would be seen.
_NEVER_S = 600


@pytest.fixture
def hanging(two_databases: Databases, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    """Tables that are copied; reading `orders` takes for ever at both ends: there a sleep, here a lock."""
    monkeypatch.setattr(support, "STORE", mongo.url)
    source, destination = two_databases
    for name in ("orders", "items"):
        source.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, note text,"
            " updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
            f"INSERT INTO {name} SELECT n, 'row ' || n FROM generate_series(1, 20) n"
        )
    raw = make_mapping(*two_databases, make_table(), make_table("items"))
    for table in (0, 1):
        run_once(raw, table=table)
    register(raw)
    source.execute(
        "ALTER TABLE orders RENAME TO kept;"
        f"CREATE VIEW orders AS SELECT kept.* FROM kept, LATERAL (SELECT pg_sleep({_NEVER_S})) AS slow"
    )
    with closing(destination.connect()) as blocker:
        blocker.cursor().execute("LOCK TABLE arrived.orders IN ACCESS EXCLUSIVE MODE")
        yield two_databases


def busy(database: PgDatabase) -> int:
    """Statements of data checks that the server works on."""
    found = database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        " AND application_name LIKE 'dms-%' AND query NOT LIKE 'SELECT set_config%'"
    )
    return int(found)


def is_reading(databases: Databases, report: ComparisonReport) -> bool:
    """True while the statements that hash all rows run at both ends."""
    return report.work == "hashing" and all(busy(each) for each in databases)


@pytest.fixture
def when_it_reads(hanging: Databases, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something as soon as a data check reads at both ends, as another process would."""

    def do_then(act: Callable[[], object]) -> None:
        look = checking.Attendance.look
        done: list[object] = []

        def looking(self: checking.Attendance, report: ComparisonReport) -> str:
            if not done and is_reading(hanging, report):
                done.append(act())
                self._look_at = 0.0
            return look(self, report)

        monkeypatch.setattr(checking.Attendance, "look", looking)

    return do_then


def test_cancelled_check_ends_its_statements_at_both_ends(
    hanging: Databases, when_it_reads: Callable[[Callable[[], object]], None]
) -> None:
    stream = Stream.objects.get(name="orders")
    checking.ask(stream, "ann")
    seen: list[Any] = []

    def cancel() -> None:
        seen.append(DataCheck.objects.get().progress)
        checking.cancel(Q(pk=stream.pk), "bob")

    when_it_reads(cancel)
    began = time.monotonic()

    outcome = command("verify_migration", "--keep", "--table", "orders")

    check = DataCheck.objects.get()
    assert outcome.code == 4
    assert (check.verdict, check.result["error"]) == ("cancelled", "stopped before it was done: bob cancelled it")
    assert check.finished_at is not None
    assert check.heard_at is not None
    assert seen[0].get("work") in {"connecting", "cutting", "hashing"}
    for each in hanging:
        wait_until(lambda each=each: not busy(each), "the statements end")  # type: ignore[misc]
    assert time.monotonic() - began < _NEVER_S


def test_checks_that_wait_for_their_turn_are_cancelled_too(
    when_it_reads: Callable[[Callable[[], object]], None],
) -> None:
    for stream in Stream.objects.all():
        checking.ask(stream, "ann")
    when_it_reads(lambda: checking.cancel(Q(mapping="test"), "bob"))

    outcome = command("verify_migration", "--keep")

    assert outcome.code == 4
    assert set(DataCheck.objects.values_list("verdict", flat=True)) == {"cancelled"}
    waited = DataCheck.objects.get(stream__name="items")
    assert waited.result == {"error": "bob cancelled it before it began"}
    assert not any(checking.is_going_on(check) for check in DataCheck.objects.all())


def test_signal_ends_all_checks_of_a_process_and_says_so(
    when_it_reads: Callable[[Callable[[], object]], None],
) -> None:
    for stream in Stream.objects.all():
        checking.ask(stream, "ann")
    when_it_reads(lambda: os.kill(os.getpid(), signal.SIGTERM))

    outcome = command("verify_migration", "--keep")

    assert outcome.code == 4
    found = dict(DataCheck.objects.values_list("stream__name", "result__error"))
    why = "the process was asked to end by SIGTERM"
    assert found == {"orders": f"stopped before it was done: {why}", "items": f"not begun: {why}"}
    assert set(DataCheck.objects.values_list("verdict", flat=True)) == {"unknown"}


def test_check_that_was_cancelled_before_its_process_came_up_reads_nothing(hanging: Databases) -> None:
    stream = Stream.objects.get(name="orders")
    checking.ask(stream, "ann")
    assert checking.cancel(Q(pk=stream.pk), "bob") == 1

    assert command("verify_migration", "--keep", "--table", "orders").code == 4

    assert DataCheck.objects.get().verdict == "cancelled"
    assert not busy(hanging[0])


def test_what_has_ended_cannot_be_cancelled(hanging: Databases) -> None:
    stream = Stream.objects.get(name="items")
    checking.ask(stream, "ann")
    assert command("verify_migration", "--keep", "--table", "items").code == 0

    with pytest.raises(checking.NothingToCancelError):
        checking.cancel(Q(pk=stream.pk), "bob")
    assert DataCheck.objects.get().verdict == "equal"


def test_comparison_that_ends_in_spite_of_a_stop_has_its_result(hanging: Databases) -> None:
    (plan,) = plans.build("test", table="items", destination=None)

    found = verify(plan, look=lambda report: "somebody asked" if len(report.hashed) == 2 else "")

    assert found.verdict == "equal"
    assert not found.is_stopped
