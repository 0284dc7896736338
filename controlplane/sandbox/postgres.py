"""A PostgreSQL server from a wheel: create its files, start it, and make databases in it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor

from controlplane.sandbox.process import (
    LOOPBACK,
    Account,
    SandboxError,
    ServerProcess,
    free_port,
    make_directory,
    scratch_directory,
    server_account,
)
from controlplane.sandbox.programs import program

SUPERUSER = "postgres"
_START_TIMEOUT_S = 30
_DEFAULT_PORT = 5432
_FIRST_WITH_STRATEGY = 150000

# One place for what every server here has: sizes for a 2-core machine, and room for prepared transactions
# and for parallel test workers.
_COMMON: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "max_connections": "200",
        "max_prepared_transactions": "20",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
    }
)
# For data that may be lost: a crash of the machine destroys it, a crash of the server alone does not.
_VOLATILE: Mapping[str, str] = MappingProxyType(
    {
        "fsync": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    }
)


@dataclass(frozen=True)
class PostgresSettings:
    """How a server of the sandbox is set up.

    Attributes:
        durable: Keep what was committed when the machine crashes. Tests do without, for speed.
        parameters: Server parameters that win over the defaults of the sandbox.
    """

    durable: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Return the parameters as arguments of the `postgres` program."""
        merged = {**_COMMON, **({} if self.durable else _VOLATILE), **self.parameters}
        return [part for name, value in merged.items() for part in ("-c", f"{name}={value}")]


@dataclass(frozen=True)
class PostgresServer:
    """Where a PostgreSQL server listens and how to log in as its superuser."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @classmethod
    def from_url(cls, url: str) -> PostgresServer:
        """Read `postgresql://user:password@host:port`, as given in `DMS_TEST_POSTGRES`.

        Raises:
            SandboxError: When the URL names no host or no user.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.username:
            msg = (
                "DMS_TEST_POSTGRES must be a URL of the form postgresql://user:password@host:port, "
                "with a user that may create databases."
            )
            raise SandboxError(msg)
        return cls(
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORT,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
        )

    @property
    def address(self) -> str:
        """`host:port`, as the `url` of a mapping takes it."""
        return f"{self.host}:{self.port}"

    def dsn(self, database: str = "postgres") -> str:
        """Return the connection URL of one database, password included."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.address}/{quote(database, safe='')}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        with self._session() as session:
            if session.connection.server_version >= _FIRST_WITH_STRATEGY:
                # Measured: 0.02 s, against 0.035 s with the server's default of wal_log.
                statement += sql.SQL(" STRATEGY file_copy")
            session.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, and end the sessions that still use it."""
        with self._session() as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def is_ready(self) -> bool:
        """Tell whether the server accepts a login."""
        try:
            psycopg2.connect(self.dsn(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    @contextmanager
    def _session(self) -> Iterator[cursor]:
        connection = psycopg2.connect(self.dsn(), connect_timeout=10)
        try:
            # CREATE and DROP DATABASE do not run inside a transaction.
            connection.autocommit = True
            with connection.cursor() as opened:
                yield opened
        finally:
            connection.close()


@dataclass
class PostgresProcess:
    """A PostgreSQL server that we started ourselves, with what is needed to end it and start it again."""

    server: PostgresServer
    directory: Path
    settings: PostgresSettings
    process: ServerProcess

    @classmethod
    def start(
        cls, directory: Path, settings: PostgresSettings | None = None, *, port: int | None = None
    ) -> PostgresProcess:
        """Start a server on the files in `directory`; they are created when there are none.

        Args:
            directory: Holds the data directory, the log and the superuser's password.
            settings: Parameters of the server.
            port: TCP port; a free one when None.

        Raises:
            SandboxError: When the files cannot be created or the server does not answer.
        """
        settings = settings or PostgresSettings()
        account = server_account()
        make_directory(directory, account)
        password = _create_cluster(directory, account)
        server = PostgresServer(LOOPBACK, port or free_port(), SUPERUSER, password)
        return cls(server, directory, settings, _launch(server, directory, settings, account))

    def restart(self) -> None:
        """Start the server again on the same files and the same port, after `stop` or `kill`."""
        self.process = _launch(self.server, self.directory, self.settings, server_account())

    def stop(self) -> None:
        """Shut the server down; open sessions are ended and their transactions rolled back."""
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        self.process.stop(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a crash would."""
        self.process.kill()


@contextmanager
def run_postgres(settings: PostgresSettings | None = None) -> Iterator[PostgresProcess]:
    """Run a server on files of its own and remove them at the end.

    For tests that need other parameters than the shared server has, or that end or restart the server.
    """
    with scratch_directory("postgres") as directory:
        running = PostgresProcess.start(directory, settings)
        try:
            yield running
        finally:
            running.stop()


def installed_extensions() -> tuple[str, ...]:
    """Return the names of the extensions that come with the server's wheel."""
    folder = program("postgres").parents[1] / "share" / "extension"
    return tuple(sorted(path.stem for path in folder.glob("*.control")))


def _launch(
    server: PostgresServer, directory: Path, settings: PostgresSettings, account: Account | None
) -> ServerProcess:
    process = ServerProcess.start(
        "PostgreSQL",
        [
            str(program("postgres", account)),
            "-D",
            str(directory / "data"),
            "-p",
            str(server.port),
            *settings.arguments(),
        ],
        directory=directory,
        account=account,
    )
    process.wait_until(server.is_ready, timeout_s=_START_TIMEOUT_S)
    return process


def _create_cluster(directory: Path, account: Account | None) -> str:
    """Run initdb unless the files are there, and return the superuser's password."""
    password_path = directory / "password"
    if (directory / "data" / "PG_VERSION").exists():
        return password_path.read_text().strip()
    password = secrets.token_urlsafe(16)
    password_path.touch(mode=0o600)
    password_path.write_text(password)
    if account is not None:
        os.chown(password_path, account.uid, account.gid)
    result = subprocess.run(
        [
            str(program("initdb", account)),
            "--pgdata=data",
            f"--username={SUPERUSER}",
            f"--pwfile={password_path.name}",
            "--auth=scram-sha-256",
            # The default of 4096 rounds costs milliseconds a login, and tests log in all the time.
            "--set=scram_iterations=1",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
            "--no-sync",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )
    if result.returncode != 0:
        msg = f"initdb failed with code {result.returncode}: {result.stderr.strip()}"
        raise SandboxError(msg)
    return password
