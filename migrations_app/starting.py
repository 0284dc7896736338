"""Starting runs for who does not wait: by the workers while one is up, else by a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from connectors.base import Selection
from connectors.mapping import EVERY_TABLE, Issue, MappingError
from connectors.wording import counted
from migrations_app import hosts, mapping_io, plans, runs, settings_io
from migrations_app.enums import TriggerKind
from migrations_app.models import Mapping, Run, Stream
from migrations_app.plans import Plan
from migrations_app.verbs import backfill, checking

#: Processes that were started here. Asking them for their end is what lets the system forget them.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Started:
    """What was queued under one trigger.

    Attributes:
        trigger_id: Common to the runs.
        runs: Those that were queued.
        busy: The runs of streams that have one already.
    """

    trigger_id: uuid.UUID
    runs: list[Run] = field(default_factory=list)
    busy: list[Run] = field(default_factory=list)


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
    left = len(found) - queued
    busy = f", {left:,} {'has' if left == 1 else 'have'} a run already" if left else ""
    return f"Queued {queued} of {counted(len(found), 'stream')} of {mapping.pk} for the workers{busy}."


def select(mapping: Mapping, *, table: str | None = None, destination: str | None = None) -> list[Stream]:
    """The streams of a mapping, or some of them. Asks the source where the tables behind a `*` are not known yet.

    Args:
        mapping: Which mapping.
        table: Only this table, collection, topic or API.
        destination: Only to this destination.

    Raises:
        MappingError: The selection names nothing.
        ConnectorError: The source cannot be asked.
    """
    chosen = {"name": table, "destination_name": destination}
    wanted = {key: value for key, value in chosen.items() if value is not None}
    streams = list(mapping.streams.filter(active=True, **wanted).select_related("mapping"))
    if not streams and any(spec.name == EVERY_TABLE for spec in mapping.spec_rows()):
        built = plans.build(mapping.pk, table=table, destination=destination)
        streams = [plans.stream_row(plan) for plan in built]
    if not streams and wanted:
        message = "names no stream of the mapping; look at its specs and destinations"
        raise MappingError([Issue(("table" if table is not None else "destination",), message)])
    return streams


def queue(
    streams: Sequence[Stream],
    *,
    allow_deletes: int | None = None,
    requested_by: str = "",
    trigger: TriggerKind = TriggerKind.API,
) -> Started:
    """Queue a run for each of these streams of one mapping, and see to it that somebody executes them.

    Args:
        streams: Which ones.
        allow_deletes: Deletions that are approved for these runs.
        requested_by: Who asks.
        trigger: By which way.
    """
    started = Started(uuid.uuid4())
    for stream in streams:
        try:
            started.runs.append(
                runs.queue(
                    stream,
                    trigger=trigger,
                    trigger_id=started.trigger_id,
                    allow_deletes=allow_deletes,
                    requested_by=requested_by,
                )
            )
        except runs.AlreadyRunningError as error:
            started.busy.append(error.run)
    see_to(started.runs)
    return started


def queue_backfills(planned: Sequence[Plan], selection: Selection, *, requested_by: str = "") -> Started:
    """Queue a backfill of each of these streams of one mapping, and see to it that somebody executes them."""
    started = Started(uuid.uuid4())
    for plan in planned:
        try:
            run = backfill.queue(plan, selection, trigger_id=started.trigger_id, requested_by=requested_by)
        except runs.AlreadyRunningError as error:
            started.busy.append(error.run)
        else:
            started.runs.append(run)
    see_to(started.runs)
    return started


def retry(run: Run, *, requested_by: str = "", trigger: TriggerKind = TriggerKind.API) -> Run:
    """Queue a run that does what an ended one was to do, from where its stream is now.

    Args:
        run: The ended one.
        requested_by: Who asks.
        trigger: How; what asked for a backfill stays one.

    Raises:
        AlreadyRunningError: The stream has an active run.
    """
    new = queue_again(run, requested_by=requested_by, trigger=trigger)
    see_to([new])
    return new


def queue_again(run: Run, *, requested_by: str, trigger: TriggerKind) -> Run:
    """Queue what `retry` does, and leave it to the caller to have it executed."""
    return runs.queue(
        run.stream,
        trigger=TriggerKind(run.trigger) if run.request else trigger,
        allow_deletes=run.allow_deletes,
        requested_by=requested_by,
        request=run.request,
    )


def see_to(queued: Sequence[Run]) -> None:
    """Leave queued runs to the workers; without any, start a process that executes them one after the other."""
    if queued and not hosts.available():
        mapping_id = queued[0].stream.mapping_id
        arguments = [argument for run in queued for argument in ("--run", str(run.pk))]
        # Not before others can see the runs.
        transaction.on_commit(lambda: _start_process(mapping_id, arguments))


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
    arguments = ["--trigger", TriggerKind.ADMIN.value, f"--requested-by={requested_by}"]
    arguments += [f"--table={table}"] if table is not None else []
    arguments += [f"--destination={destination}"] if destination is not None else []
    return _start_process(mapping_id, arguments)


def start_check(stream: Stream, *, requested_by: str = "") -> int:
    """Start a data check of a stream in a process of its own, whose result is kept, and return the process id.

    Raises:
        CheckGoesOnError: One goes on.
    """
    checking.ask(stream, requested_by)
    arguments = [f"--table={stream.name}", f"--destination={stream.destination_name}", "--keep"]
    return _start_process(stream.mapping_id, arguments, command="verify_migration")


def start_checks(mapping: Mapping, *, requested_by: str = "") -> int:
    """Start a data check of all streams of a mapping, one after the other in one process; how many there are.

    Those whose data check goes on already keep the result of that one.
    """
    begun = 0
    for stream in mapping.streams.filter(active=True):
        with contextlib.suppress(checking.CheckGoesOnError):
            checking.ask(stream, requested_by)
            begun += 1
    if begun:
        _start_process(mapping.pk, ["--keep"], command="verify_migration")
    return begun


def _start_process(mapping_id: str, arguments: Sequence[str], *, command: str = "run_migration") -> int:
    _started[:] = [process for process in _started if process.poll() is None]
    words = [sys.executable, str(settings.BASE_DIR / "manage.py"), command, mapping_id, *arguments]
    log = settings.VAR_DIR / "runs" / f"{mapping_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            words,
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: a signal to the web server's group does not reach the run.
            start_new_session=True,
        )
    _started.append(process)
    return process.pid
