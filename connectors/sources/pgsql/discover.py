"""What a PostgreSQL database holds, and how each table could be copied. Asks the catalog alone, in five queries."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from connectors.base import Options
from connectors.mapping import KeyType, Mode, PgsqlSource
from connectors.postgres.errors import source_side
from connectors.postgres.session import Session
from connectors.verbs import BookmarkCandidate, FoundTable, KeyCandidate, Proposal

_STATEMENT_TIMEOUT_S = 30

# Partitions belong to their table, and what an extension made is its own.
_RELATIONS = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       CASE WHEN c.relkind = 'p' THEN (SELECT sum(greatest(l.reltuples, 0))::bigint FROM pg_partition_tree(c.oid) t
                                         JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
            WHEN c.reltuples >= 0 AND c.relkind <> 'v' THEN c.reltuples::bigint END,
       CASE WHEN c.relkind = 'p' THEN (SELECT sum(pg_table_size(t.relid))::bigint FROM pg_partition_tree(c.oid) t)
            WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) END,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                     AND d.deptype = 'e')
  AND (CAST(%(schema)s AS text) IS NULL OR n.nspname = %(schema)s)
ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid::bigint, a.attname, t.typname, a.attnotnull,
       a.attidentity <> '' OR coalesce(pg_get_expr(f.adbin, f.adrelid), '') LIKE 'nextval(%%'
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attrelid = ANY (CAST(%(oids)s AS oid[])) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_INDEXES = """
SELECT i.indrelid::bigint, i.indisprimary,
       i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate,
       ARRAY(SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY k(num, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.place)
FROM pg_index i WHERE i.indrelid = ANY (CAST(%(oids)s AS oid[])) AND i.indisvalid ORDER BY i.indrelid, i.indexrelid
"""
# Row triggers that fire before an update (bits 1, 2 and 16 of tgtype): only they can set a column.
_TRIGGERS = """
SELECT g.tgrelid::bigint, p.prosrc || ' ' || encode(g.tgargs, 'escape')
FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
WHERE g.tgrelid = ANY (CAST(%(oids)s AS oid[])) AND NOT g.tgisinternal AND g.tgtype & 19 = 19 AND g.tgenabled <> 'D'
"""

# Of a partitioned table the statistics over all its partitions count. Those of tables that may not be read are hidden.
_NULLS = """
SELECT DISTINCT ON (c.oid, s.attname) c.oid::bigint, s.attname, s.null_frac
FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
WHERE c.oid = ANY (CAST(%(oids)s AS oid[])) AND s.attname = ANY (CAST(%(names)s AS name[]))
ORDER BY c.oid, s.attname, s.inherited DESC
"""

_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
_TIMES = frozenset({"timestamptz", "timestamp", "date"})
_INTEGERS = frozenset({"int2", "int4", "int8"})
_UPDATE_NAME = re.compile(r"(updat|modif|chang|last.?edit|mtime|touched)", re.IGNORECASE)
_INSERT_NAME = re.compile(r"(creat|insert|added|logged|occurred|event)", re.IGNORECASE)
_LOG_NAME = re.compile(r"(^|_)(logs?|events?|audits?|history|journal)($|_)", re.IGNORECASE)
#: From this score on a column is taken to change with its row.
_TELLS_UPDATES = 50


def discover(config: PgsqlSource, *, label: str, schema: str | None = None) -> list[FoundTable]:
    """Every table, view and foreign table that is not the system's.

    Args:
        config: Where the database is, resolved.
        label: Who asks, for errors and application_name.
        schema: Only this schema.

    Raises:
        SourceError: It cannot be reached or asked.
    """
    session = Session(config, source_side(label), Options(statement_timeout_s=_STATEMENT_TIMEOUT_S), read_only=True)
    try:
        relations = session.rows(_RELATIONS, {"schema": schema})
        wanted = {"oids": [row[0] for row in relations]}
        columns = _by_relation(session.rows(_COLUMNS, wanted))
        indexes = _by_relation(session.rows(_INDEXES, wanted))
        triggers = _by_relation(session.rows(_TRIGGERS, wanted))
        dated = {name for each in columns.values() for name, type_name, *_ in each if type_name in _TIMES}
        nulls = _by_relation(session.rows(_NULLS, wanted | {"names": sorted(dated)}))
    finally:
        session.close()
    return [_found(row, columns[row[0]], indexes[row[0]], triggers[row[0]], dict(nulls[row[0]])) for row in relations]


def _by_relation(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    grouped: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for oid, *rest in rows:
        grouped[oid].append(tuple(rest))
    return grouped


def _found(
    relation: tuple[Any, ...],
    columns: Sequence[tuple[Any, ...]],
    indexes: Sequence[tuple[Any, ...]],
    triggers: Sequence[tuple[Any, ...]],
    null_shares: dict[str, float],
) -> FoundTable:
    _, schema, name, kind, rows, byte_count, may_read = relation
    types = {column: (type_name, not_null, is_counted) for column, type_name, not_null, is_counted in columns}
    keys = _keys(types, indexes)
    key = keys[0] if keys else ()
    bookmarks = _bookmarks(types, indexes, " ".join(source for (source,) in triggers), null_shares)
    return FoundTable(
        schema=schema,
        name=name,
        kind=_KINDS[kind],
        estimated_rows=rows,
        byte_count=byte_count,
        may_read=may_read,
        primary_key=key,
        bookmarks=bookmarks,
        proposal=_propose(name, schema, key, types, bookmarks),
        keys=tuple(KeyCandidate(each, tuple(_datatype(types[column][0]).value for column in each)) for each in keys),
    )


def _keys(types: dict[str, tuple[Any, ...]], indexes: Sequence[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    """The primary key, then the unique indexes without NULLs, the shortest first."""
    primary = [tuple(columns) for is_primary, _, columns in indexes if is_primary]
    unique = [
        tuple(columns)
        for _, is_unique, columns in indexes
        if is_unique and columns and all(types[column][1] for column in columns)
    ]
    return list(dict.fromkeys([*primary, *sorted(unique, key=len)]))


def _bookmarks(
    types: dict[str, tuple[Any, ...]],
    indexes: Sequence[tuple[Any, ...]],
    triggers: str,
    null_shares: dict[str, float],
) -> tuple[BookmarkCandidate, ...]:
    leading = {columns[0] for _, _, columns in indexes if columns}
    found = []
    for column, (type_name, not_null, _) in types.items():
        if type_name not in _TIMES:
            continue
        is_maintained = re.search(rf"\b{re.escape(column)}\b", triggers) is not None
        score = 60 * bool(_UPDATE_NAME.search(column)) + 50 * is_maintained
        score += (
            10 * not_null + 10 * (column in leading) + 5 * (type_name == "timestamptz") - 20 * (type_name == "date")
        )
        share = 0.0 if not_null else null_shares.get(column)
        found.append(BookmarkCandidate(column, type_name, score, not_null, column in leading, is_maintained, share))
    return tuple(sorted(found, key=lambda candidate: (-candidate.score, candidate.column)))


def _propose(
    name: str,
    schema: str,
    key: tuple[str, ...],
    types: dict[str, tuple[Any, ...]],
    bookmarks: tuple[BookmarkCandidate, ...],
) -> Proposal:
    spec: dict[str, Any] = {
        "table_name": name if schema == "public" else f"{schema}.{name}",
        "cron": "self-managed",
    }
    if not key:
        reason = "no primary key and no unique index without NULLs, so single rows cannot be followed"
        return Proposal(spec | {"mode": Mode.DUMPING.value}, reason)
    spec |= _key_spec(key, [types[column][0] for column in key])
    best = bookmarks[0] if bookmarks and bookmarks[0].score >= _TELLS_UPDATES else None
    grows = len(key) == 1 and types[key[0]][0] in _INTEGERS and types[key[0]][2]
    if best is not None:
        why = (
            "a trigger sets it" if best.is_maintained else "by its name it changes with the row; no trigger ensures it"
        )
        reason = f"{best.column} tells what changed ({why}); choose mirroring if rows are deleted, too"
        return Proposal(_with_mode(spec, Mode.SYNCING) | {"bookmark": best.column}, reason)
    inserted = next((each.column for each in bookmarks if _INSERT_NAME.search(each.column)), None)
    if _LOG_NAME.search(name) and (grows or inserted is not None):
        reason = "by its name rows are only added; choose another mode if they change"
        bookmark = {} if grows else {"bookmark": inserted}
        return Proposal(_with_mode(spec, Mode.LOGGING) | bookmark, reason)
    reason = "no column tells when a row changed, so every run compares all rows; for a large table add such a column"
    return Proposal(_with_mode(spec, Mode.SYNCING) | {"bookmark": False}, reason)


def _with_mode(spec: dict[str, Any], mode: Mode) -> dict[str, Any]:
    return {"table_name": spec["table_name"], "cron": spec["cron"], "mode": mode.value} | spec


def _key_spec(key: tuple[str, ...], type_names: Sequence[str]) -> dict[str, Any]:
    datatypes = [_datatype(type_name).value for type_name in type_names]
    if len(key) == 1:
        return {"primary_key": key[0], "primary_key_datatype": datatypes[0]}
    return {"primary_key": list(key), "primary_key_datatype": datatypes}


def _datatype(type_name: str) -> KeyType:
    if type_name in _INTEGERS:
        return KeyType.INT
    if type_name == "uuid":
        return KeyType.UUID
    return KeyType.DATETIME if type_name in _TIMES else KeyType.STR
