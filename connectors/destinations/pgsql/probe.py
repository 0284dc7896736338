"""The connection test of a destination: step by step, so that the first failing one says what to change."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from psycopg2 import sql

from connectors.base import Options, Step
from connectors.destinations.pgsql.target import NAME_BYTES
from connectors.errors import ConnectorError
from connectors.mapping import PgsqlDestination as Config
from connectors.postgres.errors import Side, destination_side
from connectors.postgres.session import Session

OK, WARNING, FAILED = "ok", "warning", "failed"
_OLDEST_SERVER = 12
_ALL_CHECKS_SINCE = 14
_STATEMENT_TIMEOUT_S = 10
_CLOCK_TOLERANCE_S = 5.0


@dataclass(slots=True)
class _Probe:
    config: Config
    schema: str
    side: Side
    options: Options
    steps: list[Step] = field(default_factory=list)
    session: Session | None = None

    @property
    def connected(self) -> Session:
        if self.session is None:
            message = "the step needs the session of an earlier one"
            raise RuntimeError(message)
        return self.session

    def run(self, name: str, check: Callable[[_Probe], tuple[str, str]]) -> bool:
        """Do one step; False when it failed, so that no later one makes sense."""
        try:
            outcome, detail = check(self)
        except ConnectorError as error:
            outcome, detail = FAILED, error.message
        self.steps.append(Step(name, outcome, detail))
        return outcome != FAILED


def probe(config: Config, schema: str, *, label: str, options: Options | None = None) -> list[Step]:
    """Test a destination; ends with the first step that fails.

    Args:
        config: Resolved: without references.
        schema: Where tables would be written.
        label: Who asks, for errors and application_name: a stream's or mapping's id.
        options: Timeouts; every statement ends within ten seconds at the latest.
    """
    limits = options or Options()
    bounded = Options(
        connect_timeout_s=limits.connect_timeout_s,
        statement_timeout_s=min(limits.statement_timeout_s or _STATEMENT_TIMEOUT_S, _STATEMENT_TIMEOUT_S),
        lock_timeout_s=min(limits.lock_timeout_s, _STATEMENT_TIMEOUT_S),
    )
    run = _Probe(config, schema, destination_side(label), bounded)
    checks = {
        "resolve": _resolve,
        "reach": _reach,
        "sign in": _sign_in,
        "TLS": _tls,
        "version": _version,
        "rights": _rights,
        "write and delete": _write_and_delete,
        "clock": _clock,
    }
    try:
        for name, check in checks.items():
            if not run.run(name, check):
                break
    finally:
        if run.session is not None:
            run.session.close()
    return run.steps


def _resolve(run: _Probe) -> tuple[str, str]:
    try:
        found = socket.getaddrinfo(run.config.host, run.config.tcp_port, type=socket.SOCK_STREAM)
    except OSError:
        return FAILED, f"the host name {run.config.host} is unknown; check `url`"
    return OK, f"{run.config.host} is {', '.join(sorted({str(entry[4][0]) for entry in found}))}"


def _reach(run: _Probe) -> tuple[str, str]:
    place = (run.config.host, run.config.tcp_port)
    try:
        socket.create_connection(place, timeout=run.options.connect_timeout_s).close()
    except OSError as error:
        reason = "did not answer in time" if isinstance(error, TimeoutError) else "refused the connection"
        return FAILED, f"{place[0]}, port {place[1]}, {reason}; check `url`, `port` and firewalls"
    return OK, f"port {place[1]} is open"


def _sign_in(run: _Probe) -> tuple[str, str]:
    run.session = Session(run.config, run.side, run.options, read_only=False)
    user, database = run.session.rows("SELECT current_user, current_database()")[0]
    return OK, f"signed in as {user} to {database}"


def _tls(run: _Probe) -> tuple[str, str]:
    version = run.connected.value("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
    if version is None:
        return WARNING, "the connection is not encrypted; set `sslmode` to require or verify-full"
    if run.config.sslmode not in {"verify-ca", "verify-full"}:
        return WARNING, f"{version}, but the server's certificate is not checked; set `sslmode` to verify-full"
    return OK, str(version)


def _version(run: _Probe) -> tuple[str, str]:
    major = run.connected.major_version
    if major < _OLDEST_SERVER:
        return FAILED, f"PostgreSQL {major}; {_OLDEST_SERVER} or newer is needed"
    if major < _ALL_CHECKS_SINCE:
        return WARNING, (
            f"PostgreSQL {major}: before {_ALL_CHECKS_SINCE} the server does not notice that a killed client is gone,"
            " so that its last statement runs on, and mirroring always transfers all keys"
        )
    return OK, f"PostgreSQL {major}"


def _rights(run: _Probe) -> tuple[str, str]:
    session, schema = run.connected, sql.Identifier(run.schema)
    if len(run.schema.encode()) > NAME_BYTES:
        return FAILED, f"the schema name has over {NAME_BYTES} bytes; set a shorter `schema`"
    quoted = session.text(schema)
    if session.value("SELECT to_regnamespace(%s) IS NULL", [quoted]):
        if session.value("SELECT has_database_privilege(current_database(), 'CREATE')"):
            return OK, f"the schema {run.schema} will be created"
        return FAILED, (
            f"the schema {run.schema} is missing and the user may not create it; run CREATE SCHEMA {quoted}"
            " AUTHORIZATION for the user in `username`"
        )
    if session.value(
        "SELECT has_schema_privilege(%s, 'CREATE') AND has_schema_privilege(%s, 'USAGE')", [run.schema] * 2
    ):
        return OK, f"tables can be created in the schema {run.schema}"
    return FAILED, f"the user may not create tables in the schema; run GRANT USAGE, CREATE ON SCHEMA {quoted}"


def _write_and_delete(run: _Probe) -> tuple[str, str]:
    """In a transaction that is rolled back, so that nothing stays whatever happens."""
    session = run.connected
    table = sql.Identifier(run.schema, f"_dms_probe_{uuid.uuid4().hex[:12]}")
    session.begin()
    try:
        quoted = session.text(sql.Identifier(run.schema))
        if session.value("SELECT to_regnamespace(%s) IS NULL", [quoted]):
            session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(run.schema)))
        session.execute(sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY)").format(table))
        session.execute(sql.SQL("CREATE TEMPORARY TABLE dms_probe ON COMMIT DROP AS SELECT id FROM {}").format(table))
        session.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(table))
        session.execute(sql.SQL("UPDATE {} SET id = 2").format(table))
        deleted = session.execute(sql.SQL("DELETE FROM {}").format(table))
    finally:
        session.rollback()
    if deleted != 1:
        return FAILED, "a row that was written could not be deleted; look for event triggers on the server"
    return OK, "a table was created, written, changed and emptied, and rolled back"


def _clock(run: _Probe) -> tuple[str, str]:
    before = time.monotonic()
    server: datetime = run.connected.value("SELECT clock_timestamp()")
    half_trip = (time.monotonic() - before) / 2
    difference = (datetime.now(UTC) - server).total_seconds() - half_trip
    detail = f"the server's clock differs from this host's by {abs(difference):.1f} s"
    if abs(difference) > _CLOCK_TOLERANCE_S:
        return WARNING, f"{detail}; only times in logs and in the run history are affected"
    return OK, detail
