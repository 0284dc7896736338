"""The follow pass: what was inserted or changed since the stored watermark.

The watermark is the server's clock when the pass began, and what is stored at its end. ObjectIds and bookmarks are
made by other clocks, and documents arrive after they were made: both are read again from some time before the stored
watermark on, and what is read twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime, timedelta

from connectors.base import Chunk, MissingKeys, RowStream
from connectors.mapping import Mode
from connectors.sources.mongo.converting import Scanned, Wanted, convert
from connectors.sources.mongo.ids import BRACKETS, ID, OBJECT_IDS, Filter, is_no_date
from connectors.sources.mongo.position import MongoPosition
from connectors.sources.mongo.reading import Reading, chosen
from connectors.sources.mongo.rows import RowHashes, Shape

_WITHOUT = "without a bookmark"


def follow(
    reading: Reading, position: MongoPosition, t0: datetime, keys: MissingKeys, *, skip_comparison: bool
) -> Generator[Chunk, None, MongoPosition]:
    """Chunks of one pass; the last carries the new position, which is returned too.

    Args:
        reading: The collection.
        position: Where the last commit ended.
        t0: The server's clock, read before.
        keys: What the destination holds.
        skip_comparison: Without a bookmark: do not compare the whole collection, which this run has just copied.
    """
    reading.report.phase = "follow"
    since = reading.lower_bound(position.watermark)
    reading.report.reads("every document" if since is None else f"changes since {since:%Y-%m-%d %H:%M:%S %Z}", "")
    for piece in _parts(reading, position, keys, skip_comparison=skip_comparison):
        if len(piece):
            position = position.model_copy(update={"fields": reading.fields.with_more(piece.names)})
            yield reading.chunk(reading.write, piece, position.dump())
    # The position moves with a chunk of its own, so that it never runs ahead of any part before it.
    watermark = max(filter(None, (t0, position.watermark)))
    end = position.moved(watermark=watermark, fields=reading.fields.dump())
    yield reading.empty_chunk(end.dump())
    return end


def buffer_pass(reading: Reading, position: MongoPosition, t0: datetime) -> Iterator[Chunk]:
    """Once more what changed in buffer_updation_lag before the run began."""
    lag = reading.spec.buffer_updation_lag
    bookmark = reading.spec.bookmark_column
    if bookmark is None or lag is None or reading.spec.improper_bookmarks:
        return
    reading.report.phase = "buffer"
    reading.report.reads(f"changes of the last {lag.timedelta} before {t0:%Y-%m-%d %H:%M:%S %Z}", "")
    for piece in reading.pieces({bookmark: {"$gte": t0 - lag.timedelta}}):
        position = position.model_copy(update={"fields": reading.fields.with_more(piece.names)})
        yield reading.chunk(reading.write, piece, position.dump())


def filters_of(reading: Reading, position: MongoPosition) -> dict[str, Filter]:
    """What the next run would ask for, by what it finds."""
    since = reading.lower_bound(position.watermark)
    bookmark = reading.spec.bookmark_column
    found: dict[str, Filter] = {}
    if since is None or (bookmark is None and reading.spec.mode is not Mode.LOGGING):
        return {"every document, compared": {}}
    if reading.spec.improper_bookmarks and bookmark is not None:
        return {"every bookmark, parsed": {}}
    if bookmark is not None:
        found["changed"] = {bookmark: {"$gte": since}}
        found["new by _id"] = {**reading.new_ids(since), bookmark: {"$lt": since}}
        found[_WITHOUT] = is_no_date(bookmark)
    else:
        found["new by _id"] = reading.new_ids(since)
    return found


def _parts(reading: Reading, position: MongoPosition, keys: MissingKeys, *, skip_comparison: bool) -> Iterator[Scanned]:
    bookmark = reading.spec.bookmark_column
    filters = filters_of(reading, position)
    if bookmark is None and reading.spec.mode is not Mode.LOGGING:
        if not skip_comparison:
            yield from _differing(reading, keys)
        return
    if reading.spec.improper_bookmarks and bookmark is not None:
        yield from _parsed_here(reading, bookmark, position)
        return
    for name, filter_ in filters.items():
        if name != _WITHOUT:
            yield from reading.pieces(filter_)
    yield from _absent(reading, bookmark, keys)


def _differing(reading: Reading, keys: MissingKeys) -> Iterator[Scanned]:
    """Every document, or those whose hash the destination does not hold under their `_id` where it can tell."""
    for piece in reading.pieces({}):
        # The destination has no column yet for a field that is new.
        is_wider = any(name not in reading.fields.names for name in piece.names)
        hashes = None if is_wider else RowHashes(Shape.of(reading.fields), piece, reading.fields.key_column())
        differing = None if hashes is None else keys.differing_keys(hashes, hashes.hashed)
        if hashes is None or differing is None:
            yield piece
            continue
        reading.report.counts["documents_compared"] += len(piece)
        yield chosen(piece, [(text,) in differing for text in hashes.ids])


def _absent(reading: Reading, bookmark: str | None, keys: MissingKeys) -> Iterator[Scanned]:
    """Documents that neither a bookmark nor their `_id` shows to be new: those that the destination does not hold."""
    if bookmark is not None:
        ids: RowStream = reading.keys([(is_no_date(bookmark), None)])
    else:
        ids = reading.keys((bracket.whole, bracket) for bracket in BRACKETS if bracket is not OBJECT_IDS)
    missing = keys.missing_keys(ids)
    count = getattr(ids, "row_count", 0)
    if bookmark is not None:
        reading.report.counts["null_bookmarks"] += count
    elif count:
        reading.report.counts["ids_compared"] += count
        reading.report.warn(
            f"{count:,} documents have an _id that does not tell when it was made, so all these ids are compared in"
            " every run; name a `bookmark` to spare that"
        )
    yield from reading.fetch([text for (text,) in missing])


def _parsed_here(reading: Reading, bookmark: str, position: MongoPosition) -> Iterator[Scanned]:
    """Bookmarks in other forms: read (_id, bookmark), parse, fetch by `_id` what is due."""
    # pandas takes a third of a second, which other runs need not spend.
    from connectors.irregular_times import find_due

    wanted = Wanted((ID, bookmark), {ID: reading.fields.types[ID]} if ID in reading.fields.types else {})
    since = reading.lower_bound(position.watermark)
    for piece in reading.pieces({}, fields=(ID, bookmark)):
        (ids, bookmarks), _ = convert(piece, wanted)
        texts = bookmarks.to_pylist()
        is_due, unparsed = find_due(
            texts,
            reading.spec.bookmark_timezone or "UTC",
            None if since is None else since.isoformat(),
            timedelta(0),
        )
        reading.report.counts["unparsed_bookmarks"] += unparsed
        reading.report.counts["null_bookmarks"] += bookmarks.null_count
        yield from reading.fetch([text for text, due in zip(ids.to_pylist(), is_due, strict=True) if due])
    if unparsed_count := reading.report.counts["unparsed_bookmarks"]:
        reading.report.warn(
            f"{unparsed_count} values of bookmark {bookmark} tell no time; their documents are compared in every run"
        )
