"""What the source's catalog says of one table: columns, key, sequence, indexes, size."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from psycopg2 import sql

from connectors.errors import StreamNotFound
from connectors.postgres.session import Session
from connectors.sources.pgsql.types import SourceType, TypeCatalog
from connectors.types import Index

_RELATION = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.reltuples::bigint,
       CASE WHEN c.relkind IN ('r', 'm', 'p') THEN pg_table_size(c.oid) ELSE 0 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname || '.' || c.relname = %(name)s OR (n.nspname = 'public' AND c.relname = %(name)s))
ORDER BY n.nspname || '.' || c.relname = %(name)s DESC LIMIT 1
"""
_TABLES = """
SELECT CASE WHEN n.nspname = 'public' AND position('.' IN c.relname) = 0 THEN c.relname
            ELSE n.nspname || '.' || c.relname END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY n.nspname = 'public' DESC, n.nspname, c.relname
"""
# NOT NULL counts where it holds for all rows: not while it is NOT VALID, and not where a table that inherits lacks it.
_COLUMNS = """
WITH RECURSIVE heirs(oid) AS (
    SELECT %s::oid
    UNION SELECT i.inhrelid FROM heirs JOIN pg_inherits i ON i.inhparent = heirs.oid
    JOIN pg_class c ON c.oid = heirs.oid AND c.relkind = 'r'
)
SELECT a.attname, a.attnum, a.atttypid, a.atttypmod, NOT EXISTS (
       SELECT FROM heirs JOIN pg_attribute h ON h.attrelid = heirs.oid AND h.attname = a.attname
       WHERE NOT h.attnotnull OR EXISTS (
             SELECT FROM pg_constraint n WHERE n.conrelid = h.attrelid AND n.contype = 'n' AND NOT n.convalidated
                AND n.conkey = ARRAY[h.attnum]))
FROM pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_UNIQUE_INDEXES = """
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k JOIN pg_attribute a
              ON a.attrelid = i.indrelid AND a.attnum = k)
FROM pg_index i WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""
_PRIMARY_KEY = """
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(num, ord)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.ord)
FROM pg_index i WHERE i.indrelid = %s AND i.indisprimary
"""
# Expressions and predicates name their columns in pg_depend only, the index of a constraint its own in indkey only.
_SECONDARY_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid
              AND (a.attnum = ANY (i.indkey) OR a.attnum IN (
                   SELECT d.refobjsubid FROM pg_depend d WHERE d.objid = i.indexrelid AND d.refobjid = i.indrelid))),
       format(' ON %%I.%%I USING ', n.nspname, t.relname), format(' ON ONLY %%I.%%I USING ', n.nspname, t.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.indrelid = %s AND NOT i.indisprimary AND i.indisvalid ORDER BY c.relname
"""
#: oids of the relation in the parameter and of everything whose rows it shows: partitions, and what a view reads.
TREE = """
WITH RECURSIVE tree(oid) AS (
    SELECT %s::oid
    UNION SELECT member.oid FROM tree t CROSS JOIN LATERAL (
        SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.oid
        UNION ALL
        SELECT d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         WHERE r.ev_class = t.oid AND d.refclassid = 'pg_class'::regclass) member(oid))
SELECT oid FROM tree
"""
# Only an identity, or a default that is nextval() and nothing else, gives keys in the order of the sequence.
_SEQUENCE = r"""
SELECT s.seqrelid, s.seqincrement, s.seqcache, s.seqstart, s.seqcycle, bool_and(a.attidentity = 'a')
FROM pg_attribute a JOIN pg_sequence s ON s.seqrelid IN (
    SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
    UNION
    SELECT d.refobjid FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
     WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND d.refclassid = 'pg_class'::regclass
       AND pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\(''([^'']|'''')+''::regclass\)$')
WHERE a.attname = %s AND a.attrelid = ANY(%s::oid[])
GROUP BY s.seqrelid, s.seqincrement, s.seqcache, s.seqstart, s.seqcycle
ORDER BY s.seqincrement < 0 DESC, s.seqcache DESC, s.seqincrement DESC
"""

#: Where chunks by page range are possible: an ordinary table or a materialized view.
_HEAP_KINDS = frozenset({"r", "m"})
_TABLE_KINDS = frozenset({"r", "p"})


class KeyKind(StrEnum):
    """How new keys of a table appear, which decides how a run finds them."""

    #: From a sequence in steps of one: nothing new can appear below a key once the transactions open then have ended.
    SEQUENCE = "sequence"
    #: Whole numbers in no guaranteed order: an overlap is read again.
    NUMBER = "number"
    #: Points in time: the watermark bounds them.
    TIME = "time"
    #: UUIDs, texts, composites: new ones appear anywhere.
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column at the source; its number is pg_attribute.attnum, 0 in the result of a query."""

    name: str
    type: SourceType
    not_null: bool
    number: int = 0


@dataclass(frozen=True, slots=True)
class Sequence:
    """The sequence behind a key.

    Attributes:
        oid: Its pg_class oid.
        increment, cache, start, cycles: Of its definition.
        is_always: True when the column is GENERATED ALWAYS, so that no key comes from elsewhere.
        is_alone: True when no partition has a sequence of its own.
    """

    oid: int
    increment: int
    cache: int
    start: int
    cycles: bool
    is_always: bool
    is_alone: bool

    @property
    def is_in_order(self) -> bool:
        """True when values come one by one, each above the last."""
        return self.increment == 1 and self.cache == 1 and not self.cycles and self.is_alone


@dataclass(frozen=True, slots=True)
class Table:
    """One relation at the source.

    Attributes:
        oid: Its pg_class oid.
        schema, name: As the catalog spells them.
        kind: pg_class.relkind: r, p, v, m or f.
        estimated_rows: From the last ANALYZE; None when unknown.
        byte_count: Heap and TOAST; 0 for views and foreign tables.
        columns: In table order.
        primary_key: Columns of the primary key, empty without one.
        unique_keys: Column sets that a unique index guards.
        has_children: True when rows of other tables show in it.
    """

    oid: int
    schema: str
    name: str
    kind: str
    estimated_rows: int | None
    byte_count: int
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...]
    unique_keys: tuple[frozenset[str], ...]
    has_children: bool

    @property
    def qualified(self) -> sql.Composable:
        """``"schema"."name"``."""
        return sql.Identifier(self.schema, self.name)

    @property
    def has_heap(self) -> bool:
        """True when all rows have a ctid in this very relation."""
        return self.kind in _HEAP_KINDS and not self.has_children

    @property
    def can_be_locked(self) -> bool:
        """True for tables; a lock on a view would ask for rights on what it reads."""
        return self.kind in {"r", "p"}

    @property
    def row_bytes(self) -> float | None:
        """Average size of a row on disk; None when unknown."""
        if not self.estimated_rows or not self.byte_count:
            return None
        return self.byte_count / self.estimated_rows

    def column(self, name: str, key: str, session: Session) -> SourceColumn:
        """The column that a key of the mapping names.

        Raises:
            StreamNotFound: There is none; the message has the closest names.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise missing_column(name, key, self, session)

    def is_unique(self, key: tuple[str, ...]) -> bool:
        """True when a unique index guards these columns and none of them can be NULL.

        The index of a table that others inherit from guards its own rows only, and theirs show in it too.
        """
        if self.kind == "r" and self.has_children:
            return False
        names = set(key)
        not_null = all(column.not_null for column in self.columns if column.name in names)
        return not_null and any(unique <= names for unique in self.unique_keys)


def missing_column(name: str, key: str, table: Table, session: Session) -> StreamNotFound:
    """The error for a key of the mapping that names no column."""
    close = difflib.get_close_matches(name, [column.name for column in table.columns], n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return StreamNotFound(
        f"`{key}` names column {name}, which table {table.schema}.{table.name} does not have{hint}",
        connector=session.side.connector,
        stream=session.side.stream,
    )


def list_tables(session: Session) -> list[str]:
    """Every table of the database, as `table_name` takes it: partitions belong to their table, views are left out."""
    return [str(name) for (name,) in session.rows(_TABLES)]


def load_table(session: Session, table_name: str) -> Table:
    """Look the table of a spec up. ``table`` means ``public.table``.

    Raises:
        StreamNotFound: It does not exist, or the user may not see it.
    """
    row = session.row(_RELATION, {"name": table_name})
    if row is None:
        msg = (
            f"`table_name` {table_name} does not exist, or the user has no right on its schema; "
            "write it as schema.table, in the exact case"
        )
        raise StreamNotFound(
            msg,
            connector=session.side.connector,
            stream=session.side.stream,
        )
    oid, schema, name, kind, rows, byte_count = row
    types = TypeCatalog(session)
    return Table(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        estimated_rows=rows if rows > 0 else None,
        byte_count=byte_count,
        columns=tuple(
            SourceColumn(attname, types.type_of(typ, mod), not_null, number)
            for attname, number, typ, mod, not_null in session.rows(_COLUMNS, [oid, oid])
        ),
        primary_key=tuple(session.value(_PRIMARY_KEY, [oid]) or ()),
        unique_keys=tuple(frozenset(names) for (names,) in session.rows(_UNIQUE_INDEXES, [oid])),
        has_children=len(session.rows(TREE, [oid])) > 1,
    )


def missing_grants(session: Session, table: Table) -> str:
    """The statements that let the user read the table; empty when it may."""
    may_use, may_read, schema, relation, user = session.rows(
        "SELECT has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), quote_ident(n.nspname),"
        " c.oid::regclass::text, quote_ident(current_user)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s",
        [table.oid],
    )[0]
    grants = [] if may_use else [f"GRANT USAGE ON SCHEMA {schema} TO {user}"]
    grants += [] if may_read else [f"GRANT SELECT ON {relation} TO {user}"]
    return "; ".join(grants)


def load_sequence(session: Session, table: Table, column: str) -> Sequence | None:
    """The sequence that gives a column its values, None without one."""
    tables = [table.oid]
    if table.kind in _TABLE_KINDS and table.has_children:
        tables = [member for (member,) in session.rows(TREE, [table.oid])]
    found = session.rows(_SEQUENCE, [column, tables])
    return Sequence(*(*found[0], len(found) == 1)) if found else None


def key_kind(key: tuple[SourceColumn, ...], sequence: Sequence | None) -> KeyKind:
    """How new keys appear."""
    if len(key) != 1:
        return KeyKind.ANYWHERE
    name = key[0].type.name
    if name in {"int2", "int4", "int8"}:
        if sequence is not None and sequence.increment < 0:
            return KeyKind.ANYWHERE
        return KeyKind.SEQUENCE if sequence is not None and sequence.is_in_order else KeyKind.NUMBER
    if name in {"timestamp", "timestamptz", "date"}:
        return KeyKind.TIME
    return KeyKind.ANYWHERE


def secondary_indexes(session: Session, table: Table, unchanged: frozenset[str]) -> tuple[Index, ...]:
    """Indexes besides the primary key that mean the same at the destination.

    Args:
        session: Of the source.
        table: The table.
        unchanged: Columns that arrive under their name with their type; an index on any other is left out.
    """
    indexes = []
    for name, definition, columns, *before in session.rows(_SECONDARY_INDEXES, [table.oid]):
        if set(columns) <= unchanged:
            rest = next(definition.partition(words)[2] for words in before if words in definition)
            indexes.append(Index(name, f"USING {rest}"))
    return tuple(indexes)
