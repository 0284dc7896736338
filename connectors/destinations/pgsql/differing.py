"""Which of many rows differ, told by their hashes: for sources that have to compare everything in every run."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from connectors.base import CopyFormat, HashForm, RowStream
from connectors.destinations.pgsql.target import Target, columns_sql, same_key
from connectors.destinations.pgsql.writing import STAGE, Keyed
from connectors.postgres.hashing import HashedRows, hashed_value
from connectors.postgres.pipe import copy_rows
from connectors.types import Column


def differing_keys(target: Target, hashes: RowStream, keyed: Keyed, columns: Sequence[Column]) -> set[tuple[str, ...]]:
    """Those of the keys that no row of the table has, or one with another hash, as text. Leaves nothing behind."""
    session = target.session
    stage = sql.Identifier("pg_temp", STAGE)
    hash_name = sql.Identifier(hashes.columns[-1].name)
    values = [hashed_value(sql.Identifier("t", column.name), column.pg_type, HashForm.PORTABLE) for column in columns]
    hashed = HashedRows(target.name, values, (), encoding=session.encoding).hash
    session.begin()
    try:
        # AS SELECT keeps the types and collations of the key.
        session.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}, 0::bigint AS {} FROM {} WITH NO DATA"
            ).format(sql.Identifier(STAGE), columns_sql(keyed.key), hash_name, target.name)
        )
        into = sql.SQL("{} ({})").format(stage, columns_sql([column.name for column in hashes.columns]))
        copy_rows(session, hashes, into, CopyFormat.TEXT, target.report)
        session.execute(sql.SQL("ANALYZE {}").format(stage))
        texts = sql.SQL(", ").join(sql.SQL("s.{}::text").format(sql.Identifier(name)) for name in keyed.key)
        found = session.rows(
            sql.SQL("SELECT {} FROM {} AS s LEFT JOIN {} AS t ON {} WHERE {} IS DISTINCT FROM s.{}").format(
                texts,
                stage,
                target.name,
                same_key(keyed.key, "t", "s"),
                # Of a row that is not there, not even the hash of nothing but NULLs.
                sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(sql.Identifier("t", keyed.key[0]), hashed),
                hash_name,
            )
        )
    finally:
        session.rollback()
    return {tuple(map(str, key)) for key in found}
