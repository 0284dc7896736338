"""Mirroring's deletion: the source's keys are staged, rows without one are counted, guarded and deleted."""

from __future__ import annotations

from psycopg2 import sql

from connectors.base import RowStream
from connectors.destinations.pgsql.target import Target, columns_sql, same_key
from connectors.destinations.pgsql.writing import STAGE, Keyed, Written, stage_rows
from connectors.errors import DeleteRefused

_DOOMED = "dms_doomed"


def delete_absent(target: Target, keys: RowStream, keyed: Keyed) -> Written:
    """Delete the rows whose key is not among the keys.

    Raises:
        DeleteRefused: More would go than the guard lets through.
    """
    copied = stage_rows(target, keys, keyed)
    doomed = _find_doomed(target, keyed.key)
    if doomed == 0:
        return Written(copied)
    _guard(target, doomed, source_rows=copied.read)
    deleted = target.session.execute(
        sql.SQL("DELETE FROM {} AS t USING {} AS d WHERE {}").format(
            target.name, sql.Identifier("pg_temp", _DOOMED), same_key(keyed.key, "t", "d")
        )
    )
    return Written(copied, deleted=deleted)


def missing_keys(target: Target, keys: RowStream, keyed: Keyed) -> list[tuple[str, ...]]:
    """Those of the keys that no row of the table has, as text. Leaves nothing behind."""
    target.session.begin()
    try:
        stage_rows(target, keys, keyed)
        texts = sql.SQL(", ").join(sql.SQL("s.{}::text").format(sql.Identifier(name)) for name in keyed.key)
        return target.session.rows(
            sql.SQL("SELECT {} FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(
                texts, sql.Identifier("pg_temp", STAGE), target.name, same_key(keyed.key, "t", "s")
            )
        )
    finally:
        target.session.rollback()


def _find_doomed(target: Target, key: tuple[str, ...]) -> int:
    return target.session.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} AS t"
            " WHERE NOT EXISTS (SELECT FROM {} AS s WHERE {})"
        ).format(
            sql.Identifier(_DOOMED),
            columns_sql(key, of="t"),
            target.name,
            sql.Identifier("pg_temp", STAGE),
            same_key(key, "t", "s"),
        )
    )


def _guard(target: Target, doomed: int, *, source_rows: int) -> None:
    options = target.stream.options
    if options.allow_deletes is not None and options.allow_deletes >= doomed:
        return
    total = int(target.session.value(sql.SQL("SELECT count(*) FROM {}").format(target.name)))
    share = doomed / total
    if source_rows == 0:
        reason = "the source is empty"
    elif total >= options.delete_guard_rows and share > options.max_delete_fraction:
        reason = f"that is {share:.0%}, above the limit of {options.max_delete_fraction:.0%}"
    else:
        return
    message = (
        f"mirroring would delete {doomed} of {total} rows of {target.schema}.{target.table}, and {reason}; nothing was"
        f" deleted. If that is what should happen, run again with --allow-deletes {doomed}"
    )
    raise DeleteRefused(message, doomed=doomed, connector=target.session.side.connector, stream=target.stream.unique_id)
