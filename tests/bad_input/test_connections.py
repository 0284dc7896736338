"""Servers that cannot be reached, do not answer, refuse, or go away while rows move."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import (
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
    Recovery,
    SourceAuthFailed,
    SourceUnavailable,
    StreamNotFound,
)
from tests.bad_input.support import SECRET, Databases, mapping, refused
from tests.builders import run_once
from tests.databases import PgDatabase
from tests.relay import closed_port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'x')")
    return two_databases


def with_keys(databases: Databases, side: str, **keys: Any) -> dict[str, Any]:
    raw = mapping(databases)
    (raw["source"] if side == "source" else raw["destination"]["dest"]).update(keys)
    return raw


def test_wrong_password_at_the_source(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    raw = with_keys(databases, "source", password=SECRET)
    with refused(caplog, SourceAuthFailed, "pgsql source", "`username`", "`password`"):
        run_once(raw)


def test_wrong_password_at_the_destination(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    raw = with_keys(databases, "destination", password=SECRET)
    with refused(caplog, DestinationAuthFailed, "pgsql destination", "`username`", "`password`"):
        run_once(raw)


def test_unknown_user(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    raw = with_keys(databases, "source", username="nobody_at_all", password=SECRET)
    with refused(caplog, SourceAuthFailed, "pgsql source", "`username`"):
        run_once(raw)


def test_unknown_host(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    raw = with_keys(databases, "source", url="no-such-host.invalid", password=SECRET)
    with refused(caplog, SourceUnavailable, "pgsql source", "`url`", within_s=30):
        run_once(raw)


def test_closed_port(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    raw = with_keys(databases, "destination", port=closed_port(), password=SECRET)
    with refused(caplog, DestinationUnavailable, "pgsql destination", "`url`", "`port`"):
        run_once(raw)
    assert DestinationUnavailable.recovery is Recovery.RETRY


def test_server_that_never_answers(databases: Databases, caplog: pytest.LogCaptureFixture, silent_port: int) -> None:
    raw = with_keys(databases, "source", port=silent_port, password=SECRET)
    with refused(caplog, SourceUnavailable, "pgsql source", "did not answer in time", within_s=6):
        run_once(raw, connect_timeout_s=2)


def test_something_else_listens(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        raw = with_keys(databases, "source", port=listener.getsockname()[1], password=SECRET)
        with refused(caplog, SourceUnavailable, "pgsql source", "`port`"):
            run_once(raw)
        thread.join()


@pytest.mark.parametrize(
    ("side", "kind"), [("source", StreamNotFound), ("destination", DestinationError)], ids=["source", "destination"]
)
def test_missing_database(
    databases: Databases,
    caplog: pytest.LogCaptureFixture,
    side: str,
    kind: type[StreamNotFound] | type[DestinationError],
) -> None:
    raw = with_keys(databases, side, db_name="no_such_database")
    with refused(caplog, kind, f"pgsql {side}", "`db_name`"):
        run_once(raw)


@pytest.mark.parametrize(
    ("side", "kind"),
    [("source", SourceUnavailable), ("destination", DestinationUnavailable)],
    ids=["source", "destination"],
)
@pytest.mark.parametrize("mode", ["dumping", "syncing"])
def test_server_kills_the_session_in_mid_copy(
    databases: Databases,
    caplog: pytest.LogCaptureFixture,
    side: str,
    kind: type[SourceUnavailable] | type[DestinationUnavailable],
    mode: str,
) -> None:
    """The open chunk is gone, nothing of it stays, and the next run finishes the work."""
    source, destination = databases
    source.execute("TRUNCATE t; INSERT INTO t SELECT n, repeat(md5(n::text), 50) FROM generate_series(1, 300000) n")
    keys = {} if mode == "syncing" else {"bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}
    raw = mapping(databases, mode=mode, **keys)
    killed = source if side == "source" else destination
    killer = threading.Thread(target=kill_copy, args=(killed,))
    killer.start()
    with refused(caplog, kind, f"pgsql {side}", "tried again", within_s=60):
        run_once(raw, chunk_bytes=200_000_000)
    killer.join()
    assert kind.recovery is Recovery.RETRY
    wait_until_left(destination)
    assert destination.value("SELECT count(*) FROM arrived.t") == 0
    assert run_once(raw, chunk_bytes=200_000_000).inserted == 300_000


def kill_copy(database: PgDatabase) -> None:
    """Terminate the first COPY that runs in the database."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE 'COPY %' AND state = 'active' AND pid <> pg_backend_pid()"
        )
        if found:
            return
        time.sleep(0.02)


def wait_until_left(database: PgDatabase) -> None:
    """Wait until no writer is connected."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'dms%'"
    ):
        time.sleep(0.05)
