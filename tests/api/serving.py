"""The service as it is deployed: gunicorn, with processes and threads, over a control database of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from controlplane.sandbox.process import free_port

PROJECT = Path(__file__).resolve().parents[2]
_START_S = 60


@dataclass
class Service:
    """A service that is up."""

    key: str
    environment: dict[str, str]
    port: int = 0
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, document and headers of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", data, given)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, dict(answer.headers)
        finally:
            connection.close()

    def processor_seconds(self) -> float:
        """The processor time that its processes have taken since they began."""
        parent = psutil.Process(self.pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def manage(self, *arguments: str) -> str:
        """What a command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def run_service(directory: Path, **environment: str) -> Iterator[Service]:
    """Start the service, with a new control database and a token for everything; end it afterwards."""
    given = os.environ | {"DMS_VAR_DIR": str(directory), "DMS_API_RATE": "", "DMS_LOG_LEVEL": "INFO"} | environment
    service = Service("", given)
    service.manage("migrate", "-v0")
    service.key = service.manage("create_token", "tests", "--scope", "all").strip()
    service.port = free_port()
    command = [sys.executable, "-m", "gunicorn", "controlplane.wsgi", "--bind", f"127.0.0.1:{service.port}"]
    command += ["--workers", "2", "--threads", "4"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=given, stdout=log, stderr=log)
    service.pid = process.pid
    try:
        _wait_for(service, process)
        yield service
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(service: Service, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            status, _, _ = service.ask("GET", "/mappings")
        except OSError:
            assert process.poll() is None, "the service has ended"
            assert time.monotonic() < until, "the service does not answer"
            time.sleep(0.1)
        else:
            assert status == 200
            return
