"""Starting runs from a page: a process of its own for each request, which outlives the web server's worker."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

from migrations_app import mapping_io, settings_io
from migrations_app.enums import TriggerKind
from migrations_app.models import Mapping

#: Processes that were started here. Asking them for their end is what lets the system forget them.
_started: list[subprocess.Popen[bytes]] = []


def check_startable(mapping: Mapping) -> None:
    """Find what would end the process before it has a run to record it on.

    Raises:
        MappingError: The mapping or the settings are wrong, or a variable that they refer to is not set.
        SecretUnreadableError: A stored secret was sealed with a key that is gone.
    """
    settings_io.resolved_settings()
    mapping_io.resolved(mapping_io.load_contract(mapping))


def start_detached(
    mapping_id: str, *, table: str | None = None, destination: str | None = None, requested_by: str = ""
) -> int:
    """Start `run_migration` for a mapping, or for some of its streams, and return the process id.

    What the process prints is appended to ``runs/{mapping}.log`` in the service's directory for its files.

    Args:
        mapping_id: Which mapping.
        table: Only this table, collection, topic or API.
        destination: Only to this destination.
        requested_by: Name of the user who asks.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_migration", mapping_id]
    command += ["--trigger", TriggerKind.ADMIN.value, f"--requested-by={requested_by}"]
    command += [f"--table={table}"] if table is not None else []
    command += [f"--destination={destination}"] if destination is not None else []
    log = settings.VAR_DIR / "runs" / f"{mapping_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: a signal to the web server's group does not reach the run.
            start_new_session=True,
        )
    _started.append(process)
    return process.pid
