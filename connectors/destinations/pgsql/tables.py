"""The table itself: plan its creation, or what must change in it before the rows of today's schema fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg2 import sql

from connectors.destinations.pgsql import partitions
from connectors.destinations.pgsql.target import NAME_BYTES, Target, columns_sql, shortened
from connectors.destinations.pgsql.types import FIRST_USER_OID, TypePlan, mismatch, modifier, plan_types
from connectors.types import Column, StreamSchema

_TABLE_KINDS = ("r", "p")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as it stands in the destination's table."""

    name: str
    type_text: str
    type_oid: int
    not_null: bool
    has_default: bool
    is_generated: bool
    in_primary_key: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The destination's table as it stands."""

    oid: int
    is_partitioned: bool
    partition_column: str | None
    columns: dict[str, TableColumn]


@dataclass(slots=True)
class TablePlan:
    """What prepare() has to do.

    Attributes:
        statements: In their order.
        summaries: The same for people: long batches as one line.
        key_index: A unique index on the key of a table that has none; run last, since duplicates make it fail.
        added_columns: Columns that the table gets.
        notes: What differs and is left alone.
        creates: True when the table is missing.
        alters: True when one that is there gets other columns.
        makes_types: True when types of the source are made, or get values.
        is_partitioned: As it is, or as it will be made.
    """

    statements: list[sql.Composable] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    key_index: sql.Composable | None = None
    added_columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    creates: bool = False
    alters: bool = False
    makes_types: bool = False
    is_partitioned: bool = False

    def add(self, target: Target, statement: sql.Composable, summary: str | None = None) -> None:
        """Append a statement."""
        self.statements.append(statement)
        self.summaries.append(summary or target.session.text(statement))


def key_of(target: Target, schema: StreamSchema) -> tuple[str, ...]:
    """The key that the destination's rows have: none in a dump, which holds many snapshots of one row."""
    return () if target.is_dump else schema.key


def read_table(target: Target) -> Table | None:
    """The table as it stands, None when it is missing.

    Raises:
        SchemaMismatch: Something else has its name.
    """
    oid = target.relation_oid()
    if oid is None:
        return None
    row = target.session.row(
        "SELECT c.relkind, (SELECT a.attname FROM pg_partitioned_table p JOIN pg_attribute a"
        " ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = c.oid)"
        " FROM pg_class c WHERE c.oid = %s",
        [oid],
    )
    kind, partition_column = row or (None, None)
    if kind not in _TABLE_KINDS:
        raise mismatch(
            target,
            "a view or another object has the table's name; rename it, or set another `schema` on the destination",
        )
    columns = target.session.rows(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint, a.attnotnull,"
        " a.atthasdef OR a.attidentity <> '', a.attgenerated <> '',"
        " EXISTS (SELECT FROM pg_index i"
        " WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))"
        " FROM pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [oid],
    )
    return Table(oid, kind == "p", partition_column, {column[0]: TableColumn(*column) for column in columns})


def plan_table(target: Target, schema: StreamSchema) -> TablePlan:
    """Decide what must be created or changed. Changes nothing.

    Raises:
        SchemaMismatch: The table cannot take the rows, and only a person can decide what to do.
    """
    _check_column_names(target, schema)
    types = plan_types(target, schema.columns)
    plan = TablePlan(notes=list(types.notes), makes_types=bool(types.statements))
    for statement in types.statements:
        plan.add(target, statement)
    table = read_table(target)
    if table is None:
        _plan_creation(plan, target, schema, types)
    else:
        _plan_changes(plan, target, schema, types, table)
        plan.alters = len(plan.statements) > len(types.statements)
    return plan


def _check_column_names(target: Target, schema: StreamSchema) -> None:
    for column in schema.columns:
        if len(column.name.encode()) > NAME_BYTES:
            raise mismatch(
                target, f"the column name {column.name!r} is over {NAME_BYTES} bytes; shorten it with `col_rename`"
            )


def _plan_creation(plan: TablePlan, target: Target, schema: StreamSchema, types: TypePlan) -> None:
    plan.creates = True
    key = key_of(target, schema)
    partition_column = partitions.partition_column(target, schema)
    plan.is_partitioned = partition_column is not None
    parts = [_definition(column, types, required=column.name in key) for column in schema.columns]
    if key and partition_column is None:
        parts.append(sql.SQL("PRIMARY KEY ({})").format(columns_sql(key)))
    create = sql.SQL("CREATE TABLE {} (\n    {}\n)").format(target.name, sql.SQL(",\n    ").join(parts))
    if partition_column is None:
        plan.add(target, create)
        return
    plan.add(target, create + sql.SQL(" PARTITION BY RANGE ({})").format(sql.Identifier(partition_column)))
    if key:
        # A unique index would have to hold the partition column, and then guards nothing.
        plan.add(target, sql.SQL("CREATE INDEX ON {} ({})").format(target.name, columns_sql(key)))
    plan.add(target, partitions.creation(target), partitions.SUMMARY.format(table=target.table))


def _definition(column: Column, types: TypePlan, *, required: bool = False) -> sql.Composable:
    definition = sql.SQL("{} {}").format(sql.Identifier(column.name), types.sql_of(column.pg_type))
    return definition if column.nullable and not required else definition + sql.SQL(" NOT NULL")


def _plan_changes(plan: TablePlan, target: Target, schema: StreamSchema, types: TypePlan, table: Table) -> None:
    key = key_of(target, schema)
    plan.is_partitioned = table.is_partitioned
    for column in schema.columns:
        existing = table.columns.get(column.name)
        if existing is None:
            if column.name in key:
                _refuse_missing_key(target, column.name)
            # Rows that are there have no value for it, whatever the source demands.
            definition = sql.SQL("{} {}").format(sql.Identifier(column.name), types.sql_of(column.pg_type))
            plan.add(target, sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(target.name, definition))
            plan.added_columns.append(column.name)
            continue
        _check_column(target, column, existing, types)
        if existing.not_null and column.nullable and column.name not in key and not existing.in_primary_key:
            _drop_not_null(plan, target, column.name)
    known = {column.name for column in schema.columns}
    for existing in table.columns.values():
        if existing.name not in known:
            _plan_extra(plan, target, existing)
    _note_partitions(plan, target, schema, table)
    if key and not _has_key_index(target, table, key):
        unique = sql.SQL("" if table.is_partitioned else "UNIQUE ")
        plan.key_index = sql.SQL("CREATE {}INDEX {} ON {} ({})").format(
            unique, sql.Identifier(shortened(f"{target.table}_{'_'.join(key)}_dms_key")), target.name, columns_sql(key)
        )


def _refuse_missing_key(target: Target, name: str) -> None:
    """Rows that are there would have no key, and so would be there once more under one."""
    if target.session.value(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(target.name)):
        column = target.session.text(sql.Identifier(name))
        raise mismatch(
            target,
            f"the key column {column} is not in the table, whose rows would have no key; run ALTER TABLE"
            f" {target.qualified} RENAME COLUMN to {column} for the column that has the key, or rename or drop the"
            " table, and the next run copies everything anew",
        )


def _check_column(target: Target, column: Column, existing: TableColumn, types: TypePlan) -> None:
    name = target.session.text(sql.Identifier(column.name))
    if existing.is_generated:
        raise mismatch(
            target,
            f"the column {name} is generated at the destination and cannot take the source's values; run"
            f" ALTER TABLE {target.qualified} ALTER COLUMN {name} DROP EXPRESSION",
        )
    if _same_type(column, existing, types):
        return
    expected = target.session.text(types.sql_of(column.pg_type))
    raise mismatch(
        target,
        f"the column {name} is {existing.type_text} here and {expected} at the source. Run ALTER TABLE"
        f" {target.qualified} ALTER COLUMN {name} TYPE {expected} USING {name}::{expected}, or rename or drop the"
        " table, and the next run copies everything anew",
    )


def _same_type(column: Column, existing: TableColumn, types: TypePlan) -> bool:
    pg_type = column.pg_type
    if pg_type.user is None:
        return existing.type_oid < FIRST_USER_OID and existing.type_text == pg_type.text
    return existing.type_oid == types.oid_of(pg_type) and modifier(pg_type) == _modifier_of(existing.type_text)


def _modifier_of(type_text: str) -> str:
    rest = type_text.removesuffix("[]")
    return rest[rest.rindex("(") :] if rest.endswith(")") else ""


def _plan_extra(plan: TablePlan, target: Target, existing: TableColumn) -> None:
    """A column that the source does not have (any more) stays; it must only not stop new rows."""
    if not existing.not_null or existing.has_default or existing.is_generated:
        return
    if existing.in_primary_key:
        raise mismatch(
            target,
            f"the column {existing.name} is in the primary key and the source does not have it (any more); drop that"
            " primary key, or rename or drop the table, and the next run copies everything anew",
        )
    _drop_not_null(plan, target, existing.name)
    plan.notes.append(f"the source has no column {existing.name}: it stays, NULL in new rows")


def _drop_not_null(plan: TablePlan, target: Target, name: str) -> None:
    statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(target.name, sql.Identifier(name))
    plan.add(target, statement)


def _note_partitions(plan: TablePlan, target: Target, schema: StreamSchema, table: Table) -> None:
    wanted = partitions.partition_column(target, schema)
    if wanted == table.partition_column:
        return
    now = f"partitioned by {table.partition_column}" if table.partition_column else "not partitioned"
    asked = f"partitions by {wanted}" if wanted else "no partitions"
    plan.notes.append(
        f"the table is {now} and the mapping asks for {asked}: it is left as it is; rename or drop it, and the next run"
        " makes it anew"
    )


def _has_key_index(target: Target, table: Table, key: tuple[str, ...]) -> bool:
    found = target.session.value(
        "SELECT 1 FROM pg_index i WHERE i.indrelid = %s AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL"
        " AND i.indexprs IS NULL AND (i.indisunique OR %s)"
        " AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a"
        " WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) = %s LIMIT 1",
        [table.oid, table.is_partitioned, sorted(key)],
    )
    return found is not None
