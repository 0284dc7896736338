"""Mirroring's deletion: the source's keys are staged, rows without one are counted, guarded and deleted."""

from __future__ import annotations

from psycopg2 import sql

from connectors.base import CopyFormat, RowStream
from connectors.destinations.pgsql.target import Target, columns_sql, same_key
from connectors.destinations.pgsql.writing import PLAIN_KEY, STAGE, Keyed, Written, copy_format, stage_rows
from connectors.errors import DeleteRefused
from connectors.postgres.hashing import record_digest
from connectors.postgres.pipe import Copied

_DOOMED = "dms_doomed"
_HASHES_RECORDS_SINCE = 14


def delete_absent(target: Target, keys: RowStream, keyed: Keyed) -> Written:
    """Delete the rows whose key is not among the keys.

    Raises:
        DeleteRefused: More would go than the guard lets through.
    """
    same = _same_keys(target, keys)
    if same is not None:
        return Written(Copied(read=same, written=0, byte_count=0))
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


def _same_keys(target: Target, keys: RowStream) -> int | None:
    """The number of keys when both ends hold the same, None when they differ or that cannot be told.

    Moving and joining two million keys takes four times as long. A false match needs two sets of one size whose 64-bit
    hashes have one sum; then rows stay that a later run deletes.
    """
    is_comparable = (
        target.session.major_version >= _HASHES_RECORDS_SINCE
        and all(PLAIN_KEY.fullmatch(column.pg_type.text) for column in keys.columns)
        and copy_format(target, keys) is CopyFormat.BINARY
    )
    theirs = keys.key_digest() if is_comparable else None
    if theirs is None:
        return None
    names = columns_sql([column.name for column in keys.columns])
    ours = record_digest(target.session, sql.SQL("SELECT {} FROM {}").format(names, target.name))
    return ours.rows if ours == theirs else None


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
