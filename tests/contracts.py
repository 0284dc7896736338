"""What every connector of the registry must do, against a real server: derive from these and give a bench."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from connectors.arrow.hashing import row_hashes
from connectors.base import Chunk, Destination, Position, Prepared, ReadRequest, RowStream, Source, Write
from connectors.errors import (
    ConnectorError,
    DeleteRefused,
    DestinationUnavailable,
    Fenced,
    Recovery,
    SourceError,
    SourceUnavailable,
    Stopped,
    StreamNotFound,
)
from connectors.testing import DestinationBench, LiteralRows, Row, SourceBench, read_rows
from connectors.types import Column, PgType, StreamSchema

ROWS: list[Row] = [(n, f"note {n}", None if n % 3 else f"\u00fc\U0001f600 {n}") for n in range(1, 51)]
ODD_ROWS: list[Row] = [
    (1, "tab\there", "back\\slash"),
    (2, "line\nbreak\r", "\\N"),
    (3, "", "\u00e9'\""),
    (4, None, None),
]
STOPPED_WITHIN_S = 2.0


class _AllMissing:
    """A destination that holds nothing."""

    def missing_keys(self, keys: RowStream) -> list[tuple[str, ...]]:
        return [tuple(map(str, row)) for row in read_rows(keys)]


def read_all(
    source: Source, position: Position | None, *, stop_after: int | None = None
) -> tuple[list[Row], Position | None]:
    """What a run reads from a position on, and the position of its last commit. Deletions are left out."""
    rows: list[Row] = []
    with closing(source):
        source.open()
        source.describe()
        request = ReadRequest(position, Prepared(is_fresh=position is None), _AllMissing())  # type: ignore[arg-type]
        for number, chunk in enumerate(source.read(request), start=1):
            if chunk.write is not Write.DELETE_ABSENT:
                rows += [(int(str(key)), note, odd) for key, note, odd in (row[:3] for row in read_rows(chunk.rows))]
            position = json.loads(json.dumps(chunk.position))
            if number == stop_after:
                break
    return rows, position


def stopped_within(seconds: float, work: Callable[[], object], cancel: Callable[[], None]) -> None:
    """Cancel the work from another thread; it ends in time with Stopped."""
    ended: list[float] = []

    def cancel_soon() -> None:
        time.sleep(0.5)
        ended.append(time.monotonic())
        cancel()

    thread = threading.Thread(target=cancel_soon)
    thread.start()
    with pytest.raises(Stopped):
        work()
    thread.join()
    assert time.monotonic() - ended[0] < seconds


class SourceContract:
    """Derive, name it Test..., and give it a fixture `bench`."""

    def test_describes_its_columns(self, bench: SourceBench) -> None:
        bench.insert(ROWS[:1])
        with closing(bench.source()) as source:
            source.open()
            schema = source.describe()
        assert tuple(column.name for column in schema.columns)[:3] == bench.column_names
        assert schema.key == bench.column_names[:1]

    def test_first_copy_brings_every_row_once(self, bench: SourceBench) -> None:
        bench.insert(ROWS)
        rows, position = read_all(bench.source(), None)
        assert set(rows) == set(ROWS)
        assert position is not None

    def test_values_that_need_care(self, bench: SourceBench) -> None:
        bench.insert(ODD_ROWS)
        rows, _ = read_all(bench.source(), None)
        assert sorted(set(rows), key=repr) == sorted(ODD_ROWS, key=repr)

    def test_empty_source(self, bench: SourceBench) -> None:
        rows, position = read_all(bench.source(), None)
        assert rows == []
        bench.insert(ROWS[:2])
        rows, _ = read_all(bench.source(), position)
        assert set(rows) == set(ROWS[:2])

    def test_new_and_changed_rows_arrive(self, bench: SourceBench) -> None:
        bench.insert(ROWS[:40])
        _, position = read_all(bench.source(), None)
        bench.insert(ROWS[40:])
        changed: Row = (1, "changed", None)
        bench.update(changed)
        rows, position = read_all(bench.source(), position)
        assert {changed, *ROWS[40:]} <= set(rows)
        bench.update((2, "changed too", None))
        rows, _ = read_all(bench.source(), position)
        assert (2, "changed too", None) in rows

    def test_goes_on_after_every_commit(self, bench: SourceBench) -> None:
        """Wherever a run is killed, the next one brings all that was not committed."""
        bench.insert(ROWS)
        for committed in range(1, 100):
            first, position = read_all(bench.source(), None, stop_after=committed)
            rest, _ = read_all(bench.source(), position)
            assert {*first, *rest} == set(ROWS)
            if set(first) == set(ROWS):
                break
        assert committed > 2

    def test_rows_can_be_read_again(self, bench: SourceBench) -> None:
        bench.insert(ROWS[:5])
        with closing(bench.source()) as source:
            source.open()
            source.describe()
            request = ReadRequest(None, Prepared(is_fresh=True), _AllMissing())  # type: ignore[arg-type]
            chunk = next(iter(source.read(request)))
            assert read_rows(chunk.rows) == read_rows(chunk.rows) != []

    def test_missing_stream(self, bench: SourceBench) -> None:
        with closing(bench.missing()) as source:
            source.open()
            with pytest.raises(StreamNotFound):
                source.describe()

    def test_unreachable_server_may_be_tried_again(self, bench: SourceBench) -> None:
        with closing(bench.unreachable()) as source, pytest.raises(SourceUnavailable) as caught:
            source.open()
        assert caught.value.recovery is Recovery.RETRY

    def test_cut_connection_may_be_tried_again(self, bench: SourceBench) -> None:
        bench.insert(ROWS)
        with closing(bench.source()) as source:
            source.open()
            bench.cut()
            with pytest.raises(SourceError) as caught:
                source.describe()
        assert caught.value.recovery is Recovery.RETRY

    def test_cancel_ends_a_read_soon(self, bench: SourceBench) -> None:
        source = bench.slow()
        stopped_within(STOPPED_WITHIN_S, lambda: read_all(source, None), source.cancel)

    def test_close_never_raises(self, bench: SourceBench) -> None:
        bench.source().close()
        source = bench.source()
        source.open()
        bench.cut()
        source.close()
        source.close()
        failed = bench.unreachable()
        with pytest.raises(ConnectorError):
            failed.open()
        failed.close()


class DestinationContract:
    """Derive, name it Test..., and give it a fixture `bench`."""

    def test_rows_and_position_are_there_together(self, bench: DestinationBench) -> None:
        assert write(bench, chunk(bench, ROWS[:10], {"n": 1}), chunk(bench, ROWS[10:], {"n": 2})) == 50
        assert bench.contents() == ROWS
        assert reopened(bench) == {"n": 2}

    def test_values_that_need_care(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, ODD_ROWS, {"n": 1}))
        assert bench.contents() == ODD_ROWS

    def test_only_committed_chunks_stay(self, bench: DestinationBench) -> None:
        with closing(bench.destination()) as destination:
            start(bench, destination)
            commits = destination.write(iter([chunk(bench, ROWS[:10], {"n": 1}), _Broken.chunk(bench)]))
            assert next(commits).position == {"n": 1}
            with pytest.raises(SourceUnavailable):
                next(commits)
        assert bench.contents() == ROWS[:10]
        assert reopened(bench) == {"n": 1}

    @pytest.mark.parametrize("how", [Write.APPEND, Write.INSERT, Write.UPSERT])
    def test_same_chunk_again_changes_nothing(self, bench: DestinationBench, how: Write) -> None:
        """A run that was killed between the commit and its record writes the chunk once more."""
        write(bench, chunk(bench, ROWS, {"n": 1}))
        assert write(bench, chunk(bench, ROWS, {"n": 1}, how)) == 0
        assert bench.contents() == ROWS

    def test_upsert_counts_what_it_changed(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, ROWS[:10], {"n": 1}))
        changed: list[Row] = [(1, "changed", None), *ROWS[1:12]]
        with closing(bench.destination()) as destination:
            start(bench, destination)
            (commit,) = destination.write([chunk(bench, changed, {"n": 2}, Write.UPSERT)])
        assert (commit.inserted, commit.updated, commit.deleted) == (2, 1, 0)
        assert bench.contents() == changed

    def test_empty_chunk_moves_the_position(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, [], {"n": 1}), chunk(bench, [], {"n": 2}, Write.UPSERT))
        assert bench.contents() == []
        assert reopened(bench) == {"n": 2}

    def test_deletes_what_is_absent_behind_the_guard(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, ROWS, {"n": 1}))
        keys = bench.schema.key_columns
        with closing(bench.destination()) as destination:
            start(bench, destination)
            kept = LiteralRows(keys, [(row[0],) for row in ROWS[5:]])
            (commit,) = destination.write([Chunk(Write.DELETE_ABSENT, kept, {"n": 2})])
            assert commit.deleted == 5
            with pytest.raises(DeleteRefused) as caught:
                list(destination.write([Chunk(Write.DELETE_ABSENT, LiteralRows(keys, []), {"n": 3})]))
        assert caught.value.doomed == 45
        assert bench.contents() == ROWS[5:]
        assert reopened(bench) == {"n": 2}

    def test_names_the_keys_that_it_lacks(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, ROWS[:10], {"n": 1}))
        with closing(bench.destination()) as destination:
            start(bench, destination)
            asked = LiteralRows(bench.schema.key_columns, [(5,), (99,), (100,)])
            assert sorted(destination.missing_keys(asked)) == [("100",), ("99",)]

    def test_chunk_with_more_columns_widens_the_table(self, bench: DestinationBench) -> None:
        wider = replace(bench.schema, columns=(*bench.schema.columns, Column("added", PgType("text"))))

        def wide(rows: list[Row], position: Position, schema: StreamSchema | None = None) -> Chunk:
            return Chunk(
                Write.UPSERT, LiteralRows(wider.columns, [(*row, "new") for row in rows]), position, schema=schema
            )

        first = chunk(bench, ROWS[:10], {"n": 1})
        written = write(bench, first, wide(ROWS[10:20], {"n": 2}, wider), wide(ROWS[20:30], {"n": 3}))
        assert written == 30
        assert bench.contents() == ROWS[:30]
        assert reopened(bench) == {"n": 3}
        with closing(bench.destination()) as destination:
            destination.open(epoch_floor=0)
            assert destination.prepare(wider).added_columns == ()

    def test_tells_by_their_hashes_which_rows_differ(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, [*ROWS[:3], *ODD_ROWS[3:], *ROWS[4:10]], {"n": 1}))
        (batch,) = LiteralRows(bench.schema.columns, [*ROWS[:3], *ODD_ROWS[3:], *ROWS[4:12]]).batches("UTC")
        hashes = row_hashes(batch.columns).tolist()
        hashes[1] += 1
        columns = (*bench.schema.key_columns, Column("dms_hash", PgType("bigint")))
        asked = LiteralRows(columns, zip(batch.column(0).to_pylist(), hashes, strict=True))
        with closing(bench.destination()) as destination:
            start(bench, destination)
            assert destination.differing_keys(asked, bench.schema.columns) in (None, {("2",), ("11",), ("12",)})
        assert len(bench.contents()) == 10

    def test_newer_run_fences_the_older_off(self, bench: DestinationBench) -> None:
        with closing(bench.destination()) as older, closing(bench.destination()) as newer:
            start(bench, older)
            epoch = newer.open(epoch_floor=0).epoch
            newer.prepare(bench.schema)
            with pytest.raises((Fenced, DestinationUnavailable)):
                list(older.write([chunk(bench, ROWS[:10], {"n": 1})]))
            assert bench.contents() == []
            list(newer.write([chunk(bench, ROWS[10:], {"n": 2})]))
        assert bench.contents() == ROWS[10:]
        with closing(bench.destination()) as last:
            assert last.open(epoch_floor=epoch + 7).epoch > epoch + 7

    def test_reset_goes_to_the_given_position(self, bench: DestinationBench) -> None:
        write(bench, chunk(bench, ROWS, {"n": 1}))
        for position in ({"n": 7}, None):
            with closing(bench.destination()) as destination:
                destination.connect()
                destination.reset_state(position)
                assert destination.stored_position() == position
            assert reopened(bench) == position
        assert write(bench, chunk(bench, ROWS, {"n": 2}, first=True)) == 0
        assert bench.contents() == ROWS

    def test_reset_fences_a_run_off(self, bench: DestinationBench) -> None:
        with closing(bench.destination()) as running, closing(bench.destination()) as other:
            start(bench, running)
            other.connect()
            other.reset_state(None)
            with pytest.raises((Fenced, DestinationUnavailable)):
                list(running.write([chunk(bench, ROWS, {"n": 1})]))
        assert bench.contents() == []

    def test_plan_changes_nothing(self, bench: DestinationBench) -> None:
        with closing(bench.destination()) as destination:
            destination.connect()
            assert destination.plan_statements(bench.schema)
            assert destination.plan_statements(bench.schema)
        assert reopened(bench) is None

    def test_unreachable_server_may_be_tried_again(self, bench: DestinationBench) -> None:
        with closing(bench.unreachable()) as destination, pytest.raises(DestinationUnavailable) as caught:
            destination.open(epoch_floor=0)
        assert caught.value.recovery is Recovery.RETRY

    def test_cut_connection_may_be_tried_again(self, bench: DestinationBench) -> None:
        with closing(bench.destination()) as destination:
            start(bench, destination)
            bench.cut()
            with pytest.raises(DestinationUnavailable):
                list(destination.write([chunk(bench, ROWS, {"n": 1})]))
        assert bench.contents() == []

    def test_cancel_ends_a_write_soon(self, bench: DestinationBench) -> None:
        destination = bench.destination()
        with closing(destination):
            start(bench, destination)
            with bench.blocked():
                stopped_within(
                    STOPPED_WITHIN_S,
                    lambda: list(destination.write([chunk(bench, ROWS, {"n": 1})])),
                    destination.cancel,
                )
        assert bench.contents() == []

    def test_close_never_raises(self, bench: DestinationBench) -> None:
        bench.destination().close()
        destination = bench.destination()
        destination.open(epoch_floor=0)
        bench.cut()
        destination.close()
        destination.close()
        failed = bench.unreachable()
        with pytest.raises(ConnectorError):
            failed.open(epoch_floor=0)
        failed.close()


class _Broken(LiteralRows):
    """Rows whose source goes away in the middle."""

    @classmethod
    def chunk(cls, bench: DestinationBench) -> Chunk:
        return Chunk(Write.APPEND, cls(bench.schema.columns, ROWS[10:]), {"n": 2}, is_first_copy=True)

    def copy_to(self, sink, copy_format):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100 - as the base's
        super().copy_to(sink, copy_format)
        msg = "gone"
        raise SourceUnavailable(msg, connector="test", stream="s")


def chunk(
    bench: DestinationBench,
    rows: Sequence[Row],
    position: Position,
    how: Write = Write.APPEND,
    *,
    first: bool | None = None,
) -> Chunk:
    """A chunk of these rows."""
    is_first = how is Write.APPEND if first is None else first
    return Chunk(how, LiteralRows(bench.schema.columns, rows), position, is_first_copy=is_first)


def start(bench: DestinationBench, destination: Destination) -> None:
    """Open and prepare."""
    destination.open(epoch_floor=0)
    destination.prepare(bench.schema)


def write(bench: DestinationBench, *chunks: Chunk) -> int:
    """A run of these chunks; the number of rows that it inserted or updated."""
    with closing(bench.destination()) as destination:
        start(bench, destination)
        commits = list(destination.write(_lazily(chunks)))
    return sum(commit.inserted + commit.updated for commit in commits)


def _lazily(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    yield from chunks


def reopened(bench: DestinationBench) -> Position | None:
    """The position that the next run finds."""
    with closing(bench.destination()) as destination:
        return destination.open(epoch_floor=0).position
