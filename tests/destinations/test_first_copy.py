"""The first copy: straight into the destination's own new table, each chunk with its position."""

from __future__ import annotations

from connectors.base import Commit, CopyFormat, Write
from tests.databases import PgDatabase
from tests.destinations.support import bench


def test_chunks_and_their_positions_arrive(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        prepared = one.start()
        assert one.resume.epoch == 1
        assert one.resume.position is None
        assert prepared.is_fresh
        first = one.write("SELECT g, 'n' || g FROM generate_series(1, 3) g", position={"cursor": ["3"]})
        assert first == Commit({"cursor": ["3"]}, read=3, inserted=3, byte_count=first.byte_count)
        assert first.byte_count > 0
        one.write("SELECT 4, NULL", position={"cursor": ["4"]})
        one.destination.finish()
        assert one.content() == [(1, "n1"), (2, "n2"), (3, "n3"), (4, None)]
    with bench(pg_database) as two:
        assert not two.start(epoch_floor=7).is_fresh
        assert two.resume.epoch == 8
        assert two.resume.position == {"cursor": ["4"]}


def test_rows_that_are_there_after_all_are_updated(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'old'")
        commit = one.write("SELECT g, 'new' FROM generate_series(1, 2) g", position={"n": 2})
        assert (commit.read, commit.inserted, commit.updated) == (2, 1, 1)
        assert one.content() == [(1, "new"), (2, "new")]
        assert one.state("position") == ({"n": 2},)


def test_one_server_version_copies_binary(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        chunk = one.chunk("SELECT 1::bigint, 'a'::text")
        list(one.destination.write([chunk]))
        assert chunk.rows.formats == [CopyFormat.BINARY]  # type: ignore[attr-defined]
        assert one.write("SELECT 1::bigint, 'b'::text", Write.UPSERT).updated == 1
