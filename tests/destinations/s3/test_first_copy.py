"""The first copy of a table whose keys lie in random order: by key, so that nothing has to be looked for."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.destinations.s3 import lookup
from connectors.sources.pgsql import copying
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_mapping, make_table, run_once
from tests.databases import PgDatabase

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as a large one, of which others copy page after page."""
    monkeypatch.setattr(copying, "_PAGES_FROM_BYTES", 1)


def fill(source: PgDatabase) -> None:
    source.execute(
        "CREATE TABLE events (id uuid PRIMARY KEY, n int,"
        " updated_at timestamptz NOT NULL DEFAULT now() - interval '1 day');"
        "INSERT INTO events SELECT md5(n::text)::uuid, n FROM generate_series(1, 3000) n;"
        "ANALYZE events"
    )


@pytest.mark.usefixtures("large")
def test_random_keys_are_copied_in_their_order(
    pg_database: PgDatabase, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page after page, each chunk would hold keys of the whole range, and be compared with all parts before it."""
    looked_in: list[str] = []
    read_columns = lookup.read_columns

    def read(work: Any, part: Any, columns: Any) -> Any:
        looked_in.append(part.key)
        return read_columns(work, part, columns)

    monkeypatch.setattr(lookup, "read_columns", read)
    fill(pg_database)
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table("events", primary_key_datatype="uuid", batch_size=500))
    done = run_once(raw, chunk_bytes=20_000, commit_bytes=60_000)
    assert len(done.commits) > 3
    assert (done.inserted, done.updated, done.report.counts["chunks_written_again"]) == (3000, 0, 0)
    assert looked_in == []
    found = s3_bucket.query(f"sql/{pg_database.name}/events/", "SELECT count(*), count(DISTINCT id), sum(n) FROM parts")
    assert found == [(3000, 3000, 3000 * 3001 // 2)]


@pytest.mark.usefixtures("large")
def test_a_database_still_takes_them_page_after_page(two_databases: Databases) -> None:
    fill(two_databases[0])
    raw = make_mapping(*two_databases, make_table("events", primary_key_datatype="uuid"))
    done = run_once(raw, chunk_bytes=20_000, stop_after=1)
    assert "next_block" in done.commits[0].position
