"""The connection test: every step with its outcome, the first failing one with its remedy."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from connectors.base import Options, Step
from connectors.destinations.pgsql.probe import probe
from tests.databases import PgDatabase
from tests.destinations.support import SCHEMA, make_config


def steps(database: PgDatabase, schema: str = SCHEMA, **config: Any) -> dict[str, Step]:
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


def test_missing_rights_are_named_with_their_grant(pg_database: PgDatabase) -> None:
    role = pg_database.name
    pg_database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    login = {"username": role, "password": "x"}
    try:
        missing = steps(pg_database, **login)["rights"]
        assert missing.outcome == "failed"
        assert f'CREATE SCHEMA "{SCHEMA}" AUTHORIZATION' in missing.detail
        pg_database.execute(f'CREATE SCHEMA "Mixed Case"; GRANT USAGE ON SCHEMA "Mixed Case" TO {role}')
        denied = steps(pg_database, "Mixed Case", **login)["rights"]
        assert denied.outcome == "failed"
        assert 'GRANT USAGE, CREATE ON SCHEMA "Mixed Case"' in denied.detail
        pg_database.execute(f'GRANT CREATE ON SCHEMA "Mixed Case" TO {role}')
        assert steps(pg_database, "Mixed Case", **login)["write and delete"].outcome == "ok"
    finally:
        pg_database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
