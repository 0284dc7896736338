"""Choose: the tables that somebody ticked, with what was chosen for each, as the specs of a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from connectors.mapping import EVERY_TABLE, Mode
from connectors.mapping.fields import TableName
from connectors.verbs import BookmarkCandidate, FoundTable

_KEPT = ("table_name", "collection_name", "cron", "fields")
#: What rows are kept in; those of other kinds come from elsewhere.
PLAIN_KINDS = frozenset({"table", "partitioned table", "collection"})
_TABLE_NAME: TypeAdapter[str] = TypeAdapter(TableName)


class NoDraftError(ValueError):
    """What was ticked makes no mapping; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose for a table; None stands for what discovery proposed.

    Attributes:
        mode: One of `modes_of`.
        key: Columns of one of the table's candidates.
        bookmark: One of the table's candidates, empty for none.
    """

    mode: str | None = None
    key: tuple[str, ...] | None = None
    bookmark: str | None = None


def modes_of(table: FoundTable) -> list[str]:
    """The modes in which a table can be copied at all; destinations may know fewer."""
    if not is_table(table):
        return [Mode.DUMPING.value, Mode.LOGGING.value, Mode.SYNCING.value]
    if not table.keys:
        return [Mode.DUMPING.value]
    return [mode.value for mode in Mode]


def is_table(table: FoundTable) -> bool:
    """True for what a catalog describes, False for a collection."""
    return "table_name" in table.proposal.spec


def is_plain(table: FoundTable) -> bool:
    """True for what "all of a schema" stands for: tables that can be copied, no views."""
    return not obstacle_of(table) and table.kind in PLAIN_KINDS


def obstacle_of(table: FoundTable) -> str:
    """Why a table cannot be copied, and what to do; empty when it can."""
    if not table.may_read:
        return f"the user may not read it; {remedy_of_rights(table)}"
    if is_table(table) and not _can_be_named(table.table_name):
        return (
            "a mapping cannot write its name, which has a dot, or a space at an end; rename it, or copy a view of it"
            " that has a plain name in a schema that has one"
        )
    return ""


def _can_be_named(table_name: str) -> bool:
    try:
        return _TABLE_NAME.validate_python(table_name) != EVERY_TABLE
    except ValidationError:
        return False


def spec_of(table: FoundTable, choice: Choice) -> dict[str, Any]:
    """The spec that copies a table as chosen.

    Raises:
        NoDraftError: It was not to be chosen so.
    """
    proposed = table.proposal.spec
    mode = choice.mode or str(proposed["mode"])
    if mode not in modes_of(table):
        message = f"{table.table_name} cannot be copied in mode {mode}; choose one of {', '.join(modes_of(table))}"
        raise NoDraftError(message)
    spec = {key: proposed[key] for key in _KEPT if key in proposed} | {"mode": mode}
    if mode == Mode.DUMPING:
        return spec
    if is_table(table):
        spec |= _key_part(table, choice)
    return spec | _bookmark_part(table, mode, choice)


def specs_of(found: Iterable[FoundTable], choices: Mapping[str, Choice]) -> list[dict[str, Any]]:
    """The specs of all chosen tables, in the order in which they were found.

    Args:
        found: What the source holds.
        choices: By `table_name`, or `collection_name`.

    Raises:
        NoDraftError: A table is not there any more, may not be read, or meets another one at the destination.
    """
    by_name = {table.table_name: table for table in found}
    gone = sorted(choices.keys() - by_name.keys())
    if gone:
        message = f"not at the source any more: {', '.join(gone[:10])}; ask the source again"
        raise NoDraftError(message)
    taken: dict[str, str] = {}
    specs = []
    for name, table in by_name.items():
        if name not in choices:
            continue
        if obstacle := obstacle_of(table):
            message = f"{name} cannot be copied: {obstacle}, then ask the source again"
            raise NoDraftError(message)
        if (other := taken.get(table.name)) is not None:
            message = (
                f"{other} and {name} would both arrive as {table.name}; untick one of them, and copy it by a mapping of"
                " its own to another schema"
            )
            raise NoDraftError(message)
        taken[table.name] = name
        specs.append(spec_of(table, choices[name]))
    return specs


def warnings_of(table: FoundTable) -> list[str]:
    """What to know before a table is ticked."""
    found = []
    if obstacle := obstacle_of(table):
        found.append(obstacle)
    if table.kind not in PLAIN_KINDS:
        found.append(f"a {table.kind}: its rows come from elsewhere, and changes in them cannot be followed")
    elif table.may_read and not table.primary_key:
        found.append("no key: only whole snapshots can be copied")
    if table.kind in PLAIN_KINDS and table.may_read and table.estimated_rows is None:
        found.append("the number of rows is not known; ANALYZE it")
    return found


def remedy_of_rights(table: FoundTable) -> str:
    """What lets the user read a table."""
    if not is_table(table):
        return f"grant the role read on the database {table.schema}"
    return f"GRANT USAGE ON SCHEMA {_quoted(table.schema)} and SELECT ON {_quoted(table.schema)}.{_quoted(table.name)}"


def bookmark_words(candidate: BookmarkCandidate) -> str:
    """What is known of a bookmark."""
    facts = [
        "a trigger sets it" if candidate.is_maintained else "",
        "indexed" if candidate.is_indexed else "no index",
        _null_words(candidate),
    ]
    return f"{candidate.type}, {', '.join(fact for fact in facts if fact)}"


def _null_words(candidate: BookmarkCandidate) -> str:
    if candidate.not_null:
        return "never empty"
    if candidate.null_share is None:
        return "may be empty"
    if candidate.null_share == 0:
        return "none empty now"
    return f"{candidate.null_share:.0%} empty" if candidate.null_share >= 0.005 else "under 1% empty"


def _key_part(table: FoundTable, choice: Choice) -> dict[str, Any]:
    columns = choice.key or table.primary_key
    key = next((each for each in table.keys if each.columns == columns), None)
    if key is None:
        message = f"{', '.join(columns) or 'nothing'} is no key of {table.table_name}; choose one that it has"
        raise NoDraftError(message)
    return {"primary_key": _one_or_all(key.columns), "primary_key_datatype": _one_or_all(key.datatypes)}


def _bookmark_part(table: FoundTable, mode: str, choice: Choice) -> dict[str, Any]:
    proposed = table.proposal.spec.get("bookmark") or ""
    bookmark = str(proposed) if choice.bookmark is None else choice.bookmark
    if bookmark and bookmark not in {each.column for each in table.bookmarks}:
        message = f"{bookmark} is no column of {table.table_name} that holds times; choose one that is offered"
        raise NoDraftError(message)
    if bookmark:
        return {"bookmark": bookmark}
    return {} if mode == Mode.LOGGING else {"bookmark": False}


def _one_or_all(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _quoted(name: str) -> str:
    plain = name.replace("_", "a").isalnum() and name == name.lower() and not name[0].isdigit()
    return name if plain else '"' + name.replace('"', '""') + '"'
