"""What the user may not do at the destination and a run needs, each with the statement that permits it."""

from __future__ import annotations

from psycopg2 import sql

from connectors.destinations.pgsql import state
from connectors.destinations.pgsql.tables import TablePlan
from connectors.destinations.pgsql.target import STATE_TABLE, Target
from connectors.mapping import Mode
from connectors.postgres.session import Session

_STATE_RIGHTS = ("SELECT", "INSERT", "UPDATE")
_TABLE_RIGHTS = {
    Mode.DUMPING: ("INSERT",),
    Mode.LOGGING: ("SELECT", "INSERT"),
    Mode.SYNCING: ("SELECT", "INSERT", "UPDATE"),
    Mode.MIRRORING: ("SELECT", "INSERT", "UPDATE", "DELETE"),
}


def no_schemas(session: Session) -> str | None:
    """Why no schema can be made, where nobody knows its name yet; None when one can be."""
    if _may_on_database(session, "CREATE"):
        return None
    user, database = _names(session)
    return (
        "the user may not create schemas, and without `schema` each source's database gets one of its own; run GRANT"
        f" CREATE ON DATABASE {database} TO {user}, or set `schema` to one in which the user may create tables"
    )


def no_tables(session: Session, schema: str) -> str | None:
    """Why no table can be made in a schema, which is made when it is missing; None when one can be."""
    user, database = _names(session)
    quoted = session.text(sql.Identifier(schema))
    if is_missing(session, schema):
        if _may_on_database(session, "CREATE"):
            return None
        return (
            f"the schema {schema} is missing and the user may not create it; run GRANT CREATE ON DATABASE {database}"
            f" TO {user}, or CREATE SCHEMA {quoted} AUTHORIZATION {user}"
        )
    lacking = _lacking(session, "has_schema_privilege", schema, ("USAGE", "CREATE"))
    if not lacking:
        return None
    return (
        f"the user may not create tables in the schema {schema}; run GRANT {', '.join(lacking)} ON SCHEMA {quoted}"
        f" TO {user}"
    )


def no_temporary_tables(session: Session) -> str | None:
    """Why rows cannot be compared with those that are there; None when they can."""
    if _may_on_database(session, "TEMPORARY"):
        return None
    user, database = _names(session)
    return (
        "the user may not create temporary tables, in which rows are compared with those that are there; run GRANT"
        f" TEMPORARY ON DATABASE {database} TO {user}"
    )


def no_entry(session: Session, schema: str) -> str | None:
    """Why nothing in a schema that is there can be looked at; None when it can, or when the schema is missing."""
    may_use = session.value("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s", [schema])
    if may_use is not False:
        return None
    user, _ = _names(session)
    quoted = session.text(sql.Identifier(schema))
    return f"the user may not use the schema {schema}; run GRANT USAGE, CREATE ON SCHEMA {quoted} TO {user}"


def is_missing(session: Session, schema: str) -> bool:
    """True when there is no schema of the name."""
    return session.value("SELECT to_regnamespace(%s) IS NULL", [session.text(sql.Identifier(schema))]) is True


def missing_for(target: Target, plan: TablePlan) -> list[str]:
    """What a run with this plan for its table would be refused for, each as a sentence with what to do."""
    session = target.session
    wanted = _TABLE_RIGHTS[target.stream.mode]
    if getattr(target.stream.spec, "expiry", None) is not None:
        wanted = ("SELECT", *wanted, "DELETE")
    found: list[str | None] = []
    has_state = state.exists(target)
    if not has_state or plan.creates or plan.makes_types or plan.key_index is not None:
        found.append(no_tables(session, target.schema))
    if not target.is_dump:
        found.append(no_temporary_tables(session))
    if has_state:
        found.append(_no_grant(target, STATE_TABLE, _STATE_RIGHTS))
    if not plan.creates:
        found.append(_no_grant(target, target.table, wanted))
        if plan.alters or plan.key_index is not None:
            found.append(_not_owner(target))
    return [sentence for sentence in found if sentence is not None]


def _no_grant(target: Target, table: str, rights: tuple[str, ...]) -> str | None:
    session = target.session
    qualified = session.text(sql.Identifier(target.schema, table))
    lacking = _lacking(session, "has_table_privilege", qualified, rights)
    if not lacking:
        return None
    user, _ = _names(session)
    right = ", ".join(lacking)
    return f"the user lacks {right} on the table {target.schema}.{table}; run GRANT {right} ON {qualified} TO {user}"


def _not_owner(target: Target) -> str | None:
    session = target.session
    row = session.row(
        "SELECT pg_has_role(current_user, relowner, 'USAGE'), quote_ident(pg_get_userbyid(relowner))"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [target.qualified],
    )
    if row is None or row[0]:
        return None
    user, _ = _names(session)
    return (
        f"only the owner of the table {target.schema}.{target.table} may change its columns and indexes; run GRANT"
        f" {row[1]} TO {user}, or ALTER TABLE {target.qualified} OWNER TO {user}, or the statements of this plan as"
        " its owner"
    )


def _lacking(session: Session, function: str, name: str, rights: tuple[str, ...]) -> list[str]:
    """Those of the rights that the user does not have: of a list the server says only whether there is any."""
    asked = sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(
            sql.SQL("{}({}, {})").format(sql.SQL(function), sql.Literal(name), sql.Literal(right)) for right in rights
        )
    )
    return [right for right, has in zip(rights, session.rows(asked)[0], strict=True) if not has]


def _may_on_database(session: Session, right: str) -> bool:
    return session.value("SELECT has_database_privilege(current_database(), %s)", [right]) is True


def _names(session: Session) -> tuple[str, str]:
    """User and database as statements name them."""
    user, database = session.rows("SELECT quote_ident(current_user), quote_ident(current_database())")[0]
    return user, database
