"""Connection tests, step by step, so that the first failing one says what to change: what both ends have in common."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors import steps as tests
from connectors.base import Options
from connectors.postgres.errors import Side
from connectors.postgres.session import Address, Session
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody
from connectors.verbs import Step

_OLDEST_SERVER = 12
_STATEMENT_TIMEOUT_S = 10
#: Asks a server whether it speaks TLS, which it answers with one byte.
#: Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_OFFERED, _NOT_OFFERED = b"S", b"N"
_ENCRYPTING = frozenset({"require", "verify-ca", "verify-full"})
_CHECKING = frozenset({"verify-ca", "verify-full"})
_NOT_ENCRYPTING = frozenset({"disable", "allow"})
_NOT_POSTGRES = "something other than PostgreSQL answers at that host and port; check `url` and `port`"


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
        tell: Told of the steps while they are taken.
    """

    address: Address
    side: Side
    options: Options
    read_only: bool
    steps: list[Step] = field(default_factory=list)
    session: Session | None = None
    addresses: list[str] = field(default_factory=list)
    tell: Tell = tell_nobody

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
            return tests.take_steps(checks, self.steps, leave=self._leave, tell=self.tell)
        finally:
            if self.session is not None:
                tests.clear_away(self.session.close)

    def _leave(self) -> None:
        if self.session is not None:
            self.session.cut()

    def resolve(self) -> Finding:
        """The host's name."""
        found, self.addresses = tests.resolve(self.address.host, self.address.tcp_port, "check `url`")
        return found

    def connect(self) -> Finding:
        """The port."""
        timeout_s = self.options.connect_timeout_s
        remedy = "check `url`, `port` and firewalls"
        return tests.connect(self.address.host, self.address.tcp_port, self.addresses, timeout_s, remedy)

    def tls(self) -> Finding:
        """Whether others can listen, or pretend to be the server. A server that says nothing at all is found here."""
        answer = self._offer()
        mode = self.address.sslmode
        if answer is None:
            return FAILED, (
                "the server takes connections and says nothing; see that it is PostgreSQL (`url`, `port`) and whether"
                " it hangs"
            )
        if answer == _NOT_OFFERED:
            if mode in _ENCRYPTING:
                return FAILED, f"the server offers no TLS, which `sslmode` {mode} asks for; switch `ssl` on there"
            return WARNING, (
                "the connection is not encrypted, as the server offers no TLS; where others can listen switch `ssl` on"
                " at the server, and set `sslmode` to verify-full"
            )
        if answer != _OFFERED:
            return FAILED, _NOT_POSTGRES
        if mode in _NOT_ENCRYPTING:
            return WARNING, f"the server offers TLS, and `sslmode` {mode} makes no use of it; set it to verify-full"
        if mode not in _CHECKING:
            return WARNING, "encrypted, but the server's certificate is not checked; set `sslmode` to verify-full"
        return OK, "the server offers TLS, and its certificate is checked at signing in"

    def _offer(self) -> bytes | None:
        """What the server answers when it is asked for TLS; None for a server that keeps silent at every address."""
        is_silent = False
        for address in self.addresses:
            try:
                with socket.create_connection(
                    (address, self.address.tcp_port), timeout=self.options.connect_timeout_s
                ) as asked:
                    asked.sendall(_SSL_REQUEST)
                    return asked.recv(1)
            except TimeoutError:
                is_silent = True
            except OSError:
                continue
        return None if is_silent else b""

    def sign_in(self) -> Finding:
        """User, password and database."""
        self.session = Session(self.address, self.side, self.options, read_only=self.read_only)
        user, database = self.session.rows("SELECT current_user, current_database()")[0]
        detail = f"signed in as {user} to {database}"
        # Of this end of the connection: behind a pooler the server knows but that one's.
        info = self.session.connection.info
        return OK, f"{detail}, encrypted by {info.ssl_attribute('protocol')}" if info.ssl_in_use else detail

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
