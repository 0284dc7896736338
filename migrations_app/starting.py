"""Starting runs from a page: the workers' business while one is up, else that of a process of its own."""

from __future__ import annotations

import subprocess
import sys
import uuid

from django.conf import settings

from migrations_app import hosts, mapping_io, runs, settings_io
from migrations_app.enums import TriggerKind
from migrations_app.models import Mapping, Stream

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


def start(mapping: Mapping, *, table: str | None = None, destination: str | None = None, requested_by: str = "") -> str:
    """Run a mapping, or some of its streams; a sentence on what happens now.

    A worker that is up finds the runs in the queue. Without one, or where the tables behind a `*` are not known yet,
    a process is started.

    Args:
        mapping: Which mapping.
        table: Only this table, collection, topic or API.
        destination: Only to this destination.
        requested_by: Name of the user who asks.
    """
    streams = mapping.streams.filter(active=True)
    if table is not None:
        streams = streams.filter(name=table)
    if destination is not None:
        streams = streams.filter(destination_name=destination)
    found = list(streams)
    if not found or not hosts.available():
        start_detached(mapping.pk, table=table, destination=destination, requested_by=requested_by)
        return f"Started {mapping.pk}."
    trigger_id = uuid.uuid4()
    queued = sum(_queue(stream, trigger_id, requested_by) for stream in found)
    busy = f", {len(found) - queued} have a run already" if queued < len(found) else ""
    return f"Queued {queued} of {len(found)} streams of {mapping.pk} for the workers{busy}."


def _queue(stream: Stream, trigger_id: uuid.UUID, requested_by: str) -> bool:
    try:
        runs.queue(stream, trigger=TriggerKind.ADMIN, trigger_id=trigger_id, requested_by=requested_by)
    except runs.AlreadyRunningError:
        return False
    return True


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
