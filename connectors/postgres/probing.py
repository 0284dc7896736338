"""Connection tests, step by step, so that the first failing one says what to change: what both ends have in common."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors import egress
from connectors.base import Options
from connectors.postgres.errors import Side
from connectors.postgres.session import Address, Session
from connectors.steps import FAILED, OK, WARNING, Finding, take_steps
from connectors.verbs import Step

_OLDEST_SERVER = 12
_STATEMENT_TIMEOUT_S = 10


@dataclass(slots=True)
class Probe:
    """One test under way; ends with the first step that fails.

    Attributes:
        address: The server.
        side: Which end it is, for the errors.
        options: Timeouts; statements end within ten seconds at the latest.
        read_only: Whether the session may write.
        steps: What was found so far.
        session: Once signed in.
        addresses: Of the server, once resolved; each may be connected to.
    """

    address: Address
    side: Side
    options: Options
    read_only: bool
    steps: list[Step] = field(default_factory=list)
    session: Session | None = None
    addresses: list[str] = field(default_factory=list)

    @property
    def connected(self) -> Session:
        """The session of the step that signed in."""
        if self.session is None:
            message = "the step needs the session of an earlier one"
            raise RuntimeError(message)
        return self.session

    def run(self, checks: Mapping[str, Callable[[], Finding]]) -> list[Step]:
        """Do the steps in their order until one fails; closes the session."""
        try:
            return take_steps(checks, self.steps)
        finally:
            if self.session is not None:
                self.session.close()

    def resolve(self) -> Finding:
        """The host's name."""
        host = self.address.host
        try:
            self.addresses = egress.permitted_addresses(host, self.address.tcp_port)
        except egress.ConnectionForbidden as refusal:
            return FAILED, str(refusal)
        if not self.addresses:
            return FAILED, f"the host name {host} is unknown; check `url`"
        return OK, f"{host} is {', '.join(sorted(self.addresses))}"

    def reach(self) -> Finding:
        """The port."""
        host, port = self.address.host, self.address.tcp_port
        reason = "refused the connection"
        for address in self.addresses:
            try:
                socket.create_connection((address, port), timeout=self.options.connect_timeout_s).close()
            except OSError as error:
                reason = "did not answer in time" if isinstance(error, TimeoutError) else "refused the connection"
            else:
                return OK, f"port {port} is open"
        return FAILED, f"{host}, port {port}, {reason}; check `url`, `port` and firewalls"

    def sign_in(self) -> Finding:
        """User, password and database."""
        self.session = Session(self.address, self.side, self.options, read_only=self.read_only)
        user, database = self.session.rows("SELECT current_user, current_database()")[0]
        return OK, f"signed in as {user} to {database}"

    def tls(self) -> Finding:
        """Whether others can listen, or pretend to be the server."""
        version = self.connected.value("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
        if version is None:
            return WARNING, "the connection is not encrypted; set `sslmode` to require or verify-full"
        if self.address.sslmode not in {"verify-ca", "verify-full"}:
            return WARNING, f"{version}, but the server's certificate is not checked; set `sslmode` to verify-full"
        return OK, str(version)

    def version(self) -> Finding:
        """Whether the server is one that we know."""
        major = self.connected.major_version
        if major < _OLDEST_SERVER:
            return FAILED, f"PostgreSQL {major}; {_OLDEST_SERVER} or newer is needed"
        return OK, f"PostgreSQL {major}"

    def clock_difference_s(self) -> float:
        """How far the server's clock is behind this host's."""
        before = time.monotonic()
        server: datetime = self.connected.value("SELECT clock_timestamp()")
        half_trip = (time.monotonic() - before) / 2
        return (datetime.now(UTC) - server).total_seconds() - half_trip


def bounded(options: Options | None) -> Options:
    """Timeouts of a test: nothing in it may wait long."""
    limits = options or Options()
    return Options(
        connect_timeout_s=limits.connect_timeout_s,
        statement_timeout_s=min(limits.statement_timeout_s or _STATEMENT_TIMEOUT_S, _STATEMENT_TIMEOUT_S),
        lock_timeout_s=min(limits.lock_timeout_s, _STATEMENT_TIMEOUT_S),
    )
