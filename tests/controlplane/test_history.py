"""What a stream has done, read from its runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from controlplane.sandbox import MongoServer
from migrations_app import history
from migrations_app.models import Run, Stream
from tests.builders import make_mapping, make_table
from tests.controlplane.builders import make_run, make_stream
from tests.databases import PgDatabase
from tests.verbs import support
from tests.verbs.support import command, register


@pytest.mark.django_db
def test_last_runs_are_fifty_the_oldest_first() -> None:
    stream = make_stream()
    now = timezone.now()
    for n in range(60):
        begun = now - timedelta(hours=60 - n)
        make_run(
            stream,
            state="succeeded",
            created_at=begun,
            started_at=begun,
            finished_at=begun + timedelta(seconds=n),
            inserted=n,
            updated=1,
            deleted=2,
        )

    with CaptureQueriesContext(connection) as seen:
        found = history.last_runs(stream)

    assert len(seen) == 1
    assert [run.seconds for run in found] == [float(n) for n in range(10, 60)]
    assert found[-1].rows == 62


@pytest.mark.django_db
def test_run_that_goes_on_has_no_duration_yet() -> None:
    (run,) = history.last_runs(make_run().stream)

    assert run.seconds is None


@pytest.mark.django_db(transaction=True)
def test_changes_of_columns_are_found_as_runs_leave_them(
    two_databases: tuple[PgDatabase, PgDatabase], mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "STORE", mongo.url)
    source = two_databases[0]
    source.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL,"
        " updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 10) n"
    )
    register(make_mapping(*two_databases, make_table()))
    assert command("run_migration").code == 0
    stream = Stream.objects.get()
    assert history.schema_changes(stream) == []

    source.execute("ALTER TABLE orders ADD COLUMN city text")
    assert command("run_migration").code == 0
    source.execute("ALTER TABLE orders ADD COLUMN tax int NOT NULL DEFAULT 3; ALTER TABLE orders DROP COLUMN note")
    assert command("run_migration").code == 0
    assert command("run_migration").code == 0
    source.execute("ALTER TABLE orders ALTER COLUMN tax TYPE numeric(9, 2)")
    assert command("run_migration").code == 1

    found = history.schema_changes(stream)

    said = [change.words for change in found]
    assert found[0].is_refused
    assert 'the column "tax" is integer here' in said[0]
    assert sum("city" in words for words in said) == 1
    assert "note (arrives no more), tax (new)" in said
    assert sum("the source has no column note" in words for words in said) == 1
    assert Run.objects.count() == 5
