"""The plan of a run over one table in words and statements, for a dry run."""

from __future__ import annotations

from psycopg2 import sql

from connectors.base import Outline
from connectors.mapping import Mode
from connectors.positions import Phase
from connectors.postgres.session import Session
from connectors.sources.pgsql.copying import ChunkSize
from connectors.sources.pgsql.following import grace, new_keys_condition
from connectors.sources.pgsql.forms import changed_columns, dropped_columns, in_words
from connectors.sources.pgsql.keys import key_order, key_tuple
from connectors.sources.pgsql.position import PgPosition
from connectors.sources.pgsql.reading import Reading
from connectors.sources.pgsql.select import Selected, select_clause
from connectors.wording import counted


def outline_dump(session: Session, selected: tuple[Selected, ...], source: sql.Composable, rows: int | None) -> Outline:
    """One snapshot of everything."""
    query = sql.SQL("SELECT {}, now() AS migration_snapshot_date FROM {}").format(select_clause(selected), source)
    return Outline(
        start="nothing: each dump copies everything, whole or not at all",
        windows=("one snapshot of the source, taken when the run begins",),
        queries=(session.text(query),),
        estimated_rows=rows,
    )


def outline_run(reading: Reading, position: PgPosition | None) -> Outline:
    """The passes that a run would make from this position."""
    queries: list[sql.Composable] = []
    windows: list[str] = []
    clock = reading.watermark.read()
    is_copying = position is None or position.phase is Phase.COPY
    if is_copying:
        copied_from = position.cursor if position is not None else None
        size = ChunkSize(reading).rows()
        windows.append(f"first copy in chunks of about {counted(size, 'row')}, from {_words(copied_from)} on")
        queries.append(
            sql.SQL("SELECT {} FROM {} WHERE {} > $after AND {} <= $upto ORDER BY {}").format(
                select_clause(reading.selected),
                reading.table.qualified,
                key_tuple(reading.key),
                key_tuple(reading.key),
                key_order(reading.key),
            )
        )
    if position is not None and (changed := changed_columns(position, reading.selected)):
        windows.append(f"columns that are read otherwise than before: {in_words(changed)}; {_of_older(reading)}")
    if position is not None and (dropped := dropped_columns(position, reading.selected)):
        windows.append(f"columns that arrive no more: {', '.join(dropped)}; what arrived of them stays")
    start = position.watermark if position is not None else clock.watermark
    windows.append(f"watermark now: {clock.watermark or 'not to be had, it stays where it is'}")
    if position is not None or not is_copying:
        queries.extend(_follow_queries(reading, position or PgPosition(mode=reading.spec.mode)))
    if reading.bookmark is not None:
        windows.append(f"changes with {reading.bookmark.column.name} from {start or 'the beginning'}, no upper bound")
    if reading.spec.mode is Mode.MIRRORING:
        queries.append(reading.keys(sql.SQL("true")).query)
        windows.append("all keys of the source, after everything else; what it no longer has is deleted")
    return Outline(
        start="nothing: this is a first copy" if position is None else position.in_words(),
        windows=tuple(windows),
        queries=tuple(reading.aside.text(query) for query in queries),
        estimated_rows=reading.table.estimated_rows if is_copying else _changed(reading, position),
    )


def _of_older(reading: Reading) -> str:
    if reading.spec.mode is Mode.LOGGING:
        return "rows that are there keep what they hold"
    return "all rows are compared once, unless all is NULL in columns that the destination does not have yet"


def _follow_queries(reading: Reading, position: PgPosition) -> list[sql.Composable]:
    conditions = [new_keys_condition(reading, position)]
    if reading.bookmark is not None and not reading.bookmark.is_parsed_here:
        conditions.insert(0, reading.bookmark.since(position.watermark, grace(reading)))
    return [reading.rows(condition).query for condition in conditions]


def _changed(reading: Reading, position: PgPosition | None) -> int | None:
    """The rows that a run would read, by the planner; all of them where it compares all."""
    is_compared = reading.bookmark is None and reading.spec.mode is not Mode.LOGGING
    is_unknown = reading.bookmark is not None and reading.bookmark.is_parsed_here
    if position is None or is_compared or is_unknown:
        return reading.table.estimated_rows
    conditions = [new_keys_condition(reading, position)]
    if reading.bookmark is not None:
        conditions.append(reading.bookmark.since(position.watermark, grace(reading)))
    return reading.estimate(sql.SQL(" OR ").join(sql.SQL("({})").format(each) for each in conditions))


def _words(key: tuple[str, ...] | None) -> str:
    return "the lowest key" if key is None else f"key {', '.join(key)}"
