"""Secondary indexes: the source's, or those that the mapping names, built after the first copy."""

from __future__ import annotations

import re
from collections.abc import Sequence

from psycopg2 import sql

from connectors.destinations.pgsql.state import fenced_transaction
from connectors.destinations.pgsql.target import Target, shortened
from connectors.errors import ConnectorError, Fenced, Stopped
from connectors.types import Index

_BUILD_MEMORY = "256MB"
_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
# As pg_get_indexdef() writes it: what follows the table's name is kept, names and UNIQUE are not.
_DDL = re.compile(
    rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?:{_NAME}\s+)?"
    rf"ON\s+(?:ONLY\s+)?{_NAME}(?:\.{_NAME})*\s*(?P<rest>(?:USING\b|\().*?);?\s*",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def wanted_indexes(target: Target, copied: Sequence[Index]) -> list[Index]:
    """The mapping's `indexes` where it names any, else the source's."""
    named = getattr(target.stream.spec, "indexes", None)
    if named is None:
        return list(copied)
    wanted = []
    for name, ddl in named.items():
        found = _DDL.fullmatch(ddl)
        if found is None or ";" in _QUOTED.sub("", found["rest"]):
            target.report.warn(
                f"the index {name} of the mapping was not built: `indexes` takes one statement a name, of the form"
                " CREATE INDEX name ON table (columns)"
            )
            continue
        wanted.append(Index(name, found["rest"].strip()))
    return wanted


def build(target: Target, indexes: Sequence[Index]) -> None:
    """Build what is missing, each in a transaction of its own; a failing one is a warning.

    Raises:
        Fenced: Another writer has taken over.
    """
    present = _present(target)
    for index in indexes:
        name = index_name(target, index)
        if name in present:
            continue
        statement = statement_for(target, index)
        try:
            with fenced_transaction(target):
                target.session.execute("SELECT set_config('maintenance_work_mem', %s, true)", [_BUILD_MEMORY])
                target.session.execute(statement)
        except (Fenced, Stopped, target.session.side.unavailable):
            raise
        except ConnectorError as error:
            target.report.warn(f"the index {name} was not built: {error.message}")


def statement_for(target: Target, index: Index) -> sql.Composable:
    """The statement that builds the index; never UNIQUE, since the source guards its own rules."""
    return sql.SQL("CREATE INDEX {} ON {} {}").format(
        sql.Identifier(index_name(target, index)), target.name, sql.SQL(index.method_and_columns)
    )


def index_name(target: Target, index: Index) -> str:
    """The index's name at the destination: index names are one space for the whole schema."""
    own = index.name == target.table or index.name.startswith(f"{target.table}_")
    return shortened(index.name if own else f"{target.table}_{index.name}")


def _present(target: Target) -> set[str]:
    rows = target.session.rows(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass",
        [target.qualified],
    )
    return {row[0] for row in rows}
