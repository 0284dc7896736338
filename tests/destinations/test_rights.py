"""A plan warns of what the user may not do, and the statements that it names let the run through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.base import Write
from connectors.errors import DestinationAuthFailed
from connectors.types import StreamSchema
from tests.databases import PgDatabase
from tests.destinations.support import ORDERS, SCHEMA, bench, column, make_stream

WIDER = replace(ORDERS, columns=(*ORDERS.columns, column("added")))


@pytest.fixture
def login(pg_database: PgDatabase) -> Iterator[dict[str, str]]:
    """A user who may sign in and no more."""
    role = f"{pg_database.name}_writer"
    pg_database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    yield {"username": role, "password": "x"}
    pg_database.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def warnings_of(database: PgDatabase, login: dict[str, str], schema: StreamSchema, **spec: Any) -> list[str]:
    with bench(database, make_stream(**spec), schema, config=login) as one:
        one.destination.connect()
        assert one.destination.plan_statements(schema) is not None
        return one.report.warnings


def obey(database: PgDatabase, warnings: list[str]) -> None:
    """Run the first statement of each warning."""
    for warning in warnings:
        found = re.search(r"run ((?:GRANT|ALTER) .*?)(?:, or |$)", warning)
        assert found is not None, warning
        database.execute(found[1])


def fill(database: PgDatabase) -> None:
    """The table as somebody else's user has made it."""
    with bench(database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        one.destination.finish()


def test_user_without_rights_is_told_before_the_run(pg_database: PgDatabase, login: dict[str, str]) -> None:
    warnings = warnings_of(pg_database, login, ORDERS)
    assert len(warnings) == 1
    assert warnings[0].startswith(f"a run would fail: the schema {SCHEMA} is missing and the user may not create it")
    obey(pg_database, warnings)
    assert warnings_of(pg_database, login, ORDERS) == []
    with bench(pg_database, config=login) as one:
        one.start()
        assert one.write("SELECT 1, 'a'", Write.UPSERT).inserted == 1


def test_schema_that_may_not_be_used_is_named(pg_database: PgDatabase, login: dict[str, str]) -> None:
    pg_database.execute(f"CREATE SCHEMA {SCHEMA}")
    with pytest.raises(DestinationAuthFailed) as refused:
        warnings_of(pg_database, login, ORDERS)
    obey(pg_database, [refused.value.message])
    assert warnings_of(pg_database, login, ORDERS) == []


@pytest.mark.parametrize(
    ("mode", "rights"),
    [
        ("logging", "SELECT, INSERT"),
        ("syncing", "SELECT, INSERT, UPDATE"),
        ("mirroring", "SELECT, INSERT, UPDATE, DELETE"),
    ],
)
def test_rights_on_a_table_are_those_that_the_mode_needs(
    pg_database: PgDatabase, login: dict[str, str], mode: str, rights: str
) -> None:
    fill(pg_database)
    pg_database.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {login['username']}")
    warnings = warnings_of(pg_database, login, ORDERS, mode=mode)
    assert len(warnings) == 2
    assert f'GRANT SELECT, INSERT, UPDATE ON "{SCHEMA}"."_dms_state" TO {login["username"]}' in warnings[0]
    assert f'GRANT {rights} ON "{SCHEMA}"."orders" TO {login["username"]}' in warnings[1]
    obey(pg_database, warnings)
    assert warnings_of(pg_database, login, ORDERS, mode=mode) == []
    with bench(pg_database, make_stream(mode=mode), config=login) as one:
        one.start()
        assert one.write("SELECT 2, 'b'", Write.INSERT, first=False).inserted == 1


@pytest.mark.parametrize(("expiry", "rights"), [(None, "INSERT"), ({"days": 1}, "SELECT, INSERT, DELETE")])
def test_dump_needs_no_more_than_to_add_rows_and_to_remove_old_ones(
    pg_database: PgDatabase, login: dict[str, str], expiry: dict[str, int] | None, rights: str
) -> None:
    fill(pg_database)
    pg_database.execute(
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {login['username']};"
        f"GRANT SELECT, INSERT, UPDATE ON {SCHEMA}._dms_state TO {login['username']}"
    )
    spec = {"mode": "dumping"} if expiry is None else {"mode": "dumping", "expiry": expiry}
    (warning,) = warnings_of(pg_database, login, ORDERS, **spec)
    assert f'GRANT {rights} ON "{SCHEMA}"."orders" TO' in warning
    obey(pg_database, [warning])
    with bench(pg_database, make_stream(mode="dumping"), config=login) as one:
        one.start()
        assert one.write("SELECT 2, 'b'", first=False).inserted == 1


def test_new_column_needs_the_owner(pg_database: PgDatabase, login: dict[str, str]) -> None:
    fill(pg_database)
    role = login["username"]
    pg_database.execute(
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}"
    )
    assert warnings_of(pg_database, login, ORDERS) == []
    (warning,) = warnings_of(pg_database, login, WIDER)
    assert f'ALTER TABLE "{SCHEMA}"."orders" OWNER TO {role}' in warning
    obey(pg_database, [warning])
    assert warnings_of(pg_database, login, WIDER) == []
