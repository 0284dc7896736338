"""The follow pass: what was inserted or changed since the stored position, in one snapshot.

The watermark is what is stored at the end, not a bound on reading: everything from the stored one on is read, and
what is read twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2 import sql

from connectors.base import Chunk, MissingKeys, Write
from connectors.errors import SourceError
from connectors.mapping import Mode
from connectors.sources.pgsql.bookmarks import Bookmark
from connectors.sources.pgsql.catalog import KeyKind
from connectors.sources.pgsql.copying import ChunkSize, keyset_ranges
from connectors.sources.pgsql.keys import above, between, key_texts
from connectors.sources.pgsql.position import Candidate, Key, PgPosition
from connectors.sources.pgsql.reading import Reading
from connectors.sources.pgsql.rows import QueryRows

_KEPT_CANDIDATES = 8
_NO_LAG = timedelta(0)
_LEAST = {"int2": -(2**15), "int4": -(2**31), "int8": -(2**63)}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known before the snapshot is taken, and true for everything that it shows.

    Attributes:
        t0: The source's clock.
        watermark: To store at the end; None leaves the stored one.
        safe_key: To store at the end.
        candidates: To store at the end.
        recheck: Keys up to this one are read again in this pass; None for none.
        open_recheck: To store at the end: a recheck whose writers are still open.
    """

    t0: datetime
    watermark: str | None
    safe_key: str | None
    candidates: tuple[Candidate, ...]
    recheck: str | None
    open_recheck: Candidate | None


def take_bounds(reading: Reading, position: PgPosition) -> Bounds:
    """Ask what can still appear: first the watermark, then the keys."""
    _warn_of_hidden_writers(reading)
    clock = reading.watermark.read()
    watermark = _later(reading, clock.watermark, position.watermark)
    safe_key, candidates = _safe_key(reading, position)
    recheck, open_recheck = None, position.recheck
    if open_recheck is not None and reading.writers.has_ended(open_recheck):
        recheck, open_recheck = open_recheck.key, None
    return Bounds(clock.t0, watermark, safe_key, candidates, recheck, open_recheck)


def _warn_of_hidden_writers(reading: Reading) -> None:
    """A refresh, or a foreign server, brings rows with bookmarks older than any transaction that can be seen here."""
    words = {"m": "a materialized view", "f": "a foreign table"}.get(reading.table.kind)
    if words is None or reading.bookmark is None or reading.spec.grace_updation_lag is not None:
        return
    reading.report.warn(
        f"{reading.table.schema}.{reading.table.name} is {words}, whose rows may appear long after the time in their"
        " bookmark; set `grace_updation_lag` to more than the time between two refreshes, or `bookmark` to False"
    )


def follow(
    reading: Reading, position: PgPosition, bounds: Bounds, keys: MissingKeys, *, skip_comparison: bool
) -> Generator[Chunk, None, PgPosition]:
    """Chunks of one pass; the last carries the new position, which is returned too.

    Args:
        reading: The table.
        position: Where the last commit ended.
        bounds: Taken before.
        keys: What the destination holds.
        skip_comparison: Without a bookmark: do not compare the whole table, which this run has just copied.
    """
    reading.report.phase = "follow"
    end = position.moved(
        watermark=bounds.watermark or position.watermark,
        safe_key=bounds.safe_key,
        candidates=bounds.candidates,
        recheck=bounds.open_recheck,
        forms=reading.forms,
        columns=(),
    )
    write = Write.INSERT if reading.spec.mode is Mode.LOGGING else Write.UPSERT
    with reading.snapshot():
        for rows in _parts(reading, position, bounds, keys, skip_comparison=skip_comparison):
            yield Chunk(write, rows, position.dump())
        # The position moves with a chunk of its own, so that it never runs ahead of any part before it.
        yield Chunk(write, reading.rows(_changed_last(reading, position)), end.dump())
    return end


def buffer_pass(reading: Reading, position: PgPosition, t0: datetime) -> Iterator[Chunk]:
    """Once more, in a new snapshot, what changed in buffer_updation_lag before the run began."""
    lag = reading.spec.buffer_updation_lag
    if reading.bookmark is None or lag is None or reading.bookmark.is_parsed_here:
        return
    reading.report.phase = "buffer"
    write = Write.INSERT if reading.spec.mode is Mode.LOGGING else Write.UPSERT
    reading.report.reads(f"changes of the last {lag.timedelta} before {t0:%Y-%m-%d %H:%M:%S %Z}", "")
    with reading.snapshot():
        yield Chunk(write, reading.rows(reading.bookmark.since(t0.isoformat(), lag.timedelta)), position.dump())


def source_keys(reading: Reading, position: PgPosition) -> Chunk:
    """All keys of the source, in a snapshot after every other read, so that fresh inserts are not deleted."""
    reading.report.phase = "delete"
    reading.report.reads("the keys of all rows", "")
    return Chunk(Write.DELETE_ABSENT, reading.keys(sql.SQL("true")), position.dump())


def _parts(
    reading: Reading, position: PgPosition, bounds: Bounds, keys: MissingKeys, *, skip_comparison: bool
) -> Iterator[QueryRows]:
    """Everything but the last part: the bulk, in pieces, and the rows that the bookmark does not show."""
    reading.report.reads(_from_where(reading, position), "")
    if bounds.recheck is not None:
        yield reading.rows(between(reading.key, None, (bounds.recheck,)))
    bookmark = reading.bookmark
    if bookmark is None:
        if reading.spec.mode is not Mode.LOGGING and not skip_comparison:
            yield from _whole_table(reading)
        return
    if bookmark.is_parsed_here:
        yield from _parsed_here(reading, bookmark, position)
    else:
        yield from windows(reading, bookmark, bookmark.since(position.watermark, grace(reading)))
    if reading.key_kind is not KeyKind.SEQUENCE and not bookmark.column.not_null:
        yield from _without_bookmark(reading, bookmark, keys)


def _from_where(reading: Reading, position: PgPosition) -> str:
    """Where a follow pass begins, in words."""
    bookmark = reading.bookmark
    if bookmark is None and reading.spec.mode is not Mode.LOGGING:
        return "every row, compared"
    timed = bookmark.column if bookmark is not None else reading.key[0] if reading.key_kind is KeyKind.TIME else None
    if timed is not None and position.watermark is not None:
        lag = f" less {grace(reading)}" if grace(reading) else ""
        return f"{timed.name} from watermark {position.watermark}{lag}"
    return above((position.safe_key,) if position.safe_key is not None else None)


def _changed_last(reading: Reading, position: PgPosition) -> sql.Composable:
    """The rows that only their key shows to be new."""
    new_keys = new_keys_condition(reading, position)
    bookmark = reading.bookmark
    if bookmark is None or bookmark.is_parsed_here:
        return new_keys
    return sql.SQL("{} AND {}").format(new_keys, bookmark.before_or_null(position.watermark, grace(reading)))


def new_keys_condition(reading: Reading, position: PgPosition) -> sql.Composable:
    """The rows whose key shows that they are new."""
    match reading.key_kind:
        case KeyKind.SEQUENCE | KeyKind.NUMBER:
            low = _overlapped(reading, position.safe_key)
            return between(reading.key, (low,) if low is not None else None, None)
        case KeyKind.TIME:
            key = Bookmark(reading.key[0], reading.bookmark_timezone, reading.aside, is_improper=False)
            return key.since(position.watermark, grace(reading))
        case KeyKind.ANYWHERE:
            return sql.SQL("false")


def _overlapped(reading: Reading, safe_key: str | None) -> str | None:
    """From where keys are read: the stored one, less the overlap where keys appear out of order."""
    if safe_key is None or not _may_appear_late(reading):
        return safe_key
    low = int(safe_key) - reading.key_overlap
    return str(low) if low >= _LEAST[reading.key[0].type.name] else None


def _may_appear_late(reading: Reading) -> bool:
    """True when a new key can lie below the safe one, and nothing but the key would show it."""
    sequence = reading.sequence
    if reading.key_kind is not KeyKind.SEQUENCE or sequence is None or reading.is_blind_standby:
        return True
    if reading.spec.key_overlap:
        return True
    bookmark_shows_it = (
        reading.spec.mode is not Mode.LOGGING and reading.bookmark is not None and reading.bookmark.column.not_null
    )
    if bookmark_shows_it:
        return False
    return not sequence.is_always or reading.writers.last_drawn() is None


def windows(reading: Reading, bookmark: Bookmark, changed: sql.Composable) -> Iterator[QueryRows]:
    """The rows that meet a condition, in windows of the bookmark when there are many; inside a snapshot."""
    size = ChunkSize(reading).rows()
    expected = reading.estimate(changed)
    reading.report.rows_expected = expected
    cuts: list[str] = []
    if expected > 2 * size:
        cuts = [
            str(cut)
            for (cut,) in reading.session.rows(
                sql.SQL(
                    "SELECT b::text FROM (SELECT {0} AS b, row_number() OVER (ORDER BY {0}) AS n FROM {1} WHERE {2})"
                    " numbered WHERE n % {3} = 0 AND b IS NOT NULL GROUP BY b ORDER BY b"
                ).format(bookmark.identifier, reading.table.qualified, changed, sql.Literal(size))
            )
        ]
    typed = [sql.SQL("{}::{}").format(sql.Literal(cut), sql.SQL(bookmark.column.type.pg.text)) for cut in cuts]
    for number, (low, high) in enumerate(zip([None, *typed], [*typed, None], strict=True)):
        condition = changed
        if cuts:
            reached = f"{bookmark.column.name} {cuts[number]}" if number < len(cuts) else "no upper bound"
            reading.report.reads(f"{bookmark.column.name} {cuts[number - 1]}" if number else "the oldest", reached)
        if low is not None:
            condition = sql.SQL("{} AND {} >= {}").format(condition, bookmark.identifier, low)
        if high is not None:
            condition = sql.SQL("{} AND {} < {}").format(condition, bookmark.identifier, high)
        yield reading.rows(condition)


def _whole_table(reading: Reading) -> Iterator[QueryRows]:
    """Without a bookmark every row is compared; by key, so that no chunk is the whole table."""
    size = ChunkSize(reading)
    reading.report.rows_expected = reading.table.estimated_rows
    for after, upto in keyset_ranges(reading, reading.aside, None, None, size):
        rows = reading.rows(between(reading.key, after, upto))
        yield rows
        size.learn(rows.row_count)


def _parsed_here(reading: Reading, bookmark: Bookmark, position: PgPosition) -> Iterator[QueryRows]:
    """Bookmarks in other forms: read (key, text), parse, fetch by key what is due."""
    query = sql.SQL("SELECT {}, {}::text FROM {}").format(
        key_texts(reading.key), bookmark.identifier, reading.table.qualified
    )
    due: list[Key] = []
    for batch in reading.stream_rows(query):
        is_due, unparsed = bookmark.is_due([row[-1] for row in batch], position.watermark, grace(reading))
        reading.report.counts["unparsed_bookmarks"] += unparsed
        reading.report.counts["null_bookmarks"] += sum(row[-1] is None for row in batch)
        due.extend(tuple(map(str, row[:-1])) for row, wanted in zip(batch, is_due, strict=True) if wanted)
    if reading.report.counts["unparsed_bookmarks"]:
        reading.report.warn(
            f"{reading.report.counts['unparsed_bookmarks']} values of bookmark {bookmark.column.name} tell no time;"
            " their rows are compared in every run"
        )
    yield from reading.rows_of(due)


def _without_bookmark(reading: Reading, bookmark: Bookmark, keys: MissingKeys) -> Iterator[QueryRows]:
    """Rows whose bookmark is NULL: those whose key the destination does not hold."""
    null_rows = reading.keys(sql.SQL("{} IS NULL").format(bookmark.identifier))
    missing = keys.missing_keys(null_rows)
    reading.report.counts["null_bookmarks"] += null_rows.row_count
    yield from reading.rows_of(missing)


def grace(reading: Reading) -> timedelta:
    """How far below the stored watermark the spec wants to read again."""
    lag = reading.spec.grace_updation_lag
    return lag.timedelta if lag is not None else _NO_LAG


def _later(reading: Reading, taken: str | None, stored: str | None) -> str | None:
    """The watermark to store: it never goes back."""
    if taken is None or stored is None:
        return taken or stored
    if reading.aside.value("SELECT %s::timestamptz < %s::timestamptz", [taken, stored]):
        reading.report.warn(
            "the watermark taken now lies before the stored one, which is kept: a transaction is open since before"
            " the last run, or the source's clock was set back"
        )
        return stored
    return taken


def _safe_key(reading: Reading, position: PgPosition) -> tuple[str | None, tuple[Candidate, ...]]:
    """The highest key below which nothing can appear, and the candidates that still wait."""
    if reading.key_kind not in {KeyKind.SEQUENCE, KeyKind.NUMBER}:
        return position.safe_key, ()
    column = reading.key[0].name
    _refuse_backwards(reading, position)
    if reading.is_blind_standby:
        highest = reading.writers.highest_key(column)
        known = [int(key) for key in (highest, position.safe_key) if key is not None]
        return (str(max(known)) if known else None), ()
    newest = reading.writers.candidate(column)
    waiting = list(position.candidates)
    if newest is not None and (position.safe_key is None or int(newest.key) > int(position.safe_key)):
        reading.writers.wait(newest, reading.stream.options.writers_wait_s)
        waiting.append(newest)
    safe, open_candidates = position.safe_key, []
    for candidate in waiting:
        if reading.writers.has_ended(candidate):
            safe = candidate.key if safe is None else str(max(int(safe), int(candidate.key)))
        else:
            open_candidates.append(candidate)
    kept = [each for each in open_candidates if safe is None or int(each.key) > int(safe)]
    return safe, tuple(kept[:1] + kept[1:][-_KEPT_CANDIDATES:])


def _refuse_backwards(reading: Reading, position: PgPosition) -> None:
    """A sequence, or for logging the highest key, below the stored position: the source was restored or truncated."""
    if position.safe_key is None:
        return
    highest = reading.writers.last_drawn()
    if highest is None and reading.spec.mode is not Mode.LOGGING:
        return
    if highest is None:
        found = reading.writers.highest_key(reading.key[0].name)
        highest = None if found is None else int(found)
    if highest is None or highest < int(position.safe_key):
        side = reading.session.side
        msg = (
            f"the source went backwards: its highest key is {highest if highest is not None else 'none'}, while keys up"
            f" to {position.safe_key} were copied, so it was truncated or restored. To copy it anew run"
            " reset_checkpoint (rows at the destination stay, and are updated); to go on from where it is now run"
            " reset_checkpoint with --to-key"
        )
        raise SourceError(
            msg,
            connector=side.connector,
            stream=side.stream,
        )
