"""Sessions: how both sides connect, and what every session sets before its first statement."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions
from psycopg2 import sql
from pydantic import SecretStr

from connectors import egress
from connectors.base import Options
from connectors.errors import ConfigError, Stopped
from connectors.postgres.errors import Side, mapped, translate

#: Sessions under this name only read, so they may be ignored when transactions are looked for that could still write.
READER_NAME = "dms-read"
WRITER_NAME = "dms-write"

# Text forms of values, and so row hashes and casts, must not depend on a server's or role's defaults.
_FIXED_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
}
# Lets a server notice within seconds that a killed client is gone.
# Source: https://www.postgresql.org/docs/current/runtime-config-connection.html
_CHECK_INTERVAL_SINCE = 140000


class Address(Protocol):
    """The keys of the contract that say where a server is and how to sign in."""

    @property
    def host(self) -> str:
        """Host name or IP address."""
        ...

    @property
    def tcp_port(self) -> int:
        """Port."""
        ...

    @property
    def db_name(self) -> str:
        """Database."""
        ...

    @property
    def username(self) -> str | None:
        """User, empty for libpq's default."""
        ...

    @property
    def password(self) -> SecretStr | None:
        """Password, None or empty for none."""
        ...

    @property
    def sslmode(self) -> str | None:
        """Libpq's TLS mode, None for its default."""
        ...

    @property
    def certificate_file(self) -> str | None:
        """Root certificate, empty for none."""
        ...


class Session:
    """One connection in autocommit, with the fixed settings; `transaction()` opens the only kind of block used.

    Args:
        address: Where to connect.
        side: For the error types.
        options: Timeouts.
        read_only: Refuse every write for the whole session.
    """

    def __init__(self, address: Address, side: Side, options: Options, *, read_only: bool) -> None:
        self.side = side
        self._lock = threading.Lock()
        self._cancelled = False
        self._ends: list[Callable[[], None]] = []
        with mapped(side):
            self.connection = _connect(address, side, options, read_only=read_only)
        self.connection.autocommit = True
        #: The database's or role's own time zone, read before the session sets UTC.
        self.default_timezone = ""
        with mapped(side), self.connection.cursor() as cursor:
            self._prepare(cursor, options, read_only=read_only)

    def _prepare(self, cursor: psycopg2.extensions.cursor, options: Options, *, read_only: bool) -> None:
        cursor.execute("SELECT current_setting('TimeZone')")
        self.default_timezone = str(_one(cursor)[0])
        settings = dict(_FIXED_SETTINGS)
        settings["statement_timeout"] = str(options.statement_timeout_s * 1000)
        settings["lock_timeout"] = str(options.lock_timeout_s * 1000)
        settings["idle_in_transaction_session_timeout"] = "0"
        if read_only:
            settings["default_transaction_read_only"] = "on"
        if self.connection.server_version >= _CHECK_INTERVAL_SINCE:
            settings["client_connection_check_interval"] = "10s"
        cursor.execute(
            "SELECT " + ", ".join(["set_config(%s, %s, false)"] * len(settings)),
            [part for pair in settings.items() for part in pair],
        )

    @property
    def major_version(self) -> int:
        """Such as 18."""
        return int(self.connection.server_version) // 10000

    @property
    def encoding(self) -> str:
        """In which the server keeps texts, such as UTF8. They come and go as UTF-8 all the same."""
        return str(self.connection.info.parameter_status("server_encoding"))

    @contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor whose errors are this side's; Stopped when the session was cancelled, before or meanwhile."""
        self._refuse_after_cancel(None)
        with mapped(self.side), self.connection.cursor() as cursor:
            try:
                yield cursor
            except psycopg2.errors.QueryCanceled as error:
                self._refuse_after_cancel(error)
                raise

    def _refuse_after_cancel(self, cause: BaseException | None) -> None:
        if self._cancelled:
            message = "stopped on request"
            raise Stopped(message, connector=self.side.connector, stream=self.side.stream) from cause

    def execute(self, statement: str | sql.Composable, parameters: Any = None) -> int:
        """Run one statement and return its row count."""
        with self.cursor() as cursor:
            cursor.execute(self._with_parameters(statement, parameters), parameters)
            return int(cursor.rowcount)

    def rows(self, statement: str | sql.Composable, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one query and return all its rows."""
        with self.cursor() as cursor:
            cursor.execute(self._with_parameters(statement, parameters), parameters)
            return list(cursor.fetchall())

    def _with_parameters(self, statement: str | sql.Composable, parameters: Any) -> str | sql.Composable:
        """The statement with % doubled in names and constants, which psycopg2 would take for placeholders."""
        if parameters is None or isinstance(statement, str | sql.SQL | sql.Placeholder):
            return statement
        if isinstance(statement, sql.Composed):
            return sql.SQL("").join(sql.SQL(self.text(self._with_parameters(part, parameters))) for part in statement)
        return sql.SQL(self.text(statement).replace("%", "%%"))

    def row(self, statement: str | sql.Composable, parameters: Any = None) -> tuple[Any, ...] | None:
        """The first row, or None."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def value(self, statement: str | sql.Composable, parameters: Any = None) -> Any:
        """The first column of the first row, or None."""
        found = self.row(statement, parameters)
        return found[0] if found else None

    @contextmanager
    def described(self, query: str | sql.Composable) -> Iterator[Sequence[psycopg2.extensions.Column]]:
        """The columns of a query's result, as the server describes them."""
        with self.cursor() as cursor:
            cursor.execute(query)
            yield cursor.description or ()

    def text(self, statement: str | sql.Composable) -> str:
        """A statement as the server would see it, for plans and logs."""
        return statement if isinstance(statement, str) else statement.as_string(self.connection)

    def begin(self, *, snapshot: bool = False) -> None:
        """Open a transaction; with `snapshot`, REPEATABLE READ READ ONLY."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if snapshot else "BEGIN")

    def commit(self) -> None:
        """Commit the open transaction."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Roll the open transaction back; a session that is gone has rolled back already."""
        if self.connection.closed == 0 and self.in_transaction:
            try:
                self.execute("ROLLBACK")
            except (self.side.unavailable, Stopped):
                self.close()

    @property
    def in_transaction(self) -> bool:
        """True inside a transaction block, failed or not."""
        status = self.connection.info.transaction_status
        return bool(
            status
            in (
                psycopg2.extensions.TRANSACTION_STATUS_INTRANS,
                psycopg2.extensions.TRANSACTION_STATUS_INERROR,
            )
        )

    def cancel(self) -> None:
        """End the running statement from another thread, and let no further one start."""
        with self._lock:
            self._cancelled = True
        self.interrupt()

    def interrupt(self) -> None:
        """End the running statement from another thread; later ones may start."""
        if self.connection.closed == 0:
            try:
                self.connection.cancel()
            except psycopg2.Error as error:
                raise translate(error, self.side) from error

    def cut(self) -> None:
        """End whatever waits for a server that does not answer, from another thread: the connection is lost for it."""
        if self.connection.closed == 0:
            # It may be closed between the two.
            with (
                suppress(OSError, psycopg2.InterfaceError),
                socket.socket(fileno=os.dup(self.connection.fileno())) as end,
            ):
                end.shutdown(socket.SHUT_RDWR)

    def leave_copy(self) -> None:
        """After a COPY that its sink broke off: take the session out of it. A transaction block may have failed by it.

        Reads all that the server still sends; `interrupt` keeps that short.
        """
        with mapped(self.side), self.connection.cursor() as cursor:
            try:
                cursor.execute("SELECT 1")
            except psycopg2.errors.InFailedSqlTransaction:
                return

    @contextmanager
    def lent(self, end: Callable[[], None]) -> Iterator[None]:
        """While another thread uses the connection, which must not be closed under it.

        Args:
            end: Ends that use, and waits until it has ended.
        """
        self._ends.append(end)
        try:
            yield
        finally:
            self._ends.remove(end)

    def close(self) -> None:
        """Close; an open transaction is rolled back by the server. Never raises."""
        for end in self._ends:
            end()
        self.connection.close()


def _connect(address: Address, side: Side, options: Options, *, read_only: bool) -> psycopg2.extensions.connection:
    name = f"{READER_NAME if read_only else WRITER_NAME}:{side.stream}"
    addresses = _permitted(address, side)
    parameters: dict[str, Any] = {
        # libpq wants a name for each address. It connects to those that were looked at here, so that the name cannot
        # mean another one a moment later.
        "host": ",".join([address.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": address.tcp_port,
        "dbname": address.db_name,
        "user": address.username or None,
        "password": (address.password.get_secret_value() if address.password else "") or None,
        "sslmode": address.sslmode or None,
        "sslrootcert": address.certificate_file or None,
        "connect_timeout": options.connect_timeout_s,
        "application_name": name.encode()[:63].decode(errors="ignore"),
        "client_encoding": "UTF8",
        **options.keepalive.model_dump(),
    }
    connection: psycopg2.extensions.connection = psycopg2.connect(
        **{key: value for key, value in parameters.items() if value is not None}
    )
    return connection


def _permitted(address: Address, side: Side) -> list[str]:
    try:
        found = egress.permitted_addresses(address.host, address.tcp_port)
    except egress.ConnectionForbidden as refusal:
        raise side.error(ConfigError, str(refusal)) from None
    if not found:
        # libpq would ask again, and connect to whatever it is told then.
        message = "the host name is unknown; check `url`; it can succeed when tried again"
        raise side.error(side.unavailable, message)
    return found


def _one(cursor: psycopg2.extensions.cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        msg = "the statement returned no row"
        raise LookupError(msg)
    return tuple(row)
