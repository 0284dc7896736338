"""First copies and dumps: rows go straight into new parts where no key can be there, and are compared elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from connectors.base import Chunk, Write
from connectors.errors import ConfigError, SourceUnavailable
from tests.destinations.s3.rows.tables import SMALL, ArrowRows, Table, schema_of
from tests.destinations.s3.rows.test_upsert import numbered

T0 = dt.datetime(2024, 1, 5, 12, 0, 0, 123456)
SNAPSHOT = "migration_snapshot_date"
DUMP = schema_of({"id": "bigint", "name": "text", SNAPSHOT: "timestamp without time zone"}, key=())


def dump_rows(count: int, at: dt.datetime = T0) -> list[tuple[int, str, dt.datetime]]:
    """The rows of one snapshot."""
    return [(n, f"row {n}", at) for n in range(count)]


def test_copy_makes_parts_of_a_limited_size(table: Table) -> None:
    table.sizes = SMALL
    done = table.copy(numbered(2500))
    assert done.prepared.is_fresh
    assert [part.rows for part in table.manifest().parts] == [1000, 1000, 500]
    assert [(part.key_min, part.key_max) for part in table.manifest().parts] == [
        ("0", "999"),
        ("1000", "1999"),
        ("2000", "2499"),
    ]
    assert table.content() == numbered(2500)
    assert not table.manifest().first_copy


def test_chunks_with_ranges_of_their_own_are_read_once(table: Table) -> None:
    chunks = [table.chunk(numbered(100, n), Write.APPEND, {"n": n}) for n in (0, 100, 200)]
    done = table.run(*chunks)
    assert [chunk.rows.times_read for chunk in chunks if isinstance(chunk.rows, ArrowRows)] == [1, 1, 1]
    assert (done.inserted, len(table.parts)) == (300, 1)
    assert done.report.counts["chunks_written_again"] == 0


def test_chunks_whose_ranges_meet_are_compared(table: Table) -> None:
    """A copy by pages brings a row twice that an update has moved; the later one counts."""
    first = table.chunk([*numbered(50), (70, "older")], Write.APPEND, {"n": 1})
    second = table.chunk([(60, "x"), (70, "newer")], Write.APPEND, {"n": 2})
    third = table.chunk([(0, "newer"), (55, "y")], Write.APPEND, {"n": 3})
    done = table.run(first, second, third)
    rows = dict(numbered(50)) | {0: "newer", 55: "y", 60: "x", 70: "newer"}
    assert table.content() == sorted(rows.items())
    assert done.report.counts["chunks_written_again"] == 2
    assert isinstance(third.rows, ArrowRows)
    assert third.rows.times_read == 1
    assert done.commits[-1].position == {"n": 3}


def test_chunk_that_is_there_already_is_not_doubled(table: Table) -> None:
    table.copy(numbered(10), finish=False)
    done = table.copy(numbered(12))
    assert done.prepared.is_fresh
    assert (done.inserted, done.updated) == (2, 0)
    assert table.content() == numbered(12)


def test_copy_into_parts_of_an_earlier_one_compares(table: Table) -> None:
    table.copy(numbered(10))
    with table.opened() as (destination, _, _):
        destination.reset_state(None)
    done = table.copy([(3, "changed"), (20, "new")])
    assert not done.prepared.is_fresh
    assert (done.inserted, done.updated) == (1, 1)
    assert len(table.content()) == 11


def test_copy_of_an_empty_table(table: Table) -> None:
    done = table.copy([])
    assert (done.inserted, done.commits[0].position) == (0, {"n": 1})
    assert table.parts == {}
    table.upsert([(1, "first")])
    assert table.content() == [(1, "first")]


def test_source_that_dies_in_a_chunk_leaves_the_commits_before(table: Table) -> None:
    class Dying(ArrowRows):
        def batches(self, timezone: str) -> Iterator[object]:
            yield from super().batches(timezone)
            message = "gone"
            raise SourceUnavailable(message, connector="test", stream="s")

    rows = table.rows(*numbered(10, 100))
    dying = Chunk(Write.APPEND, Dying(rows.columns, list(rows.batches("UTC"))), {"n": 2}, is_first_copy=True)
    with table.opened() as (destination, _, _), pytest.raises(SourceUnavailable):
        list(destination.write([table.chunk(numbered(3)), dying]))
    # The group of the second chunk was another one, so the first was committed before it began.
    assert table.content() == numbered(3)
    assert table.manifest().position == {"n": 1}


def test_dump_adds_a_snapshot_and_leaves_earlier_ones_alone(table: Table) -> None:
    table.spec, table.schema, table.sizes = {"mode": "dumping"}, DUMP, SMALL
    table.copy(dump_rows(1500))
    before = table.parts
    later = T0 + dt.timedelta(hours=1)
    table.copy(dump_rows(700, later))
    assert before.items() <= table.parts.items()
    assert [(part.snapshot, part.rows) for part in table.manifest().parts] == [
        ("2024-01-05T12:00:00.123456", 1000),
        ("2024-01-05T12:00:00.123456", 500),
        ("2024-01-05T13:00:00.123456", 700),
    ]
    assert len(table.content()) == 2200


def test_dump_is_there_as_a_whole_or_not_at_all(table: Table) -> None:
    table.spec, table.schema, table.sizes = {"mode": "dumping"}, DUMP, SMALL
    table.copy(dump_rows(3))

    def chunks() -> Iterator[Chunk]:
        yield table.chunk(dump_rows(5000, T0 + dt.timedelta(hours=1)), Write.APPEND)
        message = "gone"
        raise SourceUnavailable(message, connector="test", stream="s")

    with table.opened() as (destination, _, _), pytest.raises(SourceUnavailable):
        list(destination.write(chunks()))
    assert table.content() == dump_rows(3)


def test_mirroring_is_refused_with_the_way_out(table: Table) -> None:
    table.spec = {"mode": "mirroring"}
    with pytest.raises(ConfigError, match="use mode syncing"):
        table.destination()
