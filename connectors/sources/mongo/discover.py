"""What a MongoDB database holds, and how each collection could be copied. Reads some hundred documents of each."""

from __future__ import annotations

import re
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
        return [_found(session, config, each) for each in sorted(found, key=lambda each: str(each["name"]))]
    finally:
        session.close()


def _found(session: Session, config: MongoSource, listed: Mapping[str, Any]) -> FoundTable:
    name = listed["name"]
    seen: dict[str, SeenField] = {}
    count, may_read = 0, True
    try:
        seen, count = looking.seen_fields(session, name)
    except SourceAuthFailed:
        may_read = False
    bookmarks = _bookmarks(seen, count)
    return FoundTable(
        schema=config.db_name,
        name=name,
        kind="view" if listed.get("type") == "view" else "collection",
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


def _bookmarks(seen: dict[str, SeenField], count: int) -> tuple[BookmarkCandidate, ...]:
    found = []
    for name, each in seen.items():
        if "date" not in each.types:
            continue
        is_everywhere = each.types["date"] == count
        score = 60 * bool(_UPDATE_NAME.search(name)) + 10 * is_everywhere
        found.append(BookmarkCandidate(name, "date", score, is_everywhere, is_indexed=False, is_maintained=False))
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
