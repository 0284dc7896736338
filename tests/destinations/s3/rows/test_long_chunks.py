"""A chunk without end, such as all new rows of a table: some of it is committed before all of it is read."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.base import Chunk, Write
from connectors.errors import SourceError, SourceUnavailable
from connectors.faults import FaultPoint
from tests.destinations.s3.mortal import KILLED
from tests.destinations.s3.rows.long_chunk import ROWS, SIZES
from tests.destinations.s3.rows.tables import ORDERS, ArrowRows, Table
from tests.destinations.s3.rows.test_upsert import numbered


class Dying(ArrowRows):
    """Rows whose source goes away before it has sent all of them."""

    def batches(self, timezone: str) -> Iterator[object]:
        yield from super().batches(timezone)
        message = "gone"
        raise SourceUnavailable(message, connector="test", stream="s")


def dying(table: Table, count: int, write: Write) -> Chunk:
    """A chunk of which so many rows come."""
    rows = table.rows(*numbered(count, word="sent"))
    return Chunk(write, Dying(rows.columns, list(rows.batches("UTC"))), {"n": 9})


@pytest.mark.parametrize("write", [Write.UPSERT, Write.INSERT])
def test_rows_are_committed_before_their_chunk_has_ended(table: Table, write: Write) -> None:
    table.copy(numbered(10))
    table.sizes = SIZES
    with table.opened() as (destination, _, _), pytest.raises(SourceUnavailable):
        list(destination.write([table.chunk([(5, "row 5")], write, {"n": 2}), dying(table, 2000, write)]))
    # Sets of 1,000 rows, as a batch of 500 is the least that comes; the last had not begun.
    there = dict(numbered(1000, word="sent")) | (dict(numbered(10)) if write is Write.INSERT else {})
    assert table.content() == sorted(there.items())
    # Of the chunk that was whole: what came after it is read again.
    assert table.manifest().position == {"n": 2}
    done = table.run(table.chunk(numbered(2500, word="sent"), write, {"n": 3}))
    assert [commit.position for commit in done.commits] == [{"n": 3}]
    assert (done.inserted, done.updated, done.commits[0].read) == (1500, 0, 2500)
    assert table.content() == sorted((dict(numbered(2500, word="sent")) | there).items())


def test_without_any_position_the_table_is_copied_anew(table: Table) -> None:
    table.sizes = SIZES
    with table.opened() as (destination, _, _), pytest.raises(SourceUnavailable):
        list(destination.write([dying(table, 2000, Write.UPSERT)]))
    assert (table.manifest().position, table.manifest().row_count) == (None, 1000)
    with table.opened() as (_, prepared, _):
        assert not prepared.is_fresh
    done = table.copy(numbered(1500))
    assert (done.inserted, done.updated) == (500, 1000)
    assert table.content() == numbered(1500)
    assert table.manifest().position == {"n": 1}


def test_wide_rows_of_one_chunk_are_committed_by_their_bytes(table: Table) -> None:
    table.copy(numbered(10))
    before = table.manifest().sequence
    table.options = replace(table.options, commit_bytes=20_000)
    done = table.upsert(numbered(3000))
    assert table.manifest().sequence > before + 2
    assert (done.inserted, done.updated, len(done.commits)) == (2990, 0, 1)
    assert done.commits[0].byte_count > 3000 * 8
    assert table.content() == numbered(3000)


def test_a_key_that_nobody_guards_is_not_doubled_by_it(table: Table) -> None:
    table.schema = dataclasses.replace(ORDERS, key_is_unique=False)
    table.copy(numbered(10))
    table.sizes = SIZES
    with pytest.raises(SourceError, match=r"1 keys \(id\) stand in more than one row"):
        table.upsert([*numbered(2000, 100), (100, "again")])
    assert table.content() == numbered(10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [FaultPoint.BEFORE_DEST_COMMIT, FaultPoint.DURING_PUBLISH, FaultPoint.AFTER_PUBLISH], ids=str
)
def test_writer_killed_within_a_chunk(table: Table, point: FaultPoint) -> None:
    table.copy(numbered(10))
    names = ("endpoint_url", "access_key_id", "secret_access_key", "bucket", "region", "suffix")
    where = {name: getattr(table.place, name) for name in names}
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.destinations.s3.rows.long_chunk"],
        input=json.dumps({"where": where, "fault": f"{point}:2=exit"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (killed.returncode, killed.stderr) == (KILLED, f"fault injected at {point}\n")
    with table.opened():
        # What a committed set still lacks is made good.
        assert table.manifest().position == {"n": 1}
        there = table.manifest().row_count
    assert there == 1000 if point is FaultPoint.BEFORE_DEST_COMMIT else there in {1000, 2000}
    done = table.upsert(numbered(ROWS, word="sent"), position={"n": 2})
    assert (done.inserted, done.updated) == (ROWS - there, 0)
    assert table.content() == numbered(ROWS, word="sent")
    assert table.manifest().position == {"n": 2}
