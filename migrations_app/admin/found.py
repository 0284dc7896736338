"""What a source holds, as its page shows it: by schema, searched, a page at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils import timezone

from connectors.verbs import FoundTable, KeyCandidate
from migrations_app.admin.slots import one_of_few
from migrations_app.models import Source
from migrations_app.verbs import choosing
from migrations_app.verbs.discover import discover_source

#: Rows that are put on the page at once; more are fetched when they are asked for.
PAGE_ROWS = 200
#: How long an answer of the source serves the searches and pages of whoever looks at it.
_KEPT_S = 600
#: Of as many sources, in the memory of this process: Django's cache would copy 10,000 tables for each search.
_KEPT_COUNT = 8
_kept: dict[tuple[int, datetime], Catalog] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a source holds, and when it was asked."""

    asked_at: datetime
    tables: tuple[FoundTable, ...]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A candidate in words."""

    column: str
    words: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A table, or a collection, as it is shown."""

    table: FoundTable

    @property
    def name(self) -> str:
        """As a spec names it."""
        return self.table.table_name

    @property
    def is_tickable(self) -> bool:
        """Whether a mapping can copy it."""
        return not choosing.obstacle_of(self.table)

    @property
    def is_plain(self) -> bool:
        """Whether "all of its schema" stands for it, too."""
        return choosing.is_plain(self.table)

    @property
    def is_table(self) -> bool:
        """False for a collection, whose key is always `_id`."""
        return choosing.is_table(self.table)

    @property
    def mode(self) -> str:
        """As proposed."""
        return str(self.table.proposal.spec["mode"])

    @property
    def modes(self) -> list[str]:
        """What can be chosen."""
        return choosing.modes_of(self.table)

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What can be the key: as it is posted, and in words."""
        return [(json.dumps(key.columns), _key_words(key)) for key in self.table.keys]

    @property
    def bookmark(self) -> str:
        """As proposed; empty for none."""
        return str(self.table.proposal.spec.get("bookmark") or "")

    @property
    def bookmarks(self) -> list[Bookmark]:
        """The candidates, the likeliest first."""
        return [Bookmark(each.column, choosing.bookmark_words(each)) for each in self.table.bookmarks]

    @property
    def warnings(self) -> list[str]:
        """What to know before it is ticked."""
        return choosing.warnings_of(self.table)

    @property
    def fields(self) -> list[tuple[str, str, float, str]]:
        """Of a collection: name, column, share in percent, types with theirs."""
        return [
            (
                each.name,
                each.column,
                each.share * 100,
                ", ".join(f"{kind} {share:.0%}" for kind, share in each.types.items()),
            )
            for each in self.table.fields
        ]


@dataclass(frozen=True, slots=True)
class SchemaRows:
    """A schema with the rows of it that are shown.

    Attributes:
        name: Its name.
        total: Number of its tables that match.
        tickable: Number of those that "all of this schema" stands for.
        rows: Those on this page.
        next_offset: Where the next page begins; None after the last one.
    """

    name: str
    total: int
    tickable: int
    rows: tuple[TableRow, ...]
    next_offset: int | None

    @property
    def is_open(self) -> bool:
        """Whether its rows are on the page already."""
        return bool(self.rows)


def catalog_of(row: Source, *, anew: bool) -> Catalog:
    """What the source holds: as it said a few minutes ago, or asked now.

    Raises:
        MappingError, SecretUnreadableError, ConnectorError: It cannot be asked.
        BusyError: Not now.
    """
    key = (row.pk, row.updated_at)
    known = None if anew else _kept.get(key)
    if known is None or (timezone.now() - known.asked_at).total_seconds() > _KEPT_S:
        with one_of_few():
            known = Catalog(timezone.now(), tuple(discover_source(row)))
        # An empty one is of no use to a search, and whoever sees it is about to make tables or to grant rights.
        if known.tables:
            _keep(key, known)
    return known


def _keep(key: tuple[int, datetime], catalog: Catalog) -> None:
    with _lock:
        _kept.pop(key, None)
        _kept[key] = catalog
        for oldest in list(_kept)[:-_KEPT_COUNT]:
            del _kept[oldest]


def schemas_of(catalog: Catalog, search: str) -> list[SchemaRows]:
    """The schemas with matching tables; with their rows, as far as these fit on one page."""
    grouped = _by_schema(matching(catalog.tables, search))
    fits = sum(len(tables) for _, tables in grouped) <= PAGE_ROWS or len(grouped) == 1
    return [_page(name, tables, 0 if fits else None) for name, tables in grouped]


def page_of(catalog: Catalog, search: str, schema: str, offset: int) -> SchemaRows:
    """A further page of one schema."""
    tables = [table for table in matching(catalog.tables, search) if table.schema == schema]
    return _page(schema, tables, max(0, offset))


def matching(tables: Iterable[FoundTable], search: str) -> list[FoundTable]:
    """The tables whose name, with its schema, has every word that is searched for."""
    words = search.lower().split()
    return [table for table in tables if all(word in f"{table.schema}.{table.name}".lower() for word in words)]


def _by_schema(tables: Iterable[FoundTable]) -> list[tuple[str, list[FoundTable]]]:
    ordered = sorted(tables, key=lambda table: (table.schema, table.name))
    return [(schema, list(each)) for schema, each in groupby(ordered, key=lambda table: table.schema)]


def _page(name: str, tables: Sequence[FoundTable], offset: int | None) -> SchemaRows:
    shown = () if offset is None else tuple(tables[offset : offset + PAGE_ROWS])
    end = (offset or 0) + len(shown)
    return SchemaRows(
        name=name,
        total=len(tables),
        tickable=sum(choosing.is_plain(table) for table in tables),
        rows=tuple(TableRow(table) for table in shown),
        next_offset=end if end < len(tables) else None,
    )


def _key_words(key: KeyCandidate) -> str:
    return ", ".join(f"{column} ({kind})" for column, kind in zip(key.columns, key.datatypes, strict=True))


def choices_of(posted: Any, catalog: Catalog) -> dict[str, choosing.Choice]:
    """What was ticked, by the table's name.

    Args:
        posted: JSON as static/dms/discover.js writes it: `tables` with what was chosen for each, `schemas` that were
            ticked as a whole, and `except`, which was unticked in them.
        catalog: What the schemas hold.

    Raises:
        NoDraftError: It is none of ours.
    """
    try:
        schemas, excepted = frozenset(posted["schemas"]), frozenset(posted["except"])
        chosen = {str(name): _choice(each) for name, each in posted["tables"].items()}
    except (TypeError, KeyError, AttributeError, ValueError):
        message = "what was ticked did not arrive; load the page again"
        raise choosing.NoDraftError(message) from None
    whole = {
        table.table_name: choosing.Choice()
        for table in catalog.tables
        if table.schema in schemas and choosing.is_plain(table) and table.table_name not in excepted
    }
    return whole | chosen


def _choice(posted: dict[str, Any]) -> choosing.Choice:
    key = posted.get("key")
    mode, bookmark = posted.get("mode"), posted.get("bookmark")
    return choosing.Choice(
        mode=None if mode is None else str(mode),
        key=None if key is None else tuple(str(column) for column in json.loads(key)),
        bookmark=None if bookmark is None else str(bookmark),
    )
