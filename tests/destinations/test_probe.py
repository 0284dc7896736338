"""The connection test: every step with its outcome, the first failing one with its remedy."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import Options, Step
from connectors.destinations.pgsql.probe import probe
from tests.databases import PgDatabase
from tests.destinations.support import SCHEMA, make_config


def steps(database: PgDatabase, schema: str | None = SCHEMA, **config: Any) -> dict[str, Step]:
    """The steps by name."""
    found = probe(make_config(database, **config), schema, label="shop", options=Options(connect_timeout_s=2))
    return {step.name: step for step in found}


def test_good_destination_passes_and_nothing_stays(pg_database: PgDatabase) -> None:
    before = pg_database.rows("SELECT nspname FROM pg_namespace ORDER BY 1")
    found = steps(pg_database)
    assert list(found) == ["resolve", "connect", "TLS", "sign in", "version", "rights", "write and delete", "clock"]
    assert {step.outcome for name, step in found.items() if name != "TLS"} == {"ok"}
    assert found["TLS"].outcome == "warning"
    assert "sslmode" in found["TLS"].detail
    assert pg_database.rows("SELECT nspname FROM pg_namespace ORDER BY 1") == before


def test_unknown_host_ends_at_the_first_step(pg_database: PgDatabase) -> None:
    found = steps(pg_database, url="no-such-host.invalid")
    assert list(found) == ["resolve"]
    assert "`url`" in found["resolve"].detail


def test_port_on_which_nothing_listens(pg_database: PgDatabase) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = steps(pg_database, url=f"127.0.0.1:{unused.getsockname()[1]}")
    assert list(found) == ["resolve", "connect"]
    assert "`port`" in found["connect"].detail


def test_server_that_never_answers_ends_in_time(pg_database: PgDatabase) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        found = steps(pg_database, url=f"127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - started < 10
    assert found["TLS"].outcome == "failed"


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        ({"password": "wrong-secret"}, "`password`"),
        ({"username": "nobody_here"}, "`username`"),
        ({"db_name": "none"}, "`db_name`"),
    ],
)
def test_refused_sign_in_names_the_setting_and_no_secret(
    pg_database: PgDatabase, config: dict[str, str], setting: str
) -> None:
    step = steps(pg_database, **config)["sign in"]
    assert step.outcome == "failed"
    assert setting in step.detail
    assert "wrong-secret" not in step.detail


@pytest.fixture
def login(pg_database: PgDatabase) -> Iterator[dict[str, Any]]:
    """A user who may sign in to the database and do nothing else there; its name has to be quoted."""
    pg_database.execute(f"CREATE ROLE {_role(pg_database)} LOGIN PASSWORD 'x'")
    yield {"username": _role(pg_database).strip('"'), "password": "x"}
    pg_database.execute(f"DROP OWNED BY {_role(pg_database)}; DROP ROLE {_role(pg_database)}")


def _role(database: PgDatabase) -> str:
    return f'"{database.name}-Writer"'


def obey(database: PgDatabase, detail: str, statement: str) -> None:
    """Run the statement that a step names."""
    assert statement in detail
    database.execute(statement)


def test_missing_rights_are_named_with_their_grant(pg_database: PgDatabase, login: dict[str, Any]) -> None:
    role = _role(pg_database)
    missing = steps(pg_database, **login)["rights"]
    assert missing.outcome == "failed"
    assert f"GRANT CREATE ON DATABASE {pg_database.value('SELECT quote_ident(current_database())')}" in missing.detail
    obey(pg_database, missing.detail, f'CREATE SCHEMA "{SCHEMA}" AUTHORIZATION {role}')
    assert steps(pg_database, **login)["write and delete"].outcome == "ok"

    pg_database.execute(f'CREATE SCHEMA "Mixed Case"; GRANT USAGE ON SCHEMA "Mixed Case" TO {role}')
    denied = steps(pg_database, "Mixed Case", **login)["rights"]
    assert denied.outcome == "failed"
    obey(pg_database, denied.detail, f'GRANT CREATE ON SCHEMA "Mixed Case" TO {role}')
    assert steps(pg_database, "Mixed Case", **login)["write and delete"].outcome == "ok"


def test_without_a_schema_the_right_to_make_any_is_asked_for(pg_database: PgDatabase, login: dict[str, Any]) -> None:
    refused = steps(pg_database, None, **login)["rights"]
    assert refused.outcome == "failed"
    assert "CREATE SCHEMA" not in refused.detail
    database = pg_database.value("SELECT quote_ident(current_database())")
    obey(pg_database, refused.detail, f"GRANT CREATE ON DATABASE {database} TO {_role(pg_database)}")
    before = pg_database.rows("SELECT nspname FROM pg_namespace ORDER BY 1")
    assert steps(pg_database, None, **login)["write and delete"].outcome == "ok"
    assert pg_database.rows("SELECT nspname FROM pg_namespace ORDER BY 1") == before


def test_temporary_tables_are_needed(pg_database: PgDatabase, login: dict[str, Any]) -> None:
    database = pg_database.value("SELECT quote_ident(current_database())")
    role = _role(pg_database)
    pg_database.execute(
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; GRANT CREATE ON DATABASE {database} TO {role}"
    )
    refused = steps(pg_database, **login)["rights"]
    assert refused.outcome == "failed"
    obey(pg_database, refused.detail, f"GRANT TEMPORARY ON DATABASE {database} TO {role}")
    assert steps(pg_database, **login)["write and delete"].outcome == "ok"
