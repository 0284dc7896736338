"""Management commands, as `manage.py` runs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from django.core.management import execute_from_command_line

#: They work without tables, or make them.
_NEED_NO_TABLES = frozenset({"check", "makemigrations", "migrate", "test"})
_FAILED = 1
#: What PostgreSQL calls a table that is not there.
_UNDEFINED_TABLE = "42P01"


def main(argv: Sequence[str]) -> None:
    """Run a command.

    Args:
        argv: As ``sys.argv``.

    Raises:
        SystemExit: It failed, or the control database lacks its tables, which is said in a sentence.
    """
    # The settings are not read yet, and these may name them.
    from django.db import DatabaseError

    try:
        execute_from_command_line(list(argv))
    except DatabaseError as error:
        if "--traceback" in argv or not _NEED_NO_TABLES.isdisjoint(argv[1:2]) or not _lacks_a_table(error):
            raise
        sys.stderr.write(f"{_sentence()}\n")
        raise SystemExit(_FAILED) from None


def _lacks_a_table(error: Exception) -> bool:
    state = getattr(error.__cause__, "pgcode", None)
    return state == _UNDEFINED_TABLE or str(error).startswith("no such table: ")


def _sentence() -> str:
    from django.db import connection

    named = connection.settings_dict
    server = ":".join(str(named[key]) for key in ("HOST", "PORT") if named.get(key))
    place = f"{server}/{named['NAME']}" if server else named["NAME"]
    has_tables = bool(connection.introspection.table_names())
    state = "does not have all tables of this version" if has_tables else "has no tables yet"
    return f"the control database {state} ({place}); run `./run manage migrate` first"
