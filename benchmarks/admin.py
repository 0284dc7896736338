"""`./run bench admin`: server time and queries of the largest pages, in a large installation.

1,000 streams of one mapping and 200,000 runs of the last two weeks, on SQLite and on PostgreSQL. A page is asked for
several times, as a signed-in browser does, without a web server between; the figures are medians. CPU time is this
process's alone, so that it is comparable between busy machines; on PostgreSQL the server works beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.sandbox import ensure_servers
from controlplane.sandbox.keeper import POSTGRES, KeeperOptions

_ROOT = Path(__file__).resolve().parent.parent
_CONTROLS = ("sqlite", "postgres")
_PAGES = {
    "home": "/admin/",
    "home_now": "/admin/migrations_app/heartbeat/see/now/",
    "home_outlook": "/admin/migrations_app/heartbeat/see/outlook/",
    "runs": "/admin/migrations_app/run/",
}

Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the last thing printed is the result."""
    options = _parser().parse_args(arguments)
    if options.here:
        sys.stdout.write(json.dumps(_measure(options)) + "\n")
        return 0
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for control in options.control or _CONTROLS:
            figures |= _measured_apart(Path(name), control, options)
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.writelines(f"{name:32} {value:10.1f}\n" for name, value in figures.items())
    return 0


def _measured_apart(directory: Path, control: str, options: argparse.Namespace) -> Figures:
    """Measure in a process of its own: Django knows one control database."""
    var = directory / control
    var.mkdir()
    # As in a real installation: no debugging, whose templates and queries take longer.
    environment = os.environ | {
        "DMS_VAR_DIR": str(var),
        "DATABASE_URL": f"sqlite:///{var / 'control.sqlite3'}",
        "SECRET_KEY": "of-a-benchmark",
        "DMS_SECRET_KEYS": "A" * 43 + "=",
        "SECURE_SSL_REDIRECT": "false",
        "DMS_STATIC_DIR": str(directory / "static"),
        "DJANGO_SETTINGS_MODULE": "controlplane.settings",
    }
    if control == "postgres":
        servers = ensure_servers(
            KeeperOptions(directory / "servers.json", services=(POSTGRES,), watched_pid=os.getpid())
        )
        assert servers.postgres is not None  # noqa: S101 - it was asked for
        servers.postgres.create_database("bench_admin")
        environment["DATABASE_URL"] = servers.postgres.dsn("bench_admin")
    command = [sys.executable, "-m", "benchmarks.admin", "--here"]
    command += ["--streams", str(options.streams), "--runs", str(options.runs), "--repeat", str(options.repeat)]
    ended = subprocess.run(command, env=environment, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(ended.stdout.splitlines()[-1])
    return {f"{control}_{name}": value for name, value in found.items()}


def _measure(options: argparse.Namespace) -> Figures:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from migrations_app.admin.posting import url_of
    from migrations_app.models import Mapping
    from tests.admin.many import Size, make_many

    call_command("migrate", verbosity=0)
    if not settings.DEBUG and not Path(settings.STATIC_ROOT).exists():
        call_command("collectstatic", verbosity=0, interactive=False)
    began = time.perf_counter()
    # All in one mapping: its page is measured as well.
    make_many(Size(streams=options.streams, runs=options.runs, mappings=1))
    if connection.vendor == "postgresql":
        # As autovacuum does within a minute: pages of the index can then be read without the table's.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    figures: Figures = {"made_s": time.perf_counter() - began}
    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model()._default_manager.create_superuser("bench"))
    overview = url_of(Mapping.objects.get(), "overview")
    for name, address in (*_PAGES.items(), ("mapping", overview)):
        figures |= _timed(name, client, address, options.repeat)
    figures["runs_in_charts"] = _runs_in_charts()
    return figures


def _timed(name: str, client: Any, address: str, repeat: int) -> Figures:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    # Before the next request, which forgets them.
    count = len(queries)
    if answer.status_code != 200:
        message = f"{address} answered {answer.status_code}"
        raise RuntimeError(message)
    walls, processors = [], []
    for _ in range(repeat):
        wall, processor = time.perf_counter(), time.process_time()
        client.get(address)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {
        f"{name}_ms": 1000 * statistics.median(walls),
        f"{name}_cpu_ms": 1000 * statistics.median(processors),
        f"{name}_queries": count,
    }


def _runs_in_charts() -> float:
    """How many runs the days of the chart hold: all that were made, or the figures are of something else."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from migrations_app.monitoring import history

    days = history.days(ZoneInfo("Asia/Kolkata"), datetime.now(UTC))
    history.fill(days)
    return float(sum(day.total for day in days))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench admin", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--streams", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--runs", type=int, default=200_000, help="(default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=7, help="requests of each page (default: %(default)s)")
    parser.add_argument("--control", choices=_CONTROLS, action="append", help="control database (default: both)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
