"""The MongoDB source: which passes a run makes over a collection, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from connectors.base import (
    Chunk,
    Comparable,
    HashForm,
    Outline,
    Position,
    Preview,
    ReadRequest,
    RunReport,
    Selection,
    Source,
    Stream,
)
from connectors.errors import ConfigError, StreamNotFound
from connectors.mapping import CollectionSpec, FieldType, Mode, MongoSource
from connectors.positions import Phase
from connectors.sources.mongo import looking
from connectors.sources.mongo.copying import copy
from connectors.sources.mongo.dumping import dump
from connectors.sources.mongo.errors import CONNECTOR, mapped
from connectors.sources.mongo.fields import Fields
from connectors.sources.mongo.following import buffer_pass, filters_of, follow
from connectors.sources.mongo.ids import ID, Filter, bracket_of, id_value
from connectors.sources.mongo.position import MongoPosition
from connectors.sources.mongo.reading import Reading
from connectors.sources.mongo.rows import Tally
from connectors.sources.mongo.session import Session
from connectors.sources.mongo.verify import DocumentSide
from connectors.types import StreamSchema


class MongoCollectionSource(Source):
    """One collection, or view, of a MongoDB database.

    Args:
        config: Where the database is.
        stream: What to copy, and how.
        report: For warnings and progress.
    """

    type_name = "mongo"
    hash_form = HashForm.PORTABLE

    def __init__(self, config: MongoSource, stream: Stream, report: RunReport) -> None:
        if not isinstance(stream.spec, CollectionSpec):
            msg = "a mongo source takes `collections`"
            raise ConfigError(msg, connector=CONNECTOR, stream=stream.unique_id)
        self._stream = stream
        self._spec = stream.spec
        self._report = report
        self._session = Session(config, stream.unique_id, stream.options)
        self._fields = Fields(stream, report)
        self._check_spec()

    def open(self) -> None:
        self._session.open()

    def describe(self, position: Position | None = None) -> StreamSchema:
        name = self._spec.collection_name
        if name not in self._session.call(self._session.database.list_collection_names):
            message = f"there is no collection {name}; check `collection_name`, `db_name` and the rights of the user"
            raise self._session.error(StreamNotFound, message)
        if position is not None:
            self._fields.load(_parsed(position).fields)
        self._fields.learn(looking.sampled_fields(self._session, name))
        self._fields.learn_declared()
        return self._fields.schema()

    def read(self, request: ReadRequest) -> Iterator[Chunk]:
        reading = self._reading()
        t0 = self._session.now()
        self._report.t0 = t0
        self._report.rows_expected = looking.estimated_count(self._session, self._spec.collection_name)
        position = self._position(request.position)
        with mapped(self._stream.unique_id):
            if self._spec.mode is Mode.DUMPING:
                yield from dump(reading, t0)
            else:
                yield from self._follow(reading, position, request)
        reading.tally.warn()

    def _follow(self, reading: Reading, position: MongoPosition | None, request: ReadRequest) -> Iterator[Chunk]:
        t0 = self._report.t0
        assert t0 is not None  # noqa: S101 - read() sets it
        was_copied_now = position is None
        if position is None:
            position = MongoPosition(mode=self._spec.mode, bookmark=self._spec.bookmark_column, watermark=t0)
        if position.phase is Phase.COPY:
            position = yield from copy(reading, position)
        position = yield from follow(reading, position, t0, request.keys, skip_comparison=was_copied_now)
        yield from buffer_pass(reading, position, t0)

    def outline(self, position: Position | None) -> Outline:
        stored = self._position(position)
        rows = looking.estimated_count(self._session, self._spec.collection_name)
        start = self.describe_position(position)
        if self._spec.mode is Mode.DUMPING:
            return Outline(start, ("everything, once for its fields and once for its values",), ("find({})",), rows)
        if stored is None or stored.phase is Phase.COPY:
            return Outline(start, ("everything that is left, by _id, then what changed meanwhile",), (), rows)
        filters = filters_of(self._reading(), stored)
        queries = tuple(f"find({dict(filter_)!r})" for filter_ in filters.values())
        return Outline(start, tuple(filters), queries, None)

    def preview(self, row_count: int) -> Preview:
        return looking.preview(self._reading(), row_count)

    def describe_position(self, position: Position | None) -> str:
        return "nothing: this is a first copy" if position is None else _parsed(position).in_words()

    def position_at(self, position: Position | None, key: tuple[str, ...]) -> Position:
        self._refuse_for_dumps("there is no key to go on from; the next run dumps everything anew")
        stored = self._position(position) or MongoPosition(
            mode=self._spec.mode, bookmark=self._spec.bookmark_column, watermark=self._session.now()
        )
        bracket = bracket_of(self._id_value(key))
        return stored.model_copy(
            update={"phase": Phase.COPY, "bracket": bracket.name, "after": key[0] if bracket.is_ordered else None}
        ).dump()

    def backfill(self, selection: Selection, position: Position) -> Iterator[Chunk]:
        filter_ = self._filter_of(selection)
        self._position(position)
        return self._selected(filter_, position)

    def backfill_rows(self, selection: Selection) -> int | None:
        return looking.count_within(self._session, self._spec.collection_name, self._filter_of(selection))

    def snapshot_of(self, position: Position) -> datetime | None:
        return _parsed(position).snapshot_date

    def comparable(self, form: HashForm = HashForm.QUICK) -> Comparable | None:
        return DocumentSide(self._reading()) if form is HashForm.PORTABLE else None

    def cancel(self) -> None:
        self._session.cancel()

    def close(self) -> None:
        self._session.close()

    def _filter_of(self, selection: Selection) -> Filter:
        """What finds the selected documents."""
        self._refuse_for_dumps("a backfill has no row to update; run the mapping for a new snapshot")
        bounds: tuple[object, object] = (selection.since, selection.until)
        field = self._spec.bookmark_column
        if selection.is_by_key:
            field = ID
            first, last = (
                None if key is None else self._id_value(key) for key in (selection.from_key, selection.to_key)
            )
            bounds = (first, last)
        if field is None:
            msg = "there is no bookmark to select by; name one in the mapping, or give a range of keys"
            raise self._session.error(ConfigError, msg)
        words = zip(("$gte", "$lte"), bounds, strict=True)
        return {field: {word: bound for word, bound in words if bound is not None}}

    def _selected(self, filter_: Filter, position: Position) -> Iterator[Chunk]:
        reading = self._reading()
        self._report.phase = "backfill"
        expected = looking.count_within(self._session, self._spec.collection_name, filter_)
        for piece in reading.pieces(filter_):
            self._report.rows_expected = expected
            yield reading.chunk(reading.write, piece, position)
        reading.tally.warn()

    def _reading(self) -> Reading:
        tally = Tally(self._report, dict(self._fields.types))
        return Reading(self._session, self._stream, self._spec, self._fields, tally, self._report)

    def _id_value(self, key: tuple[str, ...]) -> object:
        (text,) = key
        return id_value(text, ids_are_strings=self._fields.wanted().ids_are_strings)

    def _check_spec(self) -> None:
        id_type = self._spec.fields.get(ID)
        if self._spec.mode is not Mode.DUMPING and id_type not in {None, FieldType.STR}:
            message = (
                f"`fields` gives _id the type {id_type}, and as the key it has to tell all ids apart; leave it out, or"
                " write str for ids that are strings"
            )
            raise self._session.error(ConfigError, message)
        if self._spec.improper_bookmarks and "." in (self._spec.bookmark_column or ""):
            message = "a bookmark inside another document cannot be parsed here; leave `improper_bookmarks` out"
            raise self._session.error(ConfigError, message)

    def _refuse_for_dumps(self, sentence: str) -> None:
        if self._spec.mode is Mode.DUMPING:
            message = f"dumping copies whole snapshots, so {sentence}"
            raise self._session.error(ConfigError, message)

    def _position(self, stored_position: Position | None) -> MongoPosition | None:
        """The stored position, when it still applies to the spec."""
        if stored_position is None:
            return None
        position = _parsed(stored_position)
        stored = (position.mode, position.bookmark)
        wanted = (self._spec.mode, None if self._spec.mode is Mode.DUMPING else self._spec.bookmark_column)
        if stored == wanted:
            return position
        changed = [
            f"{word} {was or 'none'} -> {now or 'none'}"
            for word, was, now in zip(("mode", "bookmark"), stored, wanted, strict=True)
            if was != now
        ]
        message = (
            f"the mapping changed since the last run ({'; '.join(changed)}), so the stored position no longer applies;"
            " run reset_checkpoint to copy anew (rows at the destination stay), or change it back"
        )
        raise self._session.error(ConfigError, message)


def _parsed(position: Position) -> MongoPosition:
    return MongoPosition.model_validate(dict(position))
