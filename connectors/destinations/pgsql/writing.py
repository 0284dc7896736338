"""Rows of a chunk into the table: straight by COPY, or through a temporary table that inserts and updates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

from connectors.base import CopyFormat, RowStream
from connectors.destinations.pgsql.target import Target, columns_sql, same_key
from connectors.destinations.pgsql.types import FIRST_USER_OID
from connectors.errors import ConnectorError, DestinationError, SourceError
from connectors.faults import FaultPoint, pass_point
from connectors.postgres.pipe import Copied, copy_rows
from connectors.types import Column

STAGE = "dms_stage"
# A key of another type can change to one that is equal to it: 'Name' to 'NAME' in citext, 1.0 to 1.00. These cannot,
# and an identity column, which is always one of them, must not be set.
_ONE_FORM_A_VALUE = frozenset({"smallint", "integer", "bigint", "uuid", "date"})
_WORK_MEMORY = "128MB"
# With the default of 4 the planner reads two million rows to update 20,000 of them: 1.3 s, against 0.2 s by the index.
_RANDOM_PAGE_COST = "1.1"
#: From so many staged rows on it pays to ask how close together their keys lie: a join does not know, and reads the
#: table, or all of its index below them, for each chunk. Re-copying equal rows in six chunks took twice the time.
MANY_ROWS = 10_000
#: The table may have so many rows in the range of the staged keys for each of them.
_ROWS_IN_RANGE = 4
#: Types of keys that every server can hash, and whose text is read back as the same value.
PLAIN_KEY = re.compile(
    r"smallint|integer|bigint|uuid|text|character varying(\(\d+\))?|date|timestamp(\(\d\))? with(out)? time zone"
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a chunk changed, by the destination's own count."""

    copied: Copied
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Keyed:
    """The target's key and what is known of it.

    Attributes:
        key: Destination names; empty for none.
        is_unique_at_source: An index at the source guards it, so staged rows need no check.
        is_partitioned: The target guards no key itself.
    """

    key: tuple[str, ...]
    is_unique_at_source: bool
    is_partitioned: bool


def copy_straight(target: Target, rows: RowStream) -> Written:
    """COPY the rows into the table itself."""
    copied = _copy_into(target, target.name, rows)
    return Written(copied, inserted=copied.written)


def is_unique_violation(error: ConnectorError) -> bool:
    """True when the server found a key that is there already."""
    return isinstance(error.__cause__, psycopg2.errors.UniqueViolation)


def upsert(target: Target, rows: RowStream, keyed: Keyed) -> Written:
    """Insert the rows that are new, update those whose row image differs.

    Raises:
        SourceError: The rows hold one key twice, or a key with NULL.
    """
    copied = stage_rows(target, rows, keyed)
    if copied.written == 0:
        return Written(copied)
    names = [column.name for column in rows.columns]
    match = _match(target, rows.columns, keyed.key, copied.written)
    updated = _update(target, rows.columns, keyed.key, match)
    is_done = updated == copied.written and _guards_keys(target)
    inserted = 0 if is_done else _insert(target, names, keyed.key, match)
    return Written(copied, inserted=inserted, updated=updated)


def insert(target: Target, rows: RowStream, keyed: Keyed) -> Written:
    """Insert the rows whose key is not there.

    Raises:
        SourceError: The rows hold one key twice, or a key with NULL.
    """
    copied = stage_rows(target, rows, keyed)
    if copied.written == 0:
        return Written(copied)
    match = _match(target, rows.columns, keyed.key, copied.written)
    return Written(copied, inserted=_insert(target, [column.name for column in rows.columns], keyed.key, match))


def stage_rows(target: Target, rows: RowStream, keyed: Keyed) -> Copied:
    """COPY the rows into a temporary table of the target's column types, which is dropped with the transaction."""
    if not keyed.key:
        raise target.error(DestinationError, "the rows have no key to be found by; name a `primary_key` in the mapping")
    session = target.session
    session.execute(
        "SELECT set_config('work_mem', %s, true), set_config('random_page_cost', %s, true)",
        [_WORK_MEMORY, _RANDOM_PAGE_COST],
    )
    # AS SELECT keeps types and collations, and leaves constraints and defaults behind.
    session.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(STAGE), columns_sql([column.name for column in rows.columns]), target.name
        )
    )
    copied = _copy_into(target, sql.Identifier("pg_temp", STAGE), rows)
    # Without it the planner takes the key for far from unique. All columns would cost as much as the update itself.
    stage = sql.Identifier("pg_temp", STAGE)
    session.execute(sql.SQL("ANALYZE {} ({})").format(stage, columns_sql(keyed.key)))
    _check_keys(target, keyed)
    return copied


def copy_format(target: Target, rows: RowStream) -> CopyFormat:
    """Binary when both ends give the same bytes the same meaning, else text."""
    if rows.binary_version is None or rows.binary_version != target.session.major_version:
        return CopyFormat.TEXT
    names = [column.name for column in rows.columns]
    actual = dict(
        target.session.rows(
            "SELECT a.attname, CASE WHEN coalesce(nullif(t.typelem, 0), t.oid) < %s AND t.oid < %s"
            " THEN format_type(a.atttypid, a.atttypmod) END"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND a.attname = ANY (%s::name[])",
            [FIRST_USER_OID, FIRST_USER_OID, target.qualified, names],
        )
    )
    same = all(
        column.pg_type.user is None and actual.get(column.name) == column.pg_type.text for column in rows.columns
    )
    return CopyFormat.BINARY if same else CopyFormat.TEXT


def _copy_into(target: Target, relation: sql.Composable, rows: RowStream) -> Copied:
    into = sql.SQL("{} ({})").format(relation, columns_sql([column.name for column in rows.columns]))
    copied = copy_rows(target.session, rows, into, copy_format(target, rows), target.report)
    pass_point(FaultPoint.AFTER_STAGE_COPY)
    if copied.read != copied.written:
        raise target.error(
            DestinationError,
            f"the source gave {copied.read} rows and the destination took {copied.written}; a trigger or rule on"
            f" {target.schema}.{target.table} drops rows: remove it",
        )
    return copied


def _check_keys(target: Target, keyed: Keyed) -> None:
    """Two rows of one key in one snapshot mean that the mapping's key is none."""
    if keyed.is_unique_at_source:
        return
    stage = sql.Identifier("pg_temp", STAGE)
    keys = columns_sql(keyed.key)
    names = ", ".join(keyed.key)
    has_null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier(name)) for name in keyed.key)
    nulls = target.session.value(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(stage, has_null))
    if nulls:
        raise target.error(
            SourceError,
            f"{nulls} rows have NULL in the key ({names}); set `primary_key` to columns that are never NULL",
        )
    duplicates = target.session.value(
        sql.SQL("SELECT count(*) FROM (SELECT FROM {} GROUP BY {} HAVING count(*) > 1) AS doubled").format(stage, keys)
    )
    if duplicates:
        raise target.error(
            SourceError,
            f"{duplicates} keys ({names}) stand in more than one row of one snapshot; set `primary_key` to columns that"
            " are unique together",
        )


def _match(target: Target, columns: Sequence[Column], key: Sequence[str], staged: int) -> sql.Composable:
    """The condition that a row `t` of the table and a staged row `s` have one key.

    Where the staged keys lie close together it says so too, for the table's part in their range to be read alone.
    """
    same = same_key(key, "t", "s")
    first = next(column for column in columns if column.name == key[0])
    if staged < MANY_ROWS or first.pg_type.user is not None or not PLAIN_KEY.fullmatch(first.pg_type.text):
        return same
    name, stage = sql.Identifier(first.name), sql.Identifier("pg_temp", STAGE)
    ends = [
        sql.SQL("(SELECT b.{0} FROM {1} AS b WHERE b.{0} IS NOT NULL ORDER BY b.{0} {2} LIMIT 1)").format(
            name, stage, sql.SQL(order)
        )
        for order in ("ASC", "DESC")
    ]
    within = sql.SQL("t.{0} >= {1} AND t.{0} <= {2}")
    # For the estimate the values themselves; the planner does not look into subqueries.
    values = target.session.row(sql.SQL("SELECT {}::text, {}::text").format(*ends)) or (None, None)
    typed = [sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(first.pg_type.text)) for value in values]
    expected = _expected_rows(target, within.format(name, *typed))
    if expected > min(_ROWS_IN_RANGE * staged, _expected_rows(target, sql.SQL("true")) / 2):
        return same
    # Not by the values: planned for these the range may look empty, as to statistics of a time before these rows, and
    # then all of its rows would be gone through for each staged one. And a stage's value is of the table's own type
    # and collation, whatever the source has.
    return sql.SQL("{} AND {}").format(same, within.format(name, *ends))


def _expected_rows(target: Target, condition: sql.Composable) -> int:
    """How many rows of the table the planner expects to meet the condition."""
    plan = target.session.value(
        sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} AS t WHERE {}").format(target.name, condition)
    )
    return int(plan[0]["Plan"]["Plan Rows"])


def _guards_keys(target: Target) -> bool:
    """True when no two rows of the table can have one key: those of partitions, and of tables that inherit, can."""
    query = "SELECT relkind = 'r' AND NOT relhassubclass FROM pg_class WHERE oid = %s::regclass"
    return bool(target.session.value(query, [target.qualified]))


def _update(target: Target, columns: Sequence[Column], key: Sequence[str], match: sql.Composable) -> int:
    names = [column.name for column in columns]
    settable = [
        column.name for column in columns if column.name not in key or column.pg_type.text not in _ONE_FORM_A_VALUE
    ]
    if not settable:
        return 0
    # The stored bytes are compared: IS DISTINCT FROM takes 1.0 for 1.00 and has no answer for json or point. Between
    # two ROW() the operator *<> would be looked for column by column, so its function is called.
    statement = sql.SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {} AND record_image_ne(ROW({}), ROW({}))").format(
        target.name,
        sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in settable),
        sql.Identifier("pg_temp", STAGE),
        match,
        columns_sql(names, of="t"),
        columns_sql(names, of="s"),
    )
    return target.session.execute(statement)


def _insert(target: Target, names: Sequence[str], key: Sequence[str], match: sql.Composable) -> int:
    statement = sql.SQL(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS s"
        " WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {})"
    ).format(
        target.name,
        columns_sql(names),
        columns_sql(names, of="s"),
        sql.Identifier("pg_temp", STAGE),
        target.name,
        match,
    )
    inserted = target.session.execute(statement)
    _refuse_dropped_rows(target, key)
    return inserted


def _refuse_dropped_rows(target: Target, key: Sequence[str]) -> None:
    """A trigger of the table may keep rows out without an error; then a staged key is still not there."""
    if not target.session.value("SELECT relhastriggers FROM pg_class WHERE oid = %s::regclass", [target.qualified]):
        return
    dropped = target.session.value(
        sql.SQL("SELECT count(*) FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(
            sql.Identifier("pg_temp", STAGE), target.name, same_key(key, "t", "s")
        )
    )
    if dropped:
        raise target.error(
            DestinationError,
            f"{dropped} rows did not arrive in {target.schema}.{target.table}; a trigger on it drops rows: remove it",
        )
