"""The state row of a table: who owns it, who writes it now, and the position that its rows hold.

A writer never locks the row while it works. Its last statement before COMMIT updates the row where the epoch is still
its own: row lock and commit are one step, so a successor that raises the epoch either comes first, and the commit
finds no row, or waits for that short step and then reads the position it stored. Were the row locked from the start
of a chunk, a successor that may not terminate the old session would have to wait for it, for ever if it is frozen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from connectors.base import Position, Resume
from connectors.destinations.pgsql.target import STATE_TABLE, Target
from connectors.errors import ConfigError, ConnectorError, Fenced

_END_OF_WRITER_S = 10.0
_POLL_S = 0.05
_FLAGS = ("created_by_us", "first_copy", "indexes_built")

_CREATE = sql.SQL("""
CREATE TABLE IF NOT EXISTS {state} (
    table_name text PRIMARY KEY,
    stream text NOT NULL,
    epoch bigint NOT NULL,
    table_oid oid,
    created_by_us boolean NOT NULL DEFAULT false,
    position jsonb,
    first_copy boolean NOT NULL DEFAULT false,
    indexes_built boolean NOT NULL DEFAULT false,
    writer_pid integer,
    writer_started timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
)""")

# A table that is not the one of the stored oid holds none of the rows that the position speaks of.
_TAKE_OVER = sql.SQL("""
INSERT INTO {state} AS held (table_name, stream, epoch, writer_pid, writer_started)
SELECT %(table)s, %(stream)s, %(floor)s + 1, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT (table_name) DO UPDATE SET
    epoch = greatest(held.epoch, %(floor)s) + 1,
    position = CASE WHEN {same} THEN held.position END,
    created_by_us = held.created_by_us AND {same},
    first_copy = held.first_copy AND {same},
    indexes_built = held.indexes_built AND {same},
    table_oid = CASE WHEN {same} THEN held.table_oid END,
    writer_pid = excluded.writer_pid,
    writer_started = excluded.writer_started,
    updated_at = now()
WHERE held.stream = excluded.stream
RETURNING epoch, position""")
_SAME_TABLE = sql.SQL("(held.table_oid IS NOT DISTINCT FROM to_regclass(%(qualified)s)::oid)")

_RESET = sql.SQL("""
INSERT INTO {state} AS held (table_name, stream, epoch, position, table_oid)
VALUES (%(table)s, %(stream)s, 1, %(position)s, to_regclass(%(qualified)s)::oid)
ON CONFLICT (table_name) DO UPDATE SET
    epoch = held.epoch + 1,
    position = excluded.position,
    table_oid = excluded.table_oid,
    created_by_us = held.created_by_us AND {same},
    first_copy = false,
    updated_at = now()
WHERE held.stream = excluded.stream
RETURNING epoch""")


@dataclass(frozen=True, slots=True)
class StateRow:
    """The part of the row that decides how the table may be written."""

    table_oid: int | None
    created_by_us: bool
    first_copy: bool
    indexes_built: bool


def exists(target: Target) -> bool:
    """True when the schema has a state table."""
    name = target.session.text(target.state)
    return target.session.value("SELECT to_regclass(%s) IS NOT NULL", [name]) is True


def ensure(target: Target) -> None:
    """Create the schema and its state table where they are missing."""
    if exists(target):
        return
    with target.transaction():
        lock_schema(target)
        for statement in creation(target):
            target.session.execute(statement)


def creation(target: Target) -> list[sql.Composable]:
    """The statements that make the schema and its state table, as far as they are missing."""
    statements: list[sql.Composable] = []
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even when it is there.
    quoted = target.session.text(sql.Identifier(target.schema))
    if target.session.value("SELECT to_regnamespace(%s) IS NULL", [quoted]):
        statements.append(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(target.schema)))
    if not exists(target):
        statements.append(_CREATE.format(state=target.state))
    return statements


def lock_schema(target: Target) -> None:
    """Let one transaction at a time create what streams of one schema share."""
    target.session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"dms:{target.schema}"])


def refusal(target: Target) -> ConnectorError | None:
    """What `take_over` would raise now; None when the table is this stream's, or nobody's."""
    if not exists(target):
        return None
    owner = target.session.value(
        sql.SQL("SELECT stream FROM {} WHERE table_name = %s").format(target.state), [target.table]
    )
    return None if owner in {None, target.stream.unique_id} else _owned(target, owner)


def take_over(target: Target, epoch_floor: int) -> Resume:
    """End the previous writer, raise the epoch and return what is stored.

    Raises:
        ConfigError: The table belongs to another stream.
    """
    before = target.session.row(
        sql.SQL(
            "SELECT stream, writer_pid, writer_started, position IS NOT NULL,"
            " table_oid IS NOT DISTINCT FROM to_regclass(%s)::oid FROM {} WHERE table_name = %s"
        ).format(target.state),
        [target.qualified, target.table],
    )
    if before is not None:
        owner, pid, started, has_position, is_same_table = before
        if owner != target.stream.unique_id:
            raise _owned(target, owner)
        _end_writer(target, pid, started)
        if has_position and not is_same_table:
            target.report.warn(
                f"the table {target.schema}.{target.table} was dropped or made anew since the last run: full copy"
            )
    raised = target.session.row(
        _TAKE_OVER.format(state=target.state, same=_SAME_TABLE),
        {
            "table": target.table,
            "stream": target.stream.unique_id,
            "floor": epoch_floor,
            "qualified": target.qualified,
        },
    )
    if raised is None:
        raise _owned(target, "another stream")
    target.epoch = int(raised[0])
    return Resume(epoch=target.epoch, position=raised[1])


def stored_position(target: Target) -> Position | None:
    """The position as it stands, None when the table is not the one it was stored for."""
    if not exists(target):
        return None
    position: Position | None = target.session.value(
        sql.SQL(
            "SELECT position FROM {} WHERE table_name = %s AND stream = %s"
            " AND table_oid IS NOT DISTINCT FROM to_regclass(%s)::oid"
        ).format(target.state),
        [target.table, target.stream.unique_id, target.qualified],
    )
    return position


def reset(target: Target, position: Position | None) -> None:
    """Store another position under a raised epoch; the next run writes with upserts.

    Raises:
        ConfigError: The table belongs to another stream.
    """
    if position is None and not exists(target):
        return
    ensure(target)
    done = target.session.row(
        _RESET.format(state=target.state, same=_SAME_TABLE),
        {
            "table": target.table,
            "stream": target.stream.unique_id,
            "position": _json(position),
            "qualified": target.qualified,
        },
    )
    if done is None:
        raise _owned(target, "another stream")


def release(target: Target) -> bool:
    """Give the table up, so that another stream can take it; the table stays. True when it was this stream's."""
    if not exists(target):
        return False
    statement = sql.SQL("DELETE FROM {} WHERE table_name = %s AND stream = %s").format(target.state)
    return target.session.execute(statement, [target.table, target.stream.unique_id]) == 1


def read_held(target: Target) -> StateRow:
    """The row of this writer, locked until the transaction ends.

    Raises:
        Fenced: Another writer has taken over.
    """
    row = target.session.row(
        sql.SQL(
            "SELECT table_oid, created_by_us, first_copy, indexes_built FROM {}"
            " WHERE table_name = %s AND stream = %s AND epoch = %s FOR UPDATE"
        ).format(target.state),
        [target.table, target.stream.unique_id, target.epoch],
    )
    if row is None:
        raise _fenced(target)
    oid, created_by_us, first_copy, indexes_built = row
    return StateRow(None if oid is None else int(oid), created_by_us, first_copy, indexes_built)


def record(target: Target, position: Position, *, is_first_copy: bool) -> None:
    """Store the position in the open transaction, as its last statement before COMMIT.

    Raises:
        Fenced: Another writer has taken over.
    """
    _update(
        target,
        "position = %s, first_copy = first_copy AND %s",
        [_json(position), is_first_copy],
    )


def store(target: Target, *, table_oid: int | None = None, **flags: bool) -> None:
    """Store the table's identity or flags of the row in the open transaction.

    Raises:
        Fenced: Another writer has taken over.
    """
    unknown = set(flags) - set(_FLAGS)
    if unknown:
        message = f"not flags of the state row: {sorted(unknown)}"
        raise ValueError(message)
    changes = [f"{flag} = %s" for flag in flags]
    values: list[Any] = list(flags.values())
    if table_oid is not None:
        changes.append("table_oid = %s")
        values.append(table_oid)
    # Without a change the epoch is still checked.
    _update(target, ", ".join(changes) or "epoch = epoch", values)


@contextmanager
def fenced_transaction(target: Target) -> Iterator[None]:
    """A transaction outside of chunks that commits only while this writer is the current one.

    Raises:
        Fenced: Another writer has taken over.
    """
    with target.transaction():
        yield
        store(target)


def _update(target: Target, changes: str, values: list[Any]) -> None:
    statement = sql.SQL(
        f"UPDATE {{}} SET {changes}, updated_at = now() WHERE table_name = %s AND stream = %s AND epoch = %s"  # noqa: S608 - fixed column names
    ).format(target.state)
    if target.session.execute(statement, [*values, target.table, target.stream.unique_id, target.epoch]) != 1:
        raise _fenced(target)


def _end_writer(target: Target, pid: int | None, started: Any) -> None:
    """Terminate the session of the previous writer: its locks would hold up this run, though it can commit no more."""
    if pid is None or not _lives(target, pid, started):
        return
    try:
        # The start is compared again because pids are used again.
        target.session.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s",
            [pid, started],
        )
    except ConnectorError as error:
        if not isinstance(error, target.session.side.auth_failed):
            raise
        _warn_of_writer(target, pid)
        return
    deadline = time.monotonic() + _END_OF_WRITER_S
    while _lives(target, pid, started):
        if time.monotonic() > deadline:
            _warn_of_writer(target, pid)
            return
        time.sleep(_POLL_S)


def _lives(target: Target, pid: int, started: Any) -> bool:
    # Without the right to see other users' sessions their start is NULL, and nothing proves that it is the same one.
    found = target.session.value(
        "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND backend_start = %s AND pid <> pg_backend_pid()",
        [pid, started],
    )
    return found is not None


def _warn_of_writer(target: Target, pid: int) -> None:
    target.report.warn(
        f"the session of an earlier run (pid {pid}) still lives and could not be ended; it can commit no more, but it"
        " may hold locks. Grant pg_signal_backend to the user in `username`, or end the session by hand"
    )


def _json(position: Position | None) -> str | None:
    # A database in SQL_ASCII takes no escapes for what is not ASCII.
    return None if position is None else json.dumps(dict(position), ensure_ascii=False)


def _fenced(target: Target) -> ConnectorError:
    return target.error(
        Fenced,
        f"a newer run has taken over {target.schema}.{target.table}; what this run had open was rolled back,"
        " its earlier commits stand. Nothing needs to be done",
    )


def _owned(target: Target, owner: str) -> ConnectorError:
    return target.error(
        ConfigError,
        f"the table {target.schema}.{target.table} belongs to {owner} (see {STATE_TABLE}); set another `schema` on the"
        " destination, or release the table from its owner with `reset_checkpoint --release`",
    )
