"""The connection test of a destination: step by step, so that the first failing one says what to change."""

from __future__ import annotations

import uuid
from functools import partial

from psycopg2 import sql

from connectors.base import Options, Step
from connectors.destinations.pgsql import rights
from connectors.destinations.pgsql.target import NAME_BYTES
from connectors.mapping import PgsqlDestination as Config
from connectors.postgres.errors import destination_side
from connectors.postgres.probing import Probe, bounded
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody

_ALL_CHECKS_SINCE = 14
_CLOCK_TOLERANCE_S = 5.0


def probe(
    config: Config, schema: str | None, *, label: str, options: Options | None = None, tell: Tell = tell_nobody
) -> list[Step]:
    """Test a destination; ends with the first step that fails.

    Args:
        config: Resolved: without references.
        schema: Where tables would be written; None while no mapping says it.
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


def _rights(run: Probe, schema: str | None) -> Finding:
    session = run.connected
    if schema is None:
        refused = rights.no_schemas(session) or rights.no_temporary_tables(session)
        return (FAILED, refused) if refused else (OK, "a schema can be created for each source's database")
    if len(schema.encode()) > NAME_BYTES:
        return FAILED, f"the schema name has over {NAME_BYTES} bytes; set a shorter `schema`"
    refused = rights.no_tables(session, schema) or rights.no_temporary_tables(session)
    if refused:
        return FAILED, refused
    if rights.is_missing(session, schema):
        return OK, f"the schema {schema} will be created"
    return OK, f"tables can be created in the schema {schema}"


def _write_and_delete(run: Probe, schema: str | None) -> Finding:
    """In a transaction that is rolled back, so that nothing stays whatever happens."""
    session = run.connected
    name = f"_dms_probe_{uuid.uuid4().hex[:12]}"
    schema = schema or name
    table = sql.Identifier(schema, name)
    session.begin()
    try:
        if rights.is_missing(session, schema):
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
