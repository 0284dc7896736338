"""Where the benchmarks run: a sandbox of their own, a control database of their own, the real commands.

Mappings are named after what they do: ``syncing`` and ``mirroring`` into PostgreSQL, ``lake`` (syncing) into a bucket.
"""

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
from controlplane.sandbox import PostgresServer, S3Server, Servers, program

_ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "bench"
BUCKET = "bench"
LAKE = "lake"
_CLOCK_MARGIN_S = 1


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
    """Two databases on one server, a bucket, and the commands of the control plane.

    Args:
        servers: The sandbox.
        directory: For the control database and the documents.
    """

    def __init__(self, servers: Servers, directory: Path) -> None:
        assert servers.postgres is not None  # noqa: S101 - it was asked for
        assert servers.mongo is not None  # noqa: S101 - likewise
        assert servers.s3 is not None  # noqa: S101 - likewise
        self.postgres: PostgresServer = servers.postgres
        self._s3: S3Server = servers.s3
        self._directory = directory
        self._environment = os.environ | {
            "DMS_VAR_DIR": str(directory / "var"),
            "DMS_BENCH_PASSWORD": self.postgres.password,
            "DMS_BENCH_SECRET": self._s3.secret_access_key,
            "DMS_BENCH_STORES": servers.mongo.url,
            # A run reads what changed in the margin before the last one again: see settle().
            "DMS_CLOCK_MARGIN_S": str(_CLOCK_MARGIN_S),
        }
        (directory / "var").mkdir()
        self._s3.client().create_bucket(Bucket=BUCKET)
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

    def add_mapping(self, name: str) -> None:
        """A mapping to a schema, or for the lake a bucket, of its own."""
        self.import_mapping(name, self._mapping(name))

    def import_mapping(self, name: str, document: dict[str, Any]) -> None:
        """A mapping of the caller's own."""
        self._import("import_mapping", name, document)

    def server_keys(self) -> dict[str, Any]:
        """The keys of a source or destination that say where the server is."""
        return {
            "url": f"{self.postgres.host}:{self.postgres.port}",
            "username": self.postgres.user,
            "password": "env:DMS_BENCH_PASSWORD",
        }

    def bucket_keys(self) -> dict[str, Any]:
        """The keys of a destination that is the bucket."""
        return {
            "destination_type": "s3",
            "s3_bucket_name": BUCKET,
            "endpoint_url": self._s3.endpoint_url,
            "region": self._s3.region,
            "access_key_id": self._s3.access_key_id,
            "secret_access_key": "env:DMS_BENCH_SECRET",
        }

    def forget(self, name: str) -> None:
        """Drop what the mapping has written, so that its next run is a first copy."""
        if name != LAKE:
            self.sql("bench_target", f"DROP SCHEMA IF EXISTS {SCHEMA}_{name} CASCADE", "CHECKPOINT")
            return
        client = self._s3.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for found in page.get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=found["Key"])

    def run(self, name: str) -> Finished:
        """Run the mapping by the real command."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, str(_ROOT / "manage.py"), "run_migration", name, "--json"],
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            message = f"run_migration {name} ended with status {status}: {printed.decode()}"
            raise RuntimeError(message)
        rss_unit = 1 if sys.platform == "darwin" else 1024
        return Finished(seconds, usage.ru_maxrss * rss_unit / 1e6, json.loads(printed))

    def settle(self, name: str) -> None:
        """Let the mapping be where the next run reads nothing but what changes from now on."""
        time.sleep(_CLOCK_MARGIN_S)
        self.run(name)

    def floor(self) -> float:
        """Seconds of `psql COPY binary | psql COPY binary` into an empty table with the primary key."""
        self.sql("bench_target", "DROP TABLE IF EXISTS floor", table.create("floor"), "CHECKPOINT")
        environment = os.environ | {"PGPASSWORD": self.postgres.password}
        psql = self._psql()
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

    def read_floor(self) -> float:
        """Seconds of `psql COPY binary` to nowhere."""
        environment = os.environ | {"PGPASSWORD": self.postgres.password}
        command = [*self._psql(), "-d", "bench_source", "-c", "COPY events TO STDOUT (FORMAT binary)"]
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
        return time.perf_counter() - began

    def _psql(self) -> list[str]:
        server = self.postgres
        address = ["-h", server.host, "-p", str(server.port), "-U", server.user, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        return [str(program("psql")), *address]

    def _settings(self) -> dict[str, Any]:
        store = {"url": "env:DMS_BENCH_STORES", "db_name": "bench"}
        return {
            "encryption_store": store | {"collection_name": "state"},
            "dashboard_store": store | {"collection_name": "runs"},
        }

    def _mapping(self, name: str) -> dict[str, Any]:
        server = self.server_keys()
        target = server | {"destination_type": "pgsql", "db_name": "bench_target", "schema": f"{SCHEMA}_{name}"}
        if name == LAKE:
            target = self.bucket_keys()
        return {
            "source": server | {"source_type": "pgsql", "db_name": "bench_source"},
            "destination": {"target": target},
            "tables": [
                {
                    "table_name": "events",
                    "cron": "self-managed",
                    "mode": "syncing" if name == LAKE else name,
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
