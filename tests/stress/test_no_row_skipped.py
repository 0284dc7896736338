"""No row is skipped, stale or doubled while twelve writers hold transactions open and are frozen at random.

The same load with the bounds that look right, the clock and the highest key, loses rows: that shows what the test sees.
"""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sources.pgsql.position import Candidate
from connectors.sources.pgsql.watermark import Clock, WatermarkReader
from connectors.sources.pgsql.writers import Writers
from tests.databases import PgDatabase
from tests.stress.load import TABLES, Difference, compare, create_tables, run_all, writers_at_work
from tests.stress.writer import GROWING, UPDATED

Databases = tuple[PgDatabase, PgDatabase]
NOTHING = Difference(0, 0, 0, 0)


def run_under_load(
    databases: Databases, rounds: int, tables: tuple[str, ...] = TABLES, **options: Any
) -> dict[str, Difference]:
    """Runs of the tables' modes while the writers work, two more when they have finished, and what differs then."""
    source, destination = databases
    create_tables(source)
    with writers_at_work(source):
        for _ in range(rounds):
            run_all(source, destination, tables, **options)
    for _ in range(2):
        run_all(source, destination, tables, **options)
    return {table: compare(source, destination, table) for table in tables}


def now_as_watermark(reader: WatermarkReader) -> Clock:
    now, text = reader._session.rows("SELECT now(), now()::text")[0]
    return Clock(now, text)


def highest_key_as_candidate(writers: Writers, column: str) -> Candidate | None:
    highest = writers.highest_key(column)
    return None if highest is None else Candidate(key=highest, boot=writers._boot(), holders=())


@pytest.mark.slow
def test_nothing_is_lost_without_a_clock_margin(two_databases: Databases) -> None:
    assert run_under_load(two_databases, 6) == dict.fromkeys(TABLES, NOTHING)


@pytest.mark.slow
def test_nothing_is_lost_with_the_default_margin(two_databases: Databases) -> None:
    assert run_under_load(two_databases, 4, clock_margin_s=60.0) == dict.fromkeys(TABLES, NOTHING)


@pytest.mark.slow
def test_the_clock_as_watermark_would_lose_updates(two_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatermarkReader, "read", now_as_watermark)
    found = run_under_load(two_databases, 12, (UPDATED,))
    assert found[UPDATED].stale > 0


@pytest.mark.slow
def test_the_highest_key_as_bound_would_lose_rows(two_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writers, "candidate", highest_key_as_candidate)
    found = run_under_load(two_databases, 12, (GROWING,))
    assert found[GROWING].skipped > 0


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_nothing_is_lost_of_a_million_rows(two_databases: Databases) -> None:
    source, destination = two_databases
    create_tables(source)
    with writers_at_work(source, rows=1000, hold_s=1.0):
        # Of the two tables from which nothing is deleted.
        while sum(source.value(f"SELECT count(*) FROM {table}") for table in (GROWING, UPDATED)) < 1_000_000:
            run_all(source, destination, clock_margin_s=0.0, chunk_bytes=4_000_000)
    for _ in range(2):
        run_all(source, destination, clock_margin_s=0.0, chunk_bytes=4_000_000)
    assert {table: compare(source, destination, table) for table in TABLES} == dict.fromkeys(TABLES, NOTHING)
