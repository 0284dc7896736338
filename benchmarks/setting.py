"""Where the benchmarks run: a sandbox of their own, a control database of their own, the real commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import table
from controlplane.sandbox import PostgresServer, Servers, program

_ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "bench"


@dataclass(frozen=True, slots=True)
class Finished:
    """One command that has run.

    Attributes:
        seconds: As a whole process.
        peak_rss_mb: Largest resident memory, in 10^6 bytes.
        runs: What `run_migration --json` printed.
    """

    seconds: float
    peak_rss_mb: float
    runs: list[dict[str, Any]]

    @property
    def run_seconds(self) -> float:
        """From the run's record: claim to outcome."""
        return float(self.runs[0]["seconds"])


class Setting:
    """Two databases on one server, and the commands of the control plane.

    Args:
        servers: The sandbox.
        directory: For the control database and the documents.
    """

    def __init__(self, servers: Servers, directory: Path) -> None:
        assert servers.postgres is not None  # noqa: S101 - it was asked for
        assert servers.mongo is not None  # noqa: S101 - likewise
        self.postgres: PostgresServer = servers.postgres
        self._directory = directory
        self._environment = os.environ | {
            "DMS_VAR_DIR": str(directory / "var"),
            "DMS_BENCH_PASSWORD": self.postgres.password,
            "DMS_BENCH_STORES": servers.mongo.url,
        }
        (directory / "var").mkdir()
        for name in ("bench_source", "bench_target"):
            self.postgres.create_database(name)
        self._manage("migrate", "--verbosity", "0")
        self._import("import_settings", "settings", self._settings())

    def sql(self, database: str, *statements: str) -> None:
        """Run statements, each by itself."""
        connection = psycopg2.connect(self.postgres.dsn(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def make_source(self, rows: int) -> None:
        """The bench table with so many rows, alone in the source."""
        self.sql(
            "bench_source",
            "DROP TABLE IF EXISTS events",
            table.create("events"),
            table.fill("events", rows),
            "VACUUM (FREEZE, ANALYZE) events",
            "CREATE INDEX ON events (updated_at)",
            "CHECKPOINT",
        )

    def add_mapping(self, mode: str) -> None:
        """A mapping named after its mode, to a schema of its own."""
        self._import("import_mapping", mode, self._mapping(mode))

    def forget(self, mode: str) -> None:
        """Drop what the mapping has written, so that its next run is a first copy."""
        self.sql("bench_target", f"DROP SCHEMA IF EXISTS {SCHEMA}_{mode} CASCADE", "CHECKPOINT")

    def run(self, mode: str) -> Finished:
        """Run the mapping by the real command."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, str(_ROOT / "manage.py"), "run_migration", mode, "--json"],
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            message = f"run_migration {mode} ended with status {status}: {printed.decode()}"
            raise RuntimeError(message)
        rss_unit = 1 if sys.platform == "darwin" else 1024
        return Finished(seconds, usage.ru_maxrss * rss_unit / 1e6, json.loads(printed))

    def floor(self) -> float:
        """Seconds of `psql COPY binary | psql COPY binary` into an empty table with the primary key."""
        self.sql("bench_target", "DROP TABLE IF EXISTS floor", table.create("floor"), "CHECKPOINT")
        environment = os.environ | {"PGPASSWORD": self.postgres.password}
        server = self.postgres
        address = ["-h", server.host, "-p", str(server.port), "-U", server.user, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        psql = [str(program("psql")), *address]
        began = time.perf_counter()
        reader = subprocess.Popen(
            [*psql, "-d", "bench_source", "-c", "COPY events TO STDOUT (FORMAT binary)"],
            stdout=subprocess.PIPE,
            env=environment,
        )
        subprocess.run(
            [*psql, "-d", "bench_target", "-c", "COPY floor FROM STDIN (FORMAT binary)"],
            stdin=reader.stdout,
            env=environment,
            check=True,
        )
        if reader.wait():
            message = "psql could not read the source"
            raise RuntimeError(message)
        return time.perf_counter() - began

    def _settings(self) -> dict[str, Any]:
        store = {"url": "env:DMS_BENCH_STORES", "db_name": "bench"}
        return {
            "encryption_store": store | {"collection_name": "state"},
            "dashboard_store": store | {"collection_name": "runs"},
        }

    def _mapping(self, mode: str) -> dict[str, Any]:
        server = {
            "url": f"{self.postgres.host}:{self.postgres.port}",
            "username": self.postgres.user,
            "password": "env:DMS_BENCH_PASSWORD",
        }
        target = {"destination_type": "pgsql", "db_name": "bench_target", "schema": f"{SCHEMA}_{mode}"}
        return {
            "source": server | {"source_type": "pgsql", "db_name": "bench_source"},
            "destination": {"target": server | target},
            "tables": [
                {
                    "table_name": "events",
                    "cron": "self-managed",
                    "mode": mode,
                    "primary_key": "id",
                    "primary_key_datatype": "int",
                    "bookmark": "updated_at",
                    "strict": True,
                    "indexes": {},
                }
            ],
        }

    def _import(self, command: str, name: str, document: dict[str, Any]) -> None:
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(document))
        self._manage(command, str(path))

    def _manage(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, str(_ROOT / "manage.py"), *arguments],
            env=self._environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
