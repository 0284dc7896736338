"""The service as a browser sees it: gunicorn over a control database of its own, and what a test may do behind it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil

from controlplane.sandbox.process import LOOPBACK, free_port
from tests.browser import people

PROJECT = Path(__file__).resolve().parents[2]
_START_S = 60.0
_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "controlplane.settings",
    "DMS_LOG_LEVEL": "INFO",
    "DMS_CLOCK_MARGIN_S": "0",
    "DMS_WRITERS_WAIT_S": "0.2",
    "DMS_CONNECT_TIMEOUT_S": "5",
    "DMS_RESUME_DELAY_S": "1",
    "DMS_RUN_WORKERS": "2",
}
#: What would lead it to a control database or to keys that somebody works with.
_FOREIGN = ("DATABASE_URL", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "DMS_", "AWS_", "BEHIND_TLS_PROXY")


@dataclass
class Site:
    """A service that is up.

    Attributes:
        directory: Holds its control database, its keys and its logs.
        environment: Of its processes.
        port: On the loopback address.
        sessions: The key of a session that is signed in, by role.
    """

    directory: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    sessions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with (self.directory / "backstage.log").open("wb") as log:
            self._backstage = subprocess.Popen(
                [sys.executable, "-m", "tests.browser.backstage"],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> str:
        """What the server has written."""
        return (self.directory / "server.log").read_text()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of a module where Django is set up; arguments and value are JSON.

        Raises:
            AssertionError: It raised; its traceback is in the message.
        """
        assert self._backstage.stdin is not None
        assert self._backstage.stdout is not None
        request = {"call": f"{function.__module__}:{function.__name__}", "arguments": arguments}
        self._backstage.stdin.write(json.dumps(request) + "\n")
        self._backstage.stdin.flush()
        line = self._backstage.stdout.readline()
        assert line, (self.directory / "backstage.log").read_text()
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def manage(self, *arguments: str) -> str:
        """What a command prints, run as a process of its own."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker that executes what is started, and ends with its runs."""
        with (self.directory / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(lambda: self.call(people.is_worker_up), "the worker to be up")
            yield
        finally:
            process.terminate()
            try:
                process.wait(40)
            finally:
                self._end_others()

    def keep(self) -> None:
        """Remember what the control database holds now, for `reset`."""
        _copy(self._database, self._kept)

    def reset(self) -> None:
        """Make the control database what it was at `keep`, and end the runs of the test before."""
        self._end_others()
        _copy(self._kept, self._database)

    def close(self) -> None:
        """End what is beside the server."""
        self._end_others()
        for pipe in (self._backstage.stdin, self._backstage.stdout):
            assert pipe is not None
            pipe.close()
        self._backstage.wait(10)

    @property
    def _database(self) -> Path:
        return self.directory / "control.sqlite3"

    @property
    def _kept(self) -> Path:
        return self.directory / "kept.sqlite3"

    def _end_others(self) -> None:
        """Kill processes of this site that are neither its server nor its backstage: runs that a test has started."""
        known = ("gunicorn", "tests.browser.backstage")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get("DMS_VAR_DIR") == str(self.directory)
                if is_ours and not any(name in word for word in process.cmdline() for name in known):
                    process.kill()


@contextmanager
def run_site(directory: Path, **environment: str) -> Iterator[Site]:
    """Start the service with a user for each role; end it afterwards.

    Args:
        directory: Empty; for everything it writes.
        environment: Further variables.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    site = Site(directory, kept | _ENVIRONMENT | {"DMS_VAR_DIR": str(directory)} | environment)
    command = [sys.executable, "-m", "gunicorn", "controlplane.wsgi", "--bind", f"{LOOPBACK}:{site.port}"]
    command += ["--workers", "1", "--threads", "8", "--log-level", "warning"]
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=PROJECT, env=site.environment, stdout=log, stderr=log)
    try:
        site.sessions = site.call(people.make)
        site.keep()
        wait_until(lambda: _answers(site, server), "the service to answer")
        yield site
    finally:
        server.terminate()
        server.wait(30)
        site.close()


def _answers(site: Site, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, site.log
    connection = http.client.HTTPConnection(LOOPBACK, site.port, timeout=_START_S)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited {_START_S} s for {what}"
        time.sleep(0.1)


def _copy(there: Path, here: Path) -> None:
    """Copy a database that others have open, as one transaction."""
    with closing(sqlite3.connect(there, timeout=20)) as source, closing(sqlite3.connect(here, timeout=20)) as target:
        source.backup(target)
