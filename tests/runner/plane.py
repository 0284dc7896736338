"""A control plane of a test's own: its database, its commands as processes, and what they left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

PROJECT = Path(__file__).resolve().parents[2]
_POLL_S = 0.02
#: Small chunks, and no wait that a test does not ask for.
OPTIONS: Mapping[str, Any] = {
    "clock_margin_s": 0.0,
    "writers_wait_s": 0.2,
    "key_overlap": 10_000,
    "max_delete_fraction": 0.5,
    "delete_guard_rows": 1000,
    "connect_timeout_s": 5,
    "statement_timeout_s": 0,
    "lock_timeout_s": 30,
    "chunk_bytes": 4000,
}


class Warm:
    """The warm process of a test run; see warm.py.

    Args:
        directory: For its keys and, unless `database_url` is given, the control database that others are copied from.
        database_url: A control database on PostgreSQL.
    """

    def __init__(self, directory: Path, database_url: str = "") -> None:
        self.template = directory / "control.sqlite3"
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "controlplane.settings",
            "DMS_VAR_DIR": str(directory),
            "DMS_ENV_PREFIXES": "TEST_",
            "COLUMNS": "80",
        }
        environment.pop("DMS_FAULT", None)
        if database_url:
            environment["DATABASE_URL"] = database_url
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runner.warm"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == {"ready": True}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@dataclass
class Command:
    """A command that runs, or has run, as a process of its own."""

    pid: int
    directory: Path
    poll: Callable[[], int | None]
    code: int | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text()

    @property
    def err(self) -> str:
        return (self.directory / "err").read_text()

    @property
    def is_running(self) -> bool:
        if self.code is None:
            self.code = self.poll()
        return self.code is None

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit code; negative for the signal that ended it."""
        wait_until(lambda: not self.is_running, f"process {self.pid} to end", timeout_s)
        assert self.code is not None
        return self.code

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait_for_fault(self) -> None:
        """Until it has come to the fault point that was armed."""
        wait_until(lambda: "fault injected" in self.err, f"the fault point; it wrote {self.err}")

    def document(self) -> Any:
        return json.loads(self.out)


class Plane:
    """A control plane with settings and mappings of one test."""

    def __init__(self, warm: Warm, directory: Path, database_url: str = "") -> None:
        self._warm = warm
        self._directory = directory
        self._database_url = database_url
        self._database = directory / "control.sqlite3"
        self._commands: list[Command] = []
        self.options: dict[str, Any] = dict(OPTIONS)
        if not database_url:
            shutil.copyfile(warm.template, self._database)

    @property
    def database_url(self) -> str:
        """The control database, for processes that are started by their command line."""
        return self._database_url or f"sqlite:///{self._database}"

    def start(
        self,
        *argv: object,
        fault: str = "",
        environment: dict[str, str] | None = None,
        constants: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Command:
        """Start `manage.py ARGV`; settings are those of Django, in capitals, and constants those of modules."""
        directory = self._directory / str(len(self._commands))
        directory.mkdir()
        for name in ("out", "err"):
            (directory / name).touch()
        request = {
            "argv": [str(each) for each in argv],
            "directory": str(directory),
            "database": "" if self._database_url else str(self._database),
            "environment": environment or {},
            "constants": {**(constants or {})},
            "settings": {"DMS_OPTIONS": self.options, "DMS_FAULT": fault, **settings},
        }
        pid = int(self._warm.ask(request)["pid"])
        command = Command(pid, directory, lambda: self._warm.ask({"poll": pid})["code"])
        self._commands.append(command)
        return command

    def run(self, *argv: object, **settings: Any) -> Command:
        """Run `manage.py ARGV` to its end."""
        command = self.start(*argv, **settings)
        command.wait()
        return command

    def check(self, *argv: object, **settings: Any) -> Command:
        """Run a command that is to succeed."""
        command = self.run(*argv, **settings)
        assert command.code == 0, f"{argv} ended with {command.code}\n{command.out}\n{command.err}"
        return command

    def save_as(self, path: Path) -> None:
        """Write the control database, with what stands in its log, into another file."""
        with closing(sqlite3.connect(self._database)) as here, closing(sqlite3.connect(path)) as there:
            here.backup(there)

    def import_settings(self, document: dict[str, Any]) -> None:
        self.check("import_settings", self._written("settings", document))

    def import_mapping(self, mapping_id: str, document: dict[str, Any]) -> None:
        self.check("import_mapping", self._written(mapping_id, document))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the control database, behind the application's back."""
        with self._connection() as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
            connection.commit()
        return list(found)

    def runs(self, *columns: str) -> list[tuple[Any, ...]]:
        """Columns of all runs, the oldest first; the state alone unless others are named."""
        return self.rows(f"SELECT {', '.join(columns or ('state',))} FROM migrations_app_run ORDER BY created_at")

    def states(self) -> list[str]:
        return [state for (state,) in self.runs()]

    def everything(self) -> str:
        """All that the commands printed and the control database holds of runs, as one text."""
        printed = [text for command in self._commands for text in (command.out, command.err)]
        tables = ("run", "runevent", "outboxentry", "checkpoint", "stream")
        kept = [repr(self.rows(f"SELECT * FROM migrations_app_{table}")) for table in tables]
        return "\n".join(printed + kept)

    def end(self) -> None:
        """End what still runs."""
        for command in self._commands:
            if command.is_running:
                command.send(signal.SIGKILL)
                command.wait()

    def _written(self, name: str, document: dict[str, Any]) -> Path:
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(document))
        return path

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if self._database_url:
            opened: Any = psycopg2.connect(self._database_url)
        else:
            opened = sqlite3.connect(self._database, timeout=20)
        with closing(opened):
            yield opened


def wait_until(is_so: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait, and fail with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            message = f"waited {timeout_s} s for {what}"
            raise AssertionError(message)
        time.sleep(_POLL_S)
