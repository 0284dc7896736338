"""The first copy: chunk after chunk, each in a snapshot of its own, so that no transaction stays open for hours.

What changes behind the copy's back is read by the follow pass, from the watermark that was taken before the first
chunk.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from psycopg2 import sql

from connectors.base import Chunk, MissingKeys, Write
from connectors.mapping import Mode
from connectors.positions import Phase
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import KeyKind
from connectors.sources.pgsql.keys import above, between, key_order, key_texts, up_to
from connectors.sources.pgsql.position import Candidate, Key, PgPosition
from connectors.sources.pgsql.reading import Reading

_FIRST_GUESS_ROW_BYTES = 256.0
_PAGES_FROM_BYTES = 512 * 1024 * 1024
_CLUSTERED = 0.5
_TID_RANGE_SCAN_SINCE = 14


class ChunkSize:
    """How many rows make a chunk of about `target_bytes`, learnt from the chunks that went through."""

    def __init__(self, reading: Reading) -> None:
        self._report = reading.report
        self._batch_size = reading.spec.batch_size
        self._target_bytes = reading.stream.options.chunk_bytes
        self._row_bytes = reading.table.row_bytes or _FIRST_GUESS_ROW_BYTES
        self._bytes_before = reading.report.bytes_moved

    def rows(self) -> int:
        """Whole batches, at least one; fewer rows than a batch only where rows are so wide that one is too much."""
        wanted = int(self._target_bytes / self._row_bytes)
        if wanted >= self._batch_size:
            return wanted - wanted % self._batch_size
        return max(1, min(self._batch_size, 4 * wanted))

    def learn(self, rows: int) -> None:
        """Take the bytes moved since the last call as the size of this many rows."""
        moved = self._report.bytes_moved - self._bytes_before
        self._bytes_before = self._report.bytes_moved
        if rows > 0 and moved > 0:
            self._row_bytes = moved / rows


def begin_copy(
    reading: Reading, watermark: str | None, previous: PgPosition | None, *, by_key: bool = False
) -> PgPosition:
    """The position before the first chunk of a copy, or of a second one that fills added or changed columns.

    Args:
        reading: The table.
        watermark: Taken before.
        previous: The position before a second copy.
        by_key: Never by pages.
    """
    start = PgPosition(
        mode=reading.spec.mode,
        key=reading.spec.keys,
        bookmark=reading.spec.bookmark or None,
        forms=reading.forms,
        watermark=watermark,
        upto=_highest_key(reading),
    )
    if previous is not None:
        return start.model_copy(
            update={
                "is_refill": True,
                "watermark": previous.watermark,
                "safe_key": previous.safe_key,
                "candidates": previous.candidates,
                "recheck": previous.recheck,
            }
        )
    if reading.key_kind in {KeyKind.SEQUENCE, KeyKind.NUMBER} and not reading.is_blind_standby:
        candidate = reading.writers.candidate(reading.key[0].name)
        if candidate is not None:
            start = start.model_copy(update={"candidates": (candidate,)})
    if not by_key and reading.key_kind is not KeyKind.SEQUENCE and _should_copy_by_pages(reading):
        return start.model_copy(update={"next_block": 0, "heap": _heap(reading)})
    return start


def copy(reading: Reading, start: PgPosition, keys: MissingKeys) -> Generator[Chunk, None, PgPosition]:
    """Chunks from the position to the end of the copy; returns the position with which to follow."""
    reading.report.phase = "copy"
    reading.report.rows_expected = reading.table.estimated_rows
    if start.next_block is not None:
        end = yield from _by_pages(reading, start, keys)
    else:
        end = yield from _by_key(reading, start)
    return _after_copy(reading, end)


def keyset_ranges(
    reading: Reading, session: Session, after: Key | None, upto: Key | None, size: ChunkSize
) -> Iterator[tuple[Key | None, Key | None]]:
    """Ranges (after, upto] of about one chunk each. The bound of the next is looked up while the last is copied.

    Args:
        reading: The table.
        session: Where bounds are looked up.
        after: Where to begin.
        upto: Where to end; None for the end of the table.
        size: Rows a range.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="chunk-bounds") as executor:
        bound: Future[Key | None] = executor.submit(_bound, reading, session, after, upto, size.rows())
        while True:
            high = bound.result()
            if high is None:
                yield after, upto
                return
            bound = executor.submit(_bound, reading, session, high, upto, size.rows())
            yield after, high
            after = high


def _by_key(reading: Reading, position: PgPosition) -> Generator[Chunk, None, PgPosition]:
    if position.upto is None:
        return position
    size = ChunkSize(reading)
    write = Write.APPEND
    if position.is_refill:
        write = Write.UPSERT
    for after, upto in keyset_ranges(reading, reading.aside, position.cursor, position.upto, size):
        recheck = _unsettled(reading, position, upto)
        position = position.moved(cursor=upto, recheck=recheck or position.recheck)
        rows = reading.rows(between(reading.key, after, upto))
        reading.report.reads(above(after), up_to(upto))
        yield Chunk(write, rows, position.dump(), is_first_copy=not position.is_refill)
        size.learn(rows.row_count)
    return position


def _unsettled(reading: Reading, position: PgPosition, upto: Key | None) -> Candidate | None:
    """The candidate, moved to the end of this chunk, when its writers are still open; None when they have ended."""
    if position.is_refill or not position.candidates or upto is None:
        return None
    candidate = position.candidates[0]
    if reading.writers.wait(candidate, reading.stream.options.writers_wait_s if position.batch == 0 else 0):
        reading.catch_up()
        return None
    return candidate.model_copy(update={"key": upto[0]})


def _by_pages(reading: Reading, position: PgPosition, keys: MissingKeys) -> Generator[Chunk, None, PgPosition]:
    """By ranges of heap pages, for keys in random order, where each chunk by key would touch every page.

    A row that an update moves to a page already read is missed, one that moves the other way comes twice: the
    destination meets the second with an upsert, and keys that are missing at the end are fetched. (The follow pass
    would bring most of them, but not one whose update left the bookmark as it was.)
    """
    last = _block_count(reading)
    step = max(1, int(reading.stream.options.chunk_bytes * last / max(1, reading.table.byte_count)))
    block = position.next_block or 0
    while block < last and _heap(reading) == position.heap:
        rows = reading.rows(
            sql.SQL("ctid >= {}::tid AND ctid < {}::tid").format(
                sql.Literal(f"({block},0)"), sql.Literal(f"({block + step},0)")
            )
        )
        reading.report.reads(f"page {block:,}", f"page {min(block + step, last):,} of {last:,}")
        block += step
        position = position.moved(next_block=block)
        yield Chunk(Write.APPEND, rows, position.dump(), is_first_copy=True)
    # Looked at after the last read too: that one may have been of pages in another order.
    if _heap(reading) != position.heap:
        reading.report.warn("the table was rewritten during its first copy, which begins again")
        return (yield from _by_key(reading, position.moved(next_block=None, heap=None, is_refill=True)))
    reading.report.reads("rows that moved while they were copied", "")
    for rows in reading.rows_of(keys.missing_keys(reading.keys(sql.SQL("true")))):
        yield Chunk(Write.UPSERT, rows, position.dump(), is_first_copy=True)
    return position


def _after_copy(reading: Reading, end: PgPosition) -> PgPosition:
    """Follow from the watermark and the keys that the copy began with."""
    safe_key = end.safe_key
    if not end.is_refill and reading.key_kind in {KeyKind.SEQUENCE, KeyKind.NUMBER} and end.upto is not None:
        # Keys that came between the two look-ups lie above the lower one, and are the follow pass's.
        safe_key = str(min(int(key) for key in (end.upto[0], *(each.key for each in end.candidates[:1]))))
    return end.model_copy(
        update={
            "phase": Phase.FOLLOW,
            "cursor": None,
            "next_block": None,
            "heap": None,
            "upto": None,
            "candidates": end.candidates if end.is_refill else (),
            "is_refill": False,
            "safe_key": safe_key,
        }
    )


def _bound(reading: Reading, session: Session, after: Key | None, upto: Key | None, rows: int) -> Key | None:
    """The key of the rows-th row of the range; None when it has no more than that."""
    row = session.row(
        sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
            key_texts(reading.key),
            reading.table.qualified,
            between(reading.key, after, upto),
            key_order(reading.key),
            sql.Literal(rows - 1),
        )
    )
    return None if row is None else tuple(str(part) for part in row)


def _highest_key(reading: Reading) -> Key | None:
    row = reading.aside.row(
        sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(
            key_texts(reading.key), reading.table.qualified, key_order(reading.key, "DESC")
        )
    )
    return None if row is None else tuple(str(part) for part in row)


def _should_copy_by_pages(reading: Reading) -> bool:
    """True for a large heap whose keys lie in random order, when a bookmark brings what moves meanwhile."""
    is_followed = reading.spec.mode in {Mode.SYNCING, Mode.MIRRORING} and reading.bookmark is not None
    if not is_followed or not reading.table.has_heap or reading.spec.partition_columns:
        return False
    if reading.session.major_version < _TID_RANGE_SCAN_SINCE or reading.table.byte_count < _PAGES_FROM_BYTES:
        return False
    correlation = reading.aside.value(
        "SELECT correlation FROM pg_stats WHERE schemaname = %s AND tablename = %s AND attname = %s",
        [reading.table.schema, reading.table.name, reading.key[0].name],
    )
    if correlation is None:
        return reading.key_kind is KeyKind.ANYWHERE
    return abs(float(correlation)) < _CLUSTERED


def _heap(reading: Reading) -> int:
    return int(reading.aside.value("SELECT pg_relation_filenode(%s)", [reading.table.oid]))


def _block_count(reading: Reading) -> int:
    return int(
        reading.aside.value("SELECT pg_relation_size(%s) / current_setting('block_size')::bigint", [reading.table.oid])
    )
