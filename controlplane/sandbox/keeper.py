"""The process that keeps servers up, and how others find, start and end it.

The keeper starts the servers, writes where they are into a state file, and ends them when it is told to or
when the process that it watches has gone. Whoever wants servers calls `ensure_servers`; the first caller
starts the keeper and the others, in other processes too, read the state file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from controlplane.sandbox.mongo import MongoProcess, MongoServer
from controlplane.sandbox.postgres import PostgresProcess, PostgresServer, PostgresSettings
from controlplane.sandbox.process import SandboxError, is_reachable, scratch_directory
from controlplane.sandbox.redis import RedisProcess, RedisServer
from controlplane.sandbox.s3 import S3Process, S3Server

POSTGRES, MONGO, S3, REDIS = "postgres", "mongo", "s3", "redis"
#: What is started unless others are named; Redis is wanted by few.
SERVICES = (POSTGRES, MONGO, S3)
POSTGRES_URL, MONGO_URL, S3_URL = "DMS_TEST_POSTGRES", "DMS_TEST_MONGO", "DMS_TEST_S3"
REDIS_URL = "DMS_TEST_REDIS"
PROJECT_ROOT = Path(__file__).resolve().parents[2]

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
_POLL_S = 0.05
_WATCH_INTERVAL_S = 0.25

#: PostgreSQL's log of 4 GB is for whole copies at full speed.
_FOR_MEMORY = {"max_wal_size": "1GB"}

# Kept so that a keeper outlives its Popen object without a warning about a child that still runs.
_started_keepers: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Servers:
    """The servers that a keeper holds up; None for one that was not asked for."""

    postgres: PostgresServer | None = None
    mongo: MongoServer | None = None
    s3: S3Server | None = None
    redis: RedisServer | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that point the tests, or a script, at these servers."""
        found: dict[str, str] = {}
        if self.postgres is not None:
            found[POSTGRES_URL] = self.postgres.dsn()
        if self.mongo is not None:
            found[MONGO_URL] = self.mongo.url
        if self.s3 is not None:
            found[S3_URL] = self.s3.url
        if self.redis is not None:
            found[REDIS_URL] = self.redis.url
        return found


@dataclass(frozen=True)
class KeeperOptions:
    """What a keeper is to do.

    Attributes:
        state_path: Where it writes what it holds up; the file goes away with it.
        services: Names out of `SERVICES`, or `REDIS`.
        directory: Where the servers keep their files; None for a temporary one that goes with the keeper.
        watched_pid: The process whose end ends the keeper; None to stay until it is told to stop.
        durable: Whether PostgreSQL keeps what was committed when the machine crashes.
        in_memory: Whether temporary files are kept in memory, where there is room. A test run makes and drops
            thousands of databases of 300 files each; measured, ext4 spent a third of all processor time on finding
            inodes that were not deleted a moment ago.
    """

    state_path: Path
    services: Sequence[str] = SERVICES
    directory: Path | None = None
    watched_pid: int | None = None
    durable: bool = False
    in_memory: bool = False


def default_directory(name: str = "sandbox") -> Path:
    """Return where the sandbox of this checkout lives: `var/{name}`, or a place under the temporary folder.

    The latter is for a checkout that root has in its own home, which the servers' account cannot enter.
    """
    if os.geteuid() != 0 or is_reachable(PROJECT_ROOT):
        return PROJECT_ROOT / "var" / name
    mark = hashlib.sha256(str(PROJECT_ROOT).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"dms-{name}-{mark}"


def state_path(directory: Path | None = None) -> Path:
    """Return the state file of the sandbox in `directory`."""
    return (directory or default_directory()) / "state.json"


def sandbox_env(directory: Path | None = None) -> dict[str, str]:
    """Return `DMS_TEST_POSTGRES`, `DMS_TEST_MONGO`, ... of the sandbox that is up.

    Raises:
        SandboxError: When no sandbox is up.
    """
    servers = read_servers(state_path(directory))
    if servers is None:
        msg = "The sandbox is not up. Start it with: ./run sandbox start"
        raise SandboxError(msg)
    return servers.environment()


def ensure_servers(options: KeeperOptions) -> Servers:
    """Return the servers of the keeper with this state file, and start it when it is not there.

    Raises:
        SandboxError: When a server does not start.
    """
    options.state_path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(options.state_path.with_suffix(".lock")):
        return read_servers(options.state_path) or _start_keeper(options)


def read_servers(path: Path) -> Servers | None:
    """Read a state file. None when there is none or its keeper has gone."""
    state = _read_state(path)
    if state is None or _keeper_process(state) is None:
        return None
    postgres, mongo, s3, redis = (state.get(service) for service in (*SERVICES, REDIS))
    return Servers(
        postgres=None if postgres is None else PostgresServer(**postgres),
        mongo=None if mongo is None else MongoServer(**mongo),
        s3=None if s3 is None else S3Server(**s3),
        redis=None if redis is None else RedisServer(**redis),
    )


def stop_keeper(path: Path) -> bool:
    """End the keeper of this state file and wait until its servers are down. False when there is none."""
    state = _read_state(path)
    keeper = None if state is None else _keeper_process(state)
    if keeper is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        keeper.terminate()
        keeper.wait(_STOP_TIMEOUT_S)
    return True


def serve(options: KeeperOptions) -> None:
    """Be the keeper: start the servers, write the state file, stay until the end, stop the servers."""
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: ended.set())
    watched = None if options.watched_pid is None else psutil.Process(options.watched_pid)
    with contextlib.ExitStack() as stack:
        directory = options.directory or stack.enter_context(_shared_scratch_directory(options))
        servers = _start_servers(options, directory, stack)
        _write_state(options.state_path, servers)
        stack.callback(options.state_path.unlink, missing_ok=True)
        while not ended.wait(_WATCH_INTERVAL_S):
            if watched is not None and not _is_alive(watched):
                break


def _start_servers(options: KeeperOptions, directory: Path, stack: contextlib.ExitStack) -> Servers:
    postgres = mongo = s3 = redis = None
    if POSTGRES in options.services:
        settings = PostgresSettings(options.durable, _FOR_MEMORY if options.in_memory else {})
        running = PostgresProcess.start(directory / POSTGRES, settings)
        stack.callback(running.stop)
        postgres = running.server
    if MONGO in options.services:
        store = MongoProcess.start(directory / MONGO)
        stack.callback(store.stop)
        mongo = store.server
    if S3 in options.services:
        objects = S3Process.start(directory / S3)
        stack.callback(objects.stop)
        s3 = objects.server
    if REDIS in options.services:
        broker = RedisProcess.start(directory / REDIS)
        stack.callback(broker.stop)
        redis = broker.server
    return Servers(postgres, mongo, s3, redis)


@contextlib.contextmanager
def _shared_scratch_directory(options: KeeperOptions) -> Iterator[Path]:
    with scratch_directory("sandbox", in_memory=options.in_memory) as path:
        # Each server has its own closed directory inside; the account of the servers must pass through here.
        path.chmod(0o711)
        yield path


def _start_keeper(options: KeeperOptions) -> Servers:
    command = [
        sys.executable,
        "-m",
        "controlplane.sandbox",
        "serve",
        "--state",
        str(options.state_path.resolve()),
    ]
    command += ["--services", ",".join(options.services)]
    if options.directory is not None:
        command += ["--directory", str(options.directory.resolve())]
    if options.watched_pid is not None:
        command += ["--watch", str(options.watched_pid)]
    if options.durable:
        command.append("--durable")
    if options.in_memory:
        command.append("--in-memory")
    log_path = options.state_path.with_suffix(".log")
    with log_path.open("wb") as log:
        keeper = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started_keepers.append(keeper)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        servers = read_servers(options.state_path)
        if servers is not None:
            return servers
        if keeper.poll() is not None:
            msg = f"The sandbox did not start: {log_path.read_text(errors='replace').strip()[-2000:]}"
            raise SandboxError(msg)
        time.sleep(_POLL_S)
    keeper.terminate()
    msg = f"The sandbox did not start within {_START_TIMEOUT_S} s; see {log_path}."
    raise SandboxError(msg)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _keeper_process(state: Mapping[str, Any]) -> psutil.Process | None:
    try:
        process = psutil.Process(state["pid"])
        same = process.create_time() == state["started_at"]
    except psutil.NoSuchProcess:
        return None
    return process if same and _is_alive(process) else None


def _read_state(path: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return state


def _write_state(path: Path, servers: Servers) -> None:
    # The file holds a password, and a reader must never see half of it.
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    state = {"pid": os.getpid(), "started_at": psutil.Process().create_time(), **asdict(servers)}
    partial.write_text(json.dumps(state))
    partial.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
