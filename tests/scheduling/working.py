"""Worker hosts as processes of their own, on the control database of a test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.runner.plane import PROJECT, Plane, Warm, wait_until

#: Small chunks, and no wait that a test does not ask for.
_ENVIRONMENT = {
    "DMS_CLOCK_MARGIN_S": "0",
    "DMS_WRITERS_WAIT_S": "0.2",
    "DMS_CONNECT_TIMEOUT_S": "5",
    "DMS_CHUNK_BYTES": "4000",
    "DMS_RUN_WORKERS": "2",
    "DMS_LOG_LEVEL": "INFO",
    "DMS_ENV_PREFIXES": "TEST_",
    "DMS_RESUME_DELAY_S": "1",
}


@dataclass
class Host:
    """One host's worker: a supervisor, two clusters, and the children of its slots."""

    name: str
    directory: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._log = self.directory / f"{self.name}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=PROJECT,
                env=os.environ | _ENVIRONMENT | self.environment | {"DMS_HOST": self.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def clusters(self) -> dict[str, psutil.Process]:
        """The main processes of both clusters, by name."""
        found = {}
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                found[process.cmdline()[-1]] = process
        return found

    def everything(self) -> list[psutil.Process]:
        """All processes of the host."""
        if self.process.poll() is not None:
            return []
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self, timeout_s: float = 40.0) -> int:
        """End it as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill every process of it at once, as a host that loses its power."""
        for process in self.everything():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait(10)


@dataclass
class Hosts:
    """The worker hosts of a test, which end with it."""

    warm: Warm
    plane: Plane
    directory: Path
    _started: list[Host] = field(default_factory=list)

    def start(self, name: str = "host-a", **environment: str) -> Host:
        """Start a worker, and wait until it is up."""
        common = {"DATABASE_URL": self.plane.database_url, "DMS_VAR_DIR": str(self.warm.template.parent)}
        host = Host(name, self.directory, common | environment)
        self._started.append(host)
        # Three interpreters start, each with all of Django.
        self.wait_until(lambda: self.is_up(name), f"worker {name} to be up", 90)
        return host

    def wait_until(self, is_so: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Wait, and fail with what the workers wrote and the runs are."""
        try:
            wait_until(is_so, what, timeout_s)
        except AssertionError as error:
            logs = "\n".join(f"--- {host.name}\n{host.log}" for host in self._started)
            runs = self.plane.runs("state", "supervised", "owner_host", "attempt", "reason")
            message = f"{error}\n{logs}\n{runs}"
            raise AssertionError(message) from None

    def wait_for_slots(self, host: Host) -> None:
        """Wait until a host with the two slots that these tests give it executes what is queued."""
        # The two, a pusher and a monitor below the sentinel.
        self.wait_until(lambda: len(host.clusters()["runs"].children(recursive=True)) >= 5, "the slots to be up")

    def is_up(self, name: str) -> bool:
        found = self.plane.rows(f"SELECT count(*) FROM migrations_app_heartbeat WHERE name = 'worker:{name}'")
        return found == [(1,)]

    def end(self) -> None:
        for host in self._started:
            host.kill()
