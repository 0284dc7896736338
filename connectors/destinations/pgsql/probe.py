"""The connection test of a destination: step by step, so that the first failing one says what to change."""

from __future__ import annotations

import uuid
from functools import partial

from psycopg2 import sql

from connectors.base import Options, Step
from connectors.destinations.pgsql.target import NAME_BYTES
from connectors.mapping import PgsqlDestination as Config
from connectors.postgres.errors import destination_side
from connectors.postgres.probing import Probe, bounded
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody

_ALL_CHECKS_SINCE = 14
_CLOCK_TOLERANCE_S = 5.0


def probe(
    config: Config, schema: str, *, label: str, options: Options | None = None, tell: Tell = tell_nobody
) -> list[Step]:
    """Test a destination; ends with the first step that fails.

    Args:
        config: Resolved: without references.
        schema: Where tables would be written.
        label: Who asks, for errors and application_name: a stream's or mapping's id.
        options: Timeouts; every statement ends within ten seconds at the latest.
        tell: Told of the steps while they are taken.
    """
    run = Probe(config, destination_side(label), bounded(options), read_only=False, tell=tell)
    return run.run(
        {
            "resolve": run.resolve,
            "connect": run.connect,
            "TLS": run.tls,
            "sign in": run.sign_in,
            "version": partial(_version, run),
            "rights": partial(_rights, run, schema),
            "write and delete": partial(_write_and_delete, run, schema),
            "clock": partial(_clock, run),
        }
    )


def _version(run: Probe) -> Finding:
    outcome, detail = run.version()
    if outcome == OK and run.connected.major_version < _ALL_CHECKS_SINCE:
        return WARNING, (
            f"{detail}: before {_ALL_CHECKS_SINCE} the server does not notice that a killed client is gone,"
            " so that its last statement runs on, and mirroring always transfers all keys"
        )
    return outcome, detail


def _rights(run: Probe, schema: str) -> Finding:
    session = run.connected
    if len(schema.encode()) > NAME_BYTES:
        return FAILED, f"the schema name has over {NAME_BYTES} bytes; set a shorter `schema`"
    quoted = session.text(sql.Identifier(schema))
    if session.value("SELECT to_regnamespace(%s) IS NULL", [quoted]):
        if session.value("SELECT has_database_privilege(current_database(), 'CREATE')"):
            return OK, f"the schema {schema} will be created"
        return FAILED, (
            f"the schema {schema} is missing and the user may not create it; run CREATE SCHEMA {quoted}"
            " AUTHORIZATION for the user in `username`"
        )
    if session.value("SELECT has_schema_privilege(%s, 'CREATE') AND has_schema_privilege(%s, 'USAGE')", [schema] * 2):
        return OK, f"tables can be created in the schema {schema}"
    return FAILED, f"the user may not create tables in the schema; run GRANT USAGE, CREATE ON SCHEMA {quoted}"


def _write_and_delete(run: Probe, schema: str) -> Finding:
    """In a transaction that is rolled back, so that nothing stays whatever happens."""
    session = run.connected
    table = sql.Identifier(schema, f"_dms_probe_{uuid.uuid4().hex[:12]}")
    session.begin()
    try:
        quoted = session.text(sql.Identifier(schema))
        if session.value("SELECT to_regnamespace(%s) IS NULL", [quoted]):
            session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
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


def _clock(run: Probe) -> Finding:
    difference = run.clock_difference_s()
    detail = f"the server's clock differs from this host's by {abs(difference):.1f} s"
    if abs(difference) > _CLOCK_TOLERANCE_S:
        return WARNING, f"{detail}; only times in logs and in the run history are affected"
    return OK, detail
