"""A server that speaks MongoDB's protocol on top of SQLite files, for the two stores and as a source of collections.

It has no Decimal128, Regex, Timestamp or NaN; docs/collections.md lists what else the tests have to allow for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from controlplane.sandbox.process import (
    LOOPBACK,
    SandboxError,
    ServerProcess,
    free_port,
    make_directory,
    scratch_directory,
    server_account,
)

_START_TIMEOUT_S = 30
_PROBE_TIMEOUT_MS = 1000


@dataclass(frozen=True)
class MongoServer:
    """Where a MongoDB server is.

    Attributes:
        url: `mongodb://host:port`, with the login in it when there is one.
    """

    url: str

    def client(self) -> MongoClient[dict[str, object]]:
        """Open a client. The caller closes it."""
        return MongoClient(self.url, serverSelectionTimeoutMS=5000)

    def is_ready(self) -> bool:
        """Tell whether the server answers."""
        client: MongoClient[dict[str, object]] = MongoClient(
            self.url, serverSelectionTimeoutMS=_PROBE_TIMEOUT_MS, connectTimeoutMS=_PROBE_TIMEOUT_MS
        )
        try:
            client.admin.command("ping")
        except PyMongoError:
            return False
        finally:
            client.close()
        return True


@dataclass
class MongoProcess:
    """A MongoDB server that we started ourselves."""

    server: MongoServer
    directory: Path
    port: int
    process: ServerProcess

    @classmethod
    def start(cls, directory: Path, *, port: int | None = None) -> MongoProcess:
        """Start a server on the files in `directory`, one file a database.

        Raises:
            SandboxError: When the wheel is missing or the server does not answer.
        """
        if find_spec("nx_27017") is None:
            msg = (
                "The MongoDB wheel (nx-27017) is not installed. Install the 'sandbox' dependency group, "
                "or name a running server in DMS_TEST_MONGO."
            )
            raise SandboxError(msg)
        make_directory(directory, server_account())
        port = port or free_port()
        server = MongoServer(f"mongodb://{LOOPBACK}:{port}")
        return cls(server, directory, port, _launch(server, directory, port))

    def restart(self) -> None:
        """Start the server again on the same files and the same port, after `stop` or `kill`."""
        self.process = _launch(self.server, self.directory, self.port)

    def stop(self) -> None:
        """End the server."""
        self.process.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        self.process.kill()


@contextmanager
def run_mongo() -> Iterator[MongoProcess]:
    """Run a server on files of its own and remove them at the end, for tests that stop the server."""
    with scratch_directory("mongo") as directory:
        running = MongoProcess.start(directory)
        try:
            yield running
        finally:
            running.stop()


def _launch(server: MongoServer, directory: Path, port: int) -> ServerProcess:
    data = directory / "data"
    data.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "nx_27017.nx_27017", "--data-dir", str(data), "--host", LOOPBACK]
    process = ServerProcess.start(
        "The MongoDB server",
        [*command, "--port", str(port), "--log-file", "mongo.log", "--pid-file", "mongo.pid"],
        directory=directory,
        # It has no objection to root, and nobody else may be able to read this Python.
        account=None,
    )
    process.wait_until(server.is_ready, timeout_s=_START_TIMEOUT_S)
    return process
