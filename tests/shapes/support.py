"""Copies from schema public to schema arrived of one database, and comparison of the two."""

from __future__ import annotations

from typing import Any

from tests.builders import RunResult, make_mapping, make_table, run_once
from tests.databases import PgDatabase


def copy(database: PgDatabase, table: str, *, options: Any = None, **spec: Any) -> RunResult:
    """One run of a strict stream, syncing by id without a bookmark unless told otherwise; `options` of the run."""
    keys: dict[str, Any] = {"strict": True, "bookmark": False, **spec}
    if keys.get("mode") == "dumping":
        keys |= {"bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
    return run_once(make_mapping(database, database, make_table(table, **keys)), **(options or {}))


def quoted(name: str) -> str:
    """The name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def rows(database: PgDatabase, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """All rows, in an order that depends on nothing but them."""
    return sorted(database.rows(f"SELECT {columns} FROM {table}"), key=repr)


def assert_same(database: PgDatabase, source: str, arrived: str, columns: str = "*") -> None:
    """The destination has the source's rows."""
    expected = rows(database, source, columns)
    assert expected
    assert rows(database, f"arrived.{arrived}", columns) == expected
