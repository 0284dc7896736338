"""The connection test of a source: can it be reached, and do the rights suffice for what the mapping asks for?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from connectors.base import Options, Step
from connectors.errors import ConnectorError
from connectors.mapping import Mode, PgsqlSource, TableSpec
from connectors.postgres.errors import source_side
from connectors.postgres.probing import Probe, bounded
from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import Table, list_tables, load_sequence, load_table, missing_grants
from connectors.sources.pgsql.dumping import query_columns, query_source
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody
from connectors.wording import counted

_CLOCK_TOLERANCE_S = 30.0
#: Tables that are not looked at within this time are named as such.
_TABLES_WITHIN_S = 15.0
_READABLE = """
SELECT count(*), count(*) FILTER (WHERE has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')),
       quote_ident(current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
"""


def probe(
    config: PgsqlSource,
    specs: Sequence[TableSpec],
    *,
    label: str,
    options: Options | None = None,
    tell: Tell = tell_nobody,
) -> list[Step]:
    """Test a source; ends with the first step that fails, but looks at every table.

    Args:
        config: Resolved: without references.
        specs: The tables that are to be read.
        label: Who asks, for errors and application_name: a mapping's id.
        options: Timeouts; every statement ends within ten seconds at the latest.
        tell: Told of the steps while they are taken.
    """
    run = Probe(config, source_side(label), bounded(options), read_only=True, tell=tell)
    return run.run(
        {
            "resolve": run.resolve,
            "connect": run.connect,
            "TLS": run.tls,
            "sign in": run.sign_in,
            "version": run.version,
            "role": partial(_role, run, config),
            "sight of transactions": partial(_sight, run),
            "clock": partial(_clock, run),
            **({"tables": partial(_tables, run, specs)} if specs else {"rights": partial(_rights, run)}),
        }
    )


def _role(run: Probe, config: PgsqlSource) -> Finding:
    if not run.connected.value("SELECT pg_is_in_recovery()"):
        return OK, "a primary server"
    if config.primary_url is None:
        return WARNING, (
            "a standby, which does not show its primary's open transactions: rows of the last hour are read again in"
            " every run; set `primary_url`, or read from the primary"
        )
    return OK, "a standby; its primary is asked for open transactions"


def _sight(run: Probe) -> Finding:
    session = run.connected
    if session.value("SELECT current_setting('track_activities') = 'off'"):
        return WARNING, "track_activities is off, so open transactions are waited for at each run; switch it on"
    # A superuser has every role.
    if session.value("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"):
        return OK, "the user sees when other transactions began"
    user = session.value("SELECT quote_ident(current_user)")
    return WARNING, (
        "the user does not see when other transactions began, so each run waits for all of them to end; run"
        f" GRANT pg_read_all_stats TO {user}"
    )


def _clock(run: Probe) -> Finding:
    difference = run.clock_difference_s()
    detail = f"the server's clock differs from this host's by {abs(difference):.1f} s"
    if abs(difference) > _CLOCK_TOLERANCE_S:
        return WARNING, f"{detail}; runs go by the server's, but bookmarks set by applications may go by others"
    return OK, detail


def _rights(run: Probe) -> Finding:
    """Without a mapping nobody knows which tables will be read."""
    count, readable, user = run.connected.rows(_READABLE)[0]
    if not count:
        return WARNING, "there are no tables; check `db_name`"
    if not readable:
        which = "the only table" if count == 1 else f"any of the {count:,} tables"
        return FAILED, (
            f"the user may not read {which}; run GRANT USAGE ON SCHEMA and GRANT SELECT ON ALL TABLES IN SCHEMA for"
            f" each schema that is to be copied, TO {user}"
        )
    if readable < count:
        return OK, f"the user may read {readable:,} of {count:,} tables; GRANT SELECT on others that are to be copied"
    return OK, "the user may read the only table" if count == 1 else f"the user may read all {count:,} tables"


def _tables(run: Probe, specs: Sequence[TableSpec]) -> Finding:
    """Each table is a step of its own; this one sums them up."""
    session = run.connected
    deadline = time.monotonic() + _TABLES_WITHIN_S
    unseen: list[str] = []
    failed = 0
    for spec in specs:
        if time.monotonic() > deadline:
            unseen.append(spec.table_name)
            continue
        try:
            outcome, detail = _table(session, spec)
        except ConnectorError as error:
            outcome, detail = FAILED, error.message
        failed += outcome == FAILED
        run.steps.append(Step(f"table {spec.table_name}", outcome, detail))
    if failed:
        return FAILED, f"{failed} of {len(specs)} cannot be read as the mapping asks for"
    if unseen:
        return WARNING, f"not looked at for lack of time: {', '.join(unseen)}"
    return OK, f"{len(specs)} looked at"


def _table(session: Session, spec: TableSpec) -> Finding:
    if spec.is_every_table:
        tables = counted(len(list_tables(session)), "table")
        return OK, f"stands for {tables}, less those with a spec of their own or excluded"
    if spec.fetch_data_query:
        return OK, f"the query returns {counted(len(query_columns(session, query_source(session, spec))), 'column')}"
    table = load_table(session, spec.table_name)
    named = [
        *((name, "primary_key") for name in spec.keys),
        *((name, "partition_col") for name in spec.partition_columns),
    ]
    if spec.bookmark_column:
        named.append((spec.bookmark_column, "bookmark"))
    for name, key in named:
        table.column(name, key, session)
    if grants := missing_grants(session, table):
        return FAILED, f"the user may not read it; run {grants}"
    return _key(session, spec, table)


def _key(session: Session, spec: TableSpec, table: Table) -> Finding:
    rows = (
        f"about {counted(table.estimated_rows, 'row')}"
        if table.estimated_rows
        else "number of rows unknown; ANALYZE it"
    )
    if spec.mode is Mode.DUMPING:
        return OK, rows
    if not table.is_unique(spec.keys):
        return WARNING, (
            f"{rows}; no unique index without NULLs guards `primary_key` {', '.join(spec.keys)}: a value that stands"
            " twice fails the run"
        )
    sequence = load_sequence(session, table, spec.keys[0]) if len(spec.keys) == 1 else None
    if sequence is None:
        return OK, rows
    if session.value("SELECT has_sequence_privilege(%s::oid, 'USAGE, SELECT')", [sequence.oid]):
        return OK, rows
    name, user = session.rows("SELECT %s::oid::regclass::text, quote_ident(current_user)", [sequence.oid])[0]
    return WARNING, (
        f"{rows}; the user may not read the key's sequence, so a source that went backwards is noticed late; run GRANT"
        f" SELECT ON SEQUENCE {name} TO {user}"
    )
