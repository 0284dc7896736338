"""`./run bench scheduling`: how soon due streams start, and what a second worker host brings.

Latency: 20 small streams with a cron of their own second each, under one worker, for some minutes; from the due time to
the claim. Throughput: 40 streams whose source takes its time, by one worker host and by two (processes with names of
their own on one machine), so that waiting and not processors decides.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2

from controlplane.sandbox import PostgresServer, Servers, ensure_servers
from controlplane.sandbox.keeper import MONGO, POSTGRES, KeeperOptions

_ROOT = Path(__file__).resolve().parent.parent
_PROMPT_STREAMS = 20
_SLOW_STREAMS = 40
_SLOW_ROWS = 100
_END_WITHIN_S = 60
_POLL_S = 1.0

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Field:
    """A sandbox with a source, a target and a control database, and the real commands on it."""

    postgres: PostgresServer
    directory: Path
    database_url: str
    environment: dict[str, str]

    def manage(self, *arguments: str) -> None:
        """Run `manage.py` to its end."""
        command = [sys.executable, str(_ROOT / "manage.py"), *arguments]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def load(self, command: str, name: str, document: dict[str, Any]) -> None:
        """Import a document."""
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(document))
        self.manage(command, str(path))

    def sql(self, database: str, statement: str) -> None:
        """Run a statement on the server of source and target."""
        with closing(psycopg2.connect(self.postgres.dsn(database))) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()

    def control(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the control database."""
        path = self.database_url.removeprefix("sqlite:///")
        opened: Any = sqlite3.connect(path) if path != self.database_url else psycopg2.connect(self.database_url)
        with closing(opened) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def workers(self, *names: str, slots: int) -> Iterator[None]:
        """Worker hosts, up for as long as the block lasts."""
        started = [self._start(name, slots) for name in names]
        try:
            while self.control("SELECT count(*) FROM migrations_app_heartbeat WHERE name LIKE 'worker:%'") != [
                (len(names),)
            ]:
                time.sleep(_POLL_S)
            yield
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(_END_WITHIN_S)

    def _start(self, name: str, slots: int) -> subprocess.Popen[bytes]:
        environment = self.environment | {"DMS_HOST": name, "DMS_RUN_WORKERS": str(slots)}
        command = [sys.executable, str(_ROOT / "manage.py"), "worker"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def mapping(self, schema: str, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A mapping from the source to a schema of the target."""
        server = {
            "url": f"{self.postgres.host}:{self.postgres.port}",
            "username": self.postgres.user,
            "password": "env:DMS_BENCH_PASSWORD",
        }
        return {
            "source": server | {"source_type": "pgsql", "db_name": "bench_source"},
            "destination": {
                "target": server | {"destination_type": "pgsql", "db_name": "bench_target", "schema": schema}
            },
            "tables": list(tables),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the last thing printed is the result."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        servers = ensure_servers(
            KeeperOptions(directory / "servers.json", services=(POSTGRES, MONGO), watched_pid=os.getpid())
        )
        assert servers.postgres is not None  # noqa: S101 - it was asked for
        for database in ("bench_source", "bench_target"):
            servers.postgres.create_database(database)
        field = _field(servers, directory, options.control)
        figures: Figures = {}
        if options.minutes:
            figures |= _latency(field, options.minutes)
        if options.throughput:
            figures |= _throughput(_field(servers, directory, "postgres"))
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.writelines(f"{name:28} {value:10.3f}\n" for name, value in figures.items())
    return 0


def _field(servers: Servers, directory: Path, control: str) -> Field:
    postgres, mongo = servers.postgres, servers.mongo
    assert postgres is not None  # noqa: S101 - it was asked for
    assert mongo is not None  # noqa: S101 - likewise
    var = directory / f"var-{control}-{time.time_ns()}"
    var.mkdir()
    url = f"sqlite:///{var / 'control.sqlite3'}"
    if control == "postgres":
        postgres.create_database(name := f"control_{time.time_ns()}")
        url = postgres.dsn(name)
    environment = os.environ | {
        "DATABASE_URL": url,
        "DMS_VAR_DIR": str(var),
        "DMS_BENCH_PASSWORD": postgres.password,
        "DMS_BENCH_STORES": mongo.url,
        "DMS_SOURCE_CONCURRENCY": "0",
    }
    field = Field(postgres, directory, url, environment)
    field.manage("migrate", "--verbosity", "0")
    store = {"url": "env:DMS_BENCH_STORES", "db_name": "bench"}
    settings = {
        "fastapi_server": True,
        "timezone": "UTC",
        "encryption_store": store | {"collection_name": "state"},
        "dashboard_store": store | {"collection_name": "runs"},
    }
    field.load("import_settings", "settings", settings)
    return field


def _make_tables(field: Field, prefix: str, count: int, rows: int) -> list[str]:
    names = [f"{prefix}{number}" for number in range(count)]
    for name in names:
        field.sql(
            "bench_source",
            f"CREATE TABLE {name} (id bigint PRIMARY KEY, name text, updated_at timestamp DEFAULT now());"
            f"INSERT INTO {name} SELECT n, 'row ' || n FROM generate_series(1, {rows}) AS n",
        )
    return names


def _latency(field: Field, minutes: float) -> Figures:
    """Seconds from the due time to the claim."""
    names = _make_tables(field, "prompt", _PROMPT_STREAMS, 20)
    keys = {"mode": "syncing", "primary_key": "id", "primary_key_datatype": "int", "bookmark": "updated_at"}
    tables = [
        {"table_name": name, "cron": f"* * * * * * * {60 * number // len(names)}", **keys}
        for number, name in enumerate(names)
    ]
    field.load("import_mapping", "prompt", field.mapping("prompt", tables))
    with field.workers("bench", slots=4):
        time.sleep(minutes * 60)
    late = sorted(
        _seconds(started) - _seconds(due)
        for started, due in field.control(
            "SELECT started_at, due_at FROM migrations_app_run WHERE due_at IS NOT NULL AND started_at IS NOT NULL"
        )
    )
    return {
        "starts": float(len(late)),
        "start_median_s": statistics.median(late),
        "start_p95_s": late[int(len(late) * 0.95)],
        "start_max_s": late[-1],
    }


def _seconds(moment: Any) -> float:
    """SQLite hands times over as text."""
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return float((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def _throughput(field: Field) -> Figures:
    """Streams a second by one worker host and by two."""
    names = _make_tables(field, "slow", _SLOW_STREAMS, _SLOW_ROWS)
    field.sql(
        "bench_source",
        "CREATE FUNCTION slowly(text, float) RETURNS text STABLE LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep($2); RETURN $1; END $$",
    )
    for name in names:
        field.sql(
            "bench_source",
            f"ALTER TABLE {name} RENAME TO {name}_behind; CREATE VIEW {name} AS"
            f" SELECT id, slowly(name, 0.08) AS name, updated_at FROM {name}_behind",
        )
    tables = [{"table_name": name, "cron": "self-managed", "mode": "dumping"} for name in names]
    field.load("import_mapping", "slow", field.mapping("slow", tables))
    seconds = {}
    for hosts in (("one",), ("one", "two")):
        with field.workers(*hosts, slots=4):
            seconds[len(hosts)] = _run_all(field)
    return {
        "one_host_s": seconds[1],
        "two_hosts_s": seconds[2],
        "two_hosts_vs_one": seconds[1] / seconds[2],
    }


def _run_all(field: Field) -> float:
    """Queue every stream, and wait until all have run; seconds from the first claim to the last outcome."""
    field.manage("run_migration", "slow", "--queue")
    while field.control("SELECT count(*) FROM migrations_app_run WHERE state IN ('queued', 'running')") != [(0,)]:
        time.sleep(_POLL_S)
    latest = field.control(
        "SELECT state, started_at, finished_at FROM migrations_app_run WHERE trigger_id ="
        " (SELECT trigger_id FROM migrations_app_run ORDER BY created_at DESC LIMIT 1)"
    )
    assert [state for state, _, _ in latest] == ["succeeded"] * _SLOW_STREAMS, latest  # noqa: S101 - else no figure
    return max(_seconds(end) for _, _, end in latest) - min(_seconds(begin) for _, begin, _ in latest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench scheduling", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--minutes", type=float, default=30, help="how long to measure starts (default: %(default)s)")
    parser.add_argument("--control", choices=("sqlite", "postgres"), default="sqlite", help="control database of those")
    parser.add_argument("--no-throughput", dest="throughput", action="store_false", help="leave out the second host")
    return parser


if __name__ == "__main__":
    sys.exit(main())
