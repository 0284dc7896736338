"""One mapping from psycopg2's errors to ours, for both sides.

Server messages can quote row values, so they are never passed on: the condition's name, the table, column and
constraint are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
import psycopg2.errors

from connectors.errors import (
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
    SourceAuthFailed,
    SourceError,
    SourceUnavailable,
    StreamNotFound,
)


@dataclass(frozen=True, slots=True)
class Side:
    """Which end of a run a session belongs to, and the error types of that end."""

    connector: str
    stream: str
    unavailable: type[ConnectorError]
    auth_failed: type[ConnectorError]
    refused: type[ConnectorError]
    missing: type[ConnectorError]

    def error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        """An error of this side."""
        return kind(message, connector=self.connector, stream=self.stream)


def source_side(stream: str) -> Side:
    """The side that is read."""
    return Side("pgsql source", stream, SourceUnavailable, SourceAuthFailed, SourceError, StreamNotFound)


def destination_side(stream: str) -> Side:
    """The side that is written."""
    return Side(
        "pgsql destination",
        stream,
        DestinationUnavailable,
        DestinationAuthFailed,
        DestinationError,
        DestinationError,
    )


# SQLSTATE prefixes whose cause can pass by itself.
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNAVAILABLE = ("08", "40", "57P", "53200", "53300", "55P03", "58")
_AUTH = ("28", "42501", "25006")
_MISSING = ("42P01", "42703", "3F000", "3D000")

# What to do about the rest, by the longest prefix that fits.
_REMEDIES = {
    "22": "compare the column's type at both ends, or correct the value at the source",
    "23": "drop the constraint at the destination, or correct the rows at the source",
    "25006": "sign in as a user, and on a server, that may write",
    "42": "check the names in the mapping, and the rights and extensions of the server",
    "53100": "the server's disk is full: free space there",
    "53400": "raise the server's limit, such as temp_file_limit",
    "54": "copy fewer or narrower columns, through a view at the source",
    "55": "wait until the object is free, or finish what was begun on it",
    "XX": "look into the server's log",
}
_ANY_REMEDY = "look into the server's log for the statement of this application_name"

# Without a SQLSTATE (libpq's own errors, and every failed connect) only the text tells the cause.
_CONNECT_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"password authentication failed|no password supplied|authentication failed",
        "auth_failed",
        "the server refused the user name or password; check `username` and `password`",
    ),
    (r"role \".*\" does not exist", "auth_failed", "the user does not exist on the server; check `username`"),
    (
        r"no pg_hba.conf entry.*(no encryption|SSL off)",
        "auth_failed",
        "the server's pg_hba.conf does not let this user in without TLS; set `sslmode` to require, or add a line there",
    ),
    (
        r"no pg_hba.conf entry",
        "auth_failed",
        "the server's pg_hba.conf does not let this user in from here; add a line for this user and host there",
    ),
    (
        r"permission denied for database",
        "auth_failed",
        "the user may not connect; GRANT CONNECT on the database",
    ),
    (
        r"database \".*\" does not exist",
        "missing",
        "the database does not exist on the server; check `db_name`",
    ),
    (
        r"could not translate host name|Name or service not known|nodename nor servname",
        "unavailable",
        "the host name is unknown; check `url`",
    ),
    (r"Connection refused", "unavailable", "nothing listens at that host and port; check `url` and `port`"),
    (
        r"timeout expired|timed out",
        "unavailable",
        "the server did not answer in time; check `url`, `port`, firewalls",
    ),
    (
        r"invalid response to SSL negotiation|expected authentication request from server",
        "unavailable",
        "something other than PostgreSQL answers at that host and port; check `url` and `port`",
    ),
    # Before the lost connection, which is what comes of it. With less still libpq has no memory for its message.
    (
        r"cannot allocate memory|out of memory|PGRES_COPY_OUT and no message",
        "unavailable",
        "this process got no memory for what the server sent; give the host more, or let it run less at a time",
    ),
    (
        r"connection has been closed unexpectedly|server closed the connection|SSL SYSCALL error",
        "unavailable",
        "the connection was lost; it can succeed when tried again",
    ),
    (
        r"certificate|SSL|root\.crt",
        "refused",
        "TLS failed; check `sslmode`, `certificate_file` and that the host name is in the server's certificate",
    ),
    (r"too many clients|remaining connection slots", "unavailable", "the server has no connection slot free"),
    (r"starting up|shutting down|in recovery", "unavailable", "the server is starting or shutting down"),
)


def translate(error: psycopg2.Error, side: Side) -> ConnectorError:
    """Our error for one of psycopg2's."""
    code = error.pgcode
    if code is None:
        return _translate_text(str(error), side)
    detail = _describe(error, code)
    if code == "57014":
        return side.error(
            side.refused,
            f"{detail}: the statement ran longer than statement_timeout, or an administrator cancelled it; "
            "raise the timeout or run at a quieter time",
        )
    if code.startswith(_UNAVAILABLE):
        return side.error(side.unavailable, f"{detail}; it can succeed when tried again")
    if code.startswith(_AUTH):
        remedy = _REMEDIES.get(code, "grant the right to the user")
        return side.error(side.auth_failed, f"{detail}; {remedy} (`username`)")
    if code.startswith(_MISSING):
        return side.error(side.missing, f"{detail}; check the names in the mapping")
    return side.error(side.refused, f"{detail}; {_remedy(code)}")


def _remedy(code: str) -> str:
    fitting = [prefix for prefix in _REMEDIES if code.startswith(prefix)]
    return _REMEDIES[max(fitting, key=len)] if fitting else _ANY_REMEDY


@contextmanager
def mapped(side: Side) -> Iterator[None]:
    """Turn whatever psycopg2 raises inside into an error of this side."""
    try:
        yield
    except psycopg2.Error as error:
        raise translate(error, side) from error


def _translate_text(text: str, side: Side) -> ConnectorError:
    for pattern, kind, sentence in _CONNECT_CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return side.error(getattr(side, kind), sentence)
    return side.error(side.unavailable, "the connection was lost or could not be made; it can succeed when tried again")


def _describe(error: psycopg2.Error, code: str) -> str:
    """Condition, SQLSTATE and what the server names: never its message, which may quote a row."""
    condition = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    diag = error.diag
    named = [
        f"{word} {value}"
        for word, value in (
            ("table", diag.table_name),
            ("column", diag.column_name or _column_in_context(diag.context)),
            ("constraint", diag.constraint_name),
            ("type", diag.datatype_name),
        )
        if value
    ]
    if not named and code.startswith("42") and diag.message_primary:
        # Class 42 (syntax error or access rule violation) quotes names from the mapping, never rows.
        named = [diag.message_primary]
    return f"{condition} (SQLSTATE {code}){': ' if named else ''}{', '.join(named)}"


def _column_in_context(context: str | None) -> str | None:
    """`COPY orders, line 3, column amount: "12x"` names the column before the value."""
    found = re.search(r"^COPY .*?, line \d+, column ([^:\n]+?)(?::|$)", context or "", re.MULTILINE)
    return found[1] if found else None
