"""What a MongoDB database holds, and how each collection could be copied. Reads some hundred documents of each."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure

from connectors.base import Options, RunReport, Stream
from connectors.errors import SourceAuthFailed
from connectors.mapping import CollectionSpec, FieldType, Mode, MongoSource
from connectors.sources.mongo import looking
from connectors.sources.mongo.fields import Fields
from connectors.sources.mongo.looking import SeenField
from connectors.sources.mongo.session import Session
from connectors.verbs import BookmarkCandidate, FoundField, FoundTable, Proposal

#: Collections that are not looked into within this time are only named.
_LOOK_WITHIN_S = 20.0
_UPDATE_NAME = re.compile(r"(updat|modif|chang|last.?edit|mtime|touched)", re.IGNORECASE)
_LOG_NAME = re.compile(r"(log|event|audit|history|message)", re.IGNORECASE)
_FIELD_TYPES = {
    frozenset({"int"}): FieldType.INT,
    frozenset({"long"}): FieldType.INT,
    frozenset({"int", "long"}): FieldType.INT,
    frozenset({"double"}): FieldType.FLOAT,
    frozenset({"double", "int"}): FieldType.FLOAT,
    frozenset({"bool"}): FieldType.BOOL,
    frozenset({"date"}): FieldType.DATETIME,
}


def discover(config: MongoSource, *, label: str, options: Options | None = None) -> list[FoundTable]:
    """Every collection of the database, views included.

    Args:
        config: The source, resolved.
        label: Who asks.
        options: Timeouts.

    Raises:
        SourceError: The database cannot be asked.
    """
    session = Session(config, label, options or Options())
    try:
        session.open()
        listed = session.call(lambda: list(session.database.list_collections()))
        found = [each for each in listed if not each["name"].startswith("system.")]
        found.sort(key=lambda each: str(each["name"]))
        until = time.monotonic() + _LOOK_WITHIN_S
        return [_found(session, config, each) if time.monotonic() < until else _unseen(config, each) for each in found]
    finally:
        session.close()


def _unseen(config: MongoSource, listed: Mapping[str, Any]) -> FoundTable:
    """A collection that was not looked into for lack of time."""
    name = listed["name"]
    spec = _proposal(name, {}, ()).spec
    return FoundTable(
        schema=config.db_name,
        name=name,
        kind=_kind(listed),
        estimated_rows=None,
        byte_count=None,
        may_read=True,
        primary_key=("_id",),
        bookmarks=(),
        proposal=Proposal(spec, "not looked into for lack of time, so that its fields and bookmarks are not known"),
    )


def _kind(listed: Mapping[str, Any]) -> str:
    return "view" if listed.get("type") == "view" else "collection"


def _found(session: Session, config: MongoSource, listed: Mapping[str, Any]) -> FoundTable:
    name = listed["name"]
    seen: dict[str, SeenField] = {}
    count, may_read = 0, True
    try:
        seen, count = looking.seen_fields(session, name)
    except SourceAuthFailed:
        may_read = False
    bookmarks = _bookmarks(seen, count, _indexed(session, name) if may_read else frozenset())
    return FoundTable(
        schema=config.db_name,
        name=name,
        kind=_kind(listed),
        estimated_rows=looking.estimated_count(session, name) if may_read else None,
        byte_count=_byte_count(session, name),
        may_read=may_read,
        primary_key=("_id",),
        bookmarks=bookmarks,
        proposal=_proposal(name, seen, bookmarks),
        fields=_fields(name, seen, count),
    )


def _byte_count(session: Session, name: str) -> int | None:
    def ask() -> int | None:
        try:
            return int(session.database.command("collStats", name)["storageSize"])
        except (OperationFailure, KeyError):
            return None

    return session.call(ask)


def _indexed(session: Session, name: str) -> frozenset[str]:
    """The fields that an index begins with; a view has none."""

    def ask() -> frozenset[str]:
        try:
            found = session.collection(name).index_information()
        except OperationFailure:
            return frozenset()
        return frozenset(str(index["key"][0][0]) for index in found.values() if index.get("key"))

    return session.call(ask)


def _bookmarks(seen: dict[str, SeenField], count: int, leading: frozenset[str]) -> tuple[BookmarkCandidate, ...]:
    found = []
    for name, each in seen.items():
        if "date" not in each.types:
            continue
        is_everywhere = each.types["date"] == count
        score = 60 * bool(_UPDATE_NAME.search(name)) + 10 * is_everywhere
        found.append(
            BookmarkCandidate(
                name,
                "date",
                score,
                is_everywhere,
                is_indexed=name in leading,
                is_maintained=False,
                null_share=1 - each.types["date"] / count,
            )
        )
    return tuple(sorted(found, key=lambda candidate: (-candidate.score, candidate.column)))


def _proposal(name: str, seen: dict[str, SeenField], bookmarks: tuple[BookmarkCandidate, ...]) -> Proposal:
    types = {
        field: _FIELD_TYPES[kinds].value
        for field, each in seen.items()
        if (kinds := frozenset(each.types) - {"null"}) in _FIELD_TYPES and field != "_id"
    }
    spec: dict[str, Any] = {"collection_name": name, "cron": "self-managed"}
    best = bookmarks[0] if bookmarks and _UPDATE_NAME.search(bookmarks[0].column) else None
    if best is not None:
        spec |= {"mode": Mode.SYNCING.value, "bookmark": best.column}
        reason = f"by its name {best.column} changes with the document; make sure that every update sets it"
    elif _LOG_NAME.search(name):
        spec["mode"] = Mode.LOGGING.value
        reason = "by its name documents are only added; choose another mode if they change"
    else:
        spec |= {"mode": Mode.SYNCING.value, "bookmark": False}
        reason = "no field tells when a document changed, so every run compares all of them; add such a field"
    return Proposal(spec | ({"fields": types} if types else {}), reason)


def _fields(name: str, seen: dict[str, SeenField], count: int) -> tuple[FoundField, ...]:
    spec = CollectionSpec.model_validate(
        {"collection_name": name, "cron": "self-managed", "mode": Mode.SYNCING.value, "bookmark": False}
    )
    columns = Fields(Stream(name, "mongo", "", name, spec), RunReport())
    columns.learn(seen)
    return tuple(
        FoundField(
            field,
            columns.column(field),
            each.documents / count,
            {kind: times / count for kind, times in each.types.most_common()},
        )
        for field, each in seen.items()
    )
