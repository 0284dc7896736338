"""Backfill and reset: rows read anew out of turn, and the position from which a stream would read them in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from psycopg2 import sql

from connectors.base import Chunk, Position, Selection, Write
from connectors.errors import ConfigError
from connectors.mapping import Mode
from connectors.positions import Phase
from connectors.sources.pgsql.bookmarks import Bookmark
from connectors.sources.pgsql.catalog import KeyKind
from connectors.sources.pgsql.copying import ChunkSize, keyset_ranges
from connectors.sources.pgsql.following import windows
from connectors.sources.pgsql.keys import above, among, between, key_literal, key_tuple, type_name, up_to
from connectors.sources.pgsql.position import Key, PgPosition
from connectors.sources.pgsql.reading import Reading
from connectors.sources.pgsql.rows import QueryRows

_NO_LAG = timedelta(0)


def backfill(reading: Reading, selection: Selection, position: PgPosition | None, stored: Position) -> Iterator[Chunk]:
    """The selected rows, each chunk with the stored position, so that the stream goes on as if nothing had been.

    Args:
        reading: The table.
        selection: Which rows.
        position: As it was stored, parsed.
        stored: As it was stored.

    Raises:
        ConfigError: The first copy is not complete, or the spec has no such bookmark.
    """
    if position is None or position.phase is Phase.COPY:
        raise _refused(reading, "the first copy is not complete, and it brings these rows; run the mapping first")
    write = Write.INSERT if reading.spec.mode is Mode.LOGGING else Write.UPSERT
    reading.report.phase = "backfill"
    expected = estimate(reading, selection)
    for rows, reached in _parts(reading, selection):
        reading.report.rows_expected = expected
        yield Chunk(write, rows, stored)
        # Whoever asks for the next chunk has taken this one.
        reading.report.phase = f"backfill {reached}".strip()


def estimate(reading: Reading, selection: Selection) -> int | None:
    """About how many rows are selected, by the planner; None where it has no statistics of the table.

    Raises:
        ConfigError: The spec has no such bookmark, or the key's columns cannot hold a key.
    """
    condition = _condition(reading, selection)
    return None if reading.table.estimated_rows is None else reading.estimate(condition)


def position_at(reading: Reading, position: PgPosition | None, key: Key) -> PgPosition:
    """The position from which the rows above a key are read again.

    Raises:
        ConfigError: Nothing is copied yet, or the stream does not go by key.
    """
    if position is None:
        raise _refused(reading, "nothing is copied yet, so there is no place to go back to; run the mapping")
    _check_key(reading, "the key to go on above", key)
    if position.phase is Phase.COPY:
        return position.model_copy(update={"cursor": key, "next_block": None, "heap": None})
    if reading.key_kind not in {KeyKind.SEQUENCE, KeyKind.NUMBER}:
        raise _refused(
            reading,
            "its new rows are not found by a growing number, so it cannot go on above a key; backfill a range of keys"
            " for some rows, or reset it to copy everything again",
        )
    return position.model_copy(update={"safe_key": key[0], "candidates": (), "recheck": None})


def _parts(reading: Reading, selection: Selection) -> Iterator[tuple[QueryRows, str]]:
    """The rows in pieces of a chunk's size, and how far each goes, in words."""
    if selection.is_by_time:
        yield from ((rows, "") for rows in _by_time(reading, selection))
        return
    first, last = selection.from_key, selection.to_key
    if first is not None:
        # Ranges are open below, and this one is to hold its lowest key.
        yield reading.rows(among(reading.key, [first])), ""
    size = ChunkSize(reading)
    for after, upto in keyset_ranges(reading, reading.aside, first, last, size):
        rows = reading.rows(between(reading.key, after, upto))
        reading.report.reads(above(after), up_to(upto))
        yield rows, f"up to key {', '.join(upto)}" if upto else ""
        size.learn(rows.row_count)


def _by_time(reading: Reading, selection: Selection) -> Iterator[QueryRows]:
    bookmark, condition = _bookmark(reading), _condition(reading, selection)
    with reading.snapshot():
        yield from windows(reading, bookmark, condition)


def _condition(reading: Reading, selection: Selection) -> sql.Composable:
    """What the selected rows meet, once it is sure that the columns can be asked for it."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if selection.is_by_key:
        for name, key, relation in (
            ("the lowest key", selection.from_key, sql.SQL(">=")),
            ("the highest key", selection.to_key, sql.SQL("<=")),
        ):
            if key is not None:
                _check_key(reading, name, key)
                limit = key_literal(reading.key, key)
                conditions.append(sql.SQL("{} {} {}").format(key_tuple(reading.key), relation, limit))
        return sql.SQL(" AND ").join(conditions)
    bookmark = _bookmark(reading)
    if selection.since is not None:
        conditions.append(bookmark.since(selection.since.isoformat(), _NO_LAG))
    if selection.until is not None:
        conditions.append(bookmark.until(selection.until.isoformat()))
    return sql.SQL(" AND ").join(conditions)


def _bookmark(reading: Reading) -> Bookmark:
    """The one that a range of times goes by."""
    bookmark = reading.bookmark
    if bookmark is None or bookmark.is_parsed_here:
        what = "has none" if bookmark is None else "holds times in irregular forms"
        raise _refused(reading, f"a range of times goes by the `bookmark`, and this spec {what}; give a range of keys")
    return bookmark


def _check_key(reading: Reading, setting: str, key: Key) -> None:
    """Refuse a key that the columns cannot hold, before it becomes a part of queries."""
    names = ", ".join(column.name for column in reading.key)
    if len(key) != len(reading.key):
        wanted = f"a JSON list of {len(reading.key)} values" if len(reading.key) > 1 else "one value"
        raise _refused(reading, f"{setting} must be {wanted}: {names}")
    side = reading.session.side
    for column, text in zip(reading.key, key, strict=True):
        try:
            reading.aside.value(sql.SQL("SELECT {}::{}").format(sql.Literal(text), type_name(column)))
        except side.refused as error:
            if isinstance(error, side.unavailable | side.auth_failed):
                raise
            msg = f"{setting} does not fit the key's column {column.name} of type {column.type.pg.text}"
            raise _refused(reading, msg) from error


def _refused(reading: Reading, sentence: str) -> ConfigError:
    side = reading.session.side
    return ConfigError(sentence, connector=side.connector, stream=side.stream)
