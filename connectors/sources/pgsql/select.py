"""The SELECT list of a stream: names, casts and masks, so that rows leave the source as they arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2 import sql

from connectors.base import Stream
from connectors.errors import ConfigError, ConnectorError, SourceAuthFailed
from connectors.mapping import Mode, TableSpec
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import SourceColumn, Table, missing_column, missing_grants
from connectors.sources.pgsql.position import ColumnForm
from connectors.sources.pgsql.types import arriving, arriving_expression, spelled
from connectors.types import Column, PgType

#: What stands in place of pg_class.relkind for the result of a query.
QUERY_KIND = "q"
SNAPSHOT_COLUMN = "migration_snapshot_date"
_MASKED_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext"})
# With their lowest values: rounded down, the lowest numbers would leave their type, so they are rounded up.
_MASKED_NUMBERS = {"int2": -(2**15), "int4": -(2**31), "int8": -(2**63)}


@dataclass(frozen=True, slots=True)
class Selected:
    """One output column.

    Attributes:
        column: As it arrives.
        expression: What to select for it.
        has_binary: True when its binary COPY form means the same everywhere.
        is_unchanged: True when it keeps its name, type and value.
        form: What decides its values; None for a column that the run adds.
        wire: Its type as the server described it with the query's result; None where that was not asked.
    """

    column: Column
    expression: sql.Composable
    has_binary: bool
    is_unchanged: bool
    form: ColumnForm | None = None
    wire: tuple[object, ...] | None = None


def select_list(session: Session, table: Table, stream: Stream) -> tuple[Selected, ...]:
    """The columns of a spec in table order.

    Raises:
        StreamNotFound: col_rename or masking_columns name a column that is not there.
        SourceAuthFailed: The user may not read it.
        ConfigError: A mask does not fit its column, or two columns arrive under one name.
    """
    spec = stream.spec
    assert isinstance(spec, TableSpec)  # noqa: S101 - the registry pairs pgsql sources with table specs
    renames = dict(spec.col_rename)
    masks = dict(spec.masking_columns)
    known = {column.name for column in table.columns}
    for key, names in (("col_rename", renames), ("masking_columns", masks)):
        for name in names:
            if name not in known:
                raise missing_column(name, key, table, session)
    selected = tuple(
        _select(column, spec, renames.get(column.name, column.name), masks.get(column.name), session)
        for column in table.columns
    )
    _refuse_clashes(selected, session, is_dump=stream.mode is Mode.DUMPING)
    if table.kind == QUERY_KIND or not selected:
        return selected
    query = sql.SQL("SELECT {} FROM {}").format(select_clause(selected), table.qualified)
    try:
        wires = described(session, query)
    except SourceAuthFailed as error:
        raise _no_right(session, table, error) from error
    return tuple(replace(each, wire=wire) for each, wire in zip(selected, wires, strict=True))


def _no_right(session: Session, table: Table, refused: ConnectorError) -> ConnectorError:
    """The refusal with the statement that helps; as it is when the user may read the table, and a view's owner not."""
    grants = missing_grants(session, table)
    if not grants:
        return refused
    message = f"the user may not read {table.schema}.{table.name}; run {grants}"
    return SourceAuthFailed(message, connector=session.side.connector, stream=session.side.stream)


def described(session: Session, query: sql.Composable) -> list[tuple[object, ...]]:
    """Type, size, precision and scale of each column of a query's result, as the server sees them now."""
    with session.described(sql.SQL("SELECT * FROM ({}) AS described LIMIT 0").format(query)) as columns:
        return [(column.type_code, column.internal_size, column.precision, column.scale) for column in columns]


def snapshot_column(stream: Stream, t0: datetime) -> Selected:
    """The constant column that dumping adds: UTC wall time, or an instant when the spec is strict."""
    pg_type = snapshot_type(stream)
    literal = sql.SQL("{}::timestamptz").format(sql.Literal(t0.isoformat()))
    # The session's time zone is UTC, so the cast of an instant is its UTC wall time.
    return Selected(
        Column(SNAPSHOT_COLUMN, pg_type, nullable=False),
        sql.SQL("{}::{}").format(literal, sql.SQL(pg_type.text)),
        has_binary=True,
        is_unchanged=False,
    )


def snapshot_type(stream: Stream) -> PgType:
    """Type of migration_snapshot_date."""
    strict = isinstance(stream.spec, TableSpec) and stream.spec.strict
    return PgType("timestamp with time zone" if strict else "timestamp without time zone")


def select_clause(selected: tuple[Selected, ...]) -> sql.Composable:
    """``expression AS "name", ...``."""
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(each.expression, sql.Identifier(each.column.name)) for each in selected
    )


def _select(column: SourceColumn, spec: TableSpec, name: str, mask: int | None, session: Session) -> Selected:
    pg_type = arriving(column.type, strict=spec.strict)
    expression = arriving_expression(sql.Identifier(column.name), column.type, strict=spec.strict)
    if mask is not None:
        expression = _masked(expression, column, mask, session)
    is_dump = spec.mode is Mode.DUMPING
    return Selected(
        Column(
            name,
            pg_type,
            nullable=is_dump or not column.not_null,
            source_name=column.name,
        ),
        expression,
        has_binary=column.type.has_binary or pg_type.text in {"text", "text[]"},
        is_unchanged=mask is None and name == column.name and pg_type == column.type.pg,
        form=ColumnForm(column.number, spelled(column.type.pg), pg_type != column.type.pg, mask or 0),
    )


def _masked(expression: sql.Composable, column: SourceColumn, count: int, session: Session) -> sql.Composable:
    """Texts lose their last `count` characters to X; whole numbers are rounded down to a multiple of 10^count."""
    if column.type.name in _MASKED_TEXTS:
        return sql.SQL("(left({0}, -{1}) || repeat('X', least({1}, length({0}))))::{2}").format(
            expression, sql.Literal(count), sql.SQL(column.type.local)
        )
    if column.type.name in _MASKED_NUMBERS:
        # greatest() would give NULLs the lowest value.
        return sql.SQL(
            "CASE WHEN {0} IS NOT NULL THEN (greatest(floor({0}::numeric / {1}), trunc({2} / {1})) * {1})::{3} END"
        ).format(
            expression,
            sql.SQL(f"1e{count}"),
            sql.SQL(f"({_MASKED_NUMBERS[column.type.name]}::numeric)"),
            sql.SQL(column.type.local),
        )
    msg = (
        f"`masking_columns` names column {column.name} of type {column.type.pg.text}, but only text and whole-number"
        " columns can be masked; leave the column out with a view instead"
    )
    raise ConfigError(
        msg,
        connector=session.side.connector,
        stream=session.side.stream,
    )


def forms_of(selected: tuple[Selected, ...]) -> dict[str, ColumnForm]:
    """The forms by the columns' names at the destination."""
    return {each.column.name: each.form for each in selected if each.form is not None}


def _refuse_clashes(selected: tuple[Selected, ...], session: Session, *, is_dump: bool) -> None:
    seen: dict[str, str | None] = {}
    for each in selected:
        if is_dump and each.column.name == SNAPSHOT_COLUMN:
            msg = (
                f"column {each.column.source_name} would arrive as {SNAPSHOT_COLUMN}, the column that dumping adds;"
                " give it another name with `col_rename`"
            )
            raise ConfigError(msg, connector=session.side.connector, stream=session.side.stream)
        if each.column.name in seen:
            msg = (
                f"columns {seen[each.column.name]} and {each.column.source_name} would both arrive as"
                f" {each.column.name}; change `col_rename`"
            )
            raise ConfigError(
                msg,
                connector=session.side.connector,
                stream=session.side.stream,
            )
        seen[each.column.name] = each.column.source_name
