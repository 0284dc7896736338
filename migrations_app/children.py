"""Children: each run of a worker is a process of its own, forked from it warm, watched by it, and outlived by it.

The worker has one thread and, at the fork, no open connection. A child that is killed becomes a recorded outcome at
once, and one whose worker is killed stops at its last commit; what memory it took goes back with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections
from django.db.models.functions import Now

from connectors.base import RunReport
from migrations_app import hosts, lifeline, resumption, runs
from migrations_app.enums import RunState, StopReason
from migrations_app.executing import execute_queued
from migrations_app.models import Run
from migrations_app.watch import DRAIN_SIGNAL, Watch

logger = logging.getLogger(__name__)

_POLL_S = 0.05
_LOOK_EVERY_S = 1.0
_RECORD_WITHIN_S = 15.0
_SIGNALS = {signal.SIGTERM, signal.SIGINT, DRAIN_SIGNAL}
#: When memory runs out, the system is to end a run rather than the worker, which then records it.
_OOM_SCORE = "500"


def supervise(run: Run) -> None:
    """Execute a run that this process has claimed in a child, and see that its outcome is on record.

    Args:
        run: With its stream.
    """
    connections.close_all()
    # A signal that comes before the child can take it has to wait.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _live(run, parent, former)
    signal.pthread_sigmask(signal.SIG_SETMASK, former)
    supervision = _Supervision(run, pid)
    status = supervision.attend()
    _record_end(run, status, supervision)


class _Supervision:
    """Watches one child.

    Attributes:
        killed_for: Why this process killed it.
    """

    def __init__(self, run: Run, pid: int) -> None:
        self._run = run
        self._pid = pid
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        self._asked_at: float | None = None
        self.killed_for = ""
        self.is_stopped_by_operator = False

    def attend(self) -> int:
        """Wait for the child's end, and bring it about where it has to be; the status that it ended with."""
        while True:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_POLL_S)
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_EVERY_S
                _did(self._look)

    def _look(self) -> None:
        row = Run.objects.filter(pk=self._run.pk, state=RunState.RUNNING)
        found = row.values_list("stop_requested", flat=True).first()
        is_draining = hosts.is_draining(settings.DMS_HOST)
        if found is not None and row.filter(lease_until__lt=Now()).exists():
            self._kill("it went silent and its lease expired")
        elif found is None or found or is_draining:
            self._end(is_draining=is_draining, by_operator=bool(found))

    def _end(self, *, is_draining: bool, by_operator: bool) -> None:
        """The child sees by itself that an operator stops it, or that its outcome is on record; a drain it is told."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            if is_draining:
                os.kill(self._pid, DRAIN_SIGNAL)
        elif time.monotonic() - self._asked_at > settings.DMS_STOP_GRACE_S:
            self.is_stopped_by_operator = by_operator
            self._kill("it was to stop and did not end in time")

    def _kill(self, reason: str) -> None:
        self.killed_for = reason
        os.kill(self._pid, signal.SIGKILL)


def _record_end(run: Run, status: int, supervision: _Supervision) -> None:
    """Record the outcome of a child that did not come to do so itself."""
    give_up_at = time.monotonic() + _RECORD_WITHIN_S
    while time.monotonic() < give_up_at:
        if _did(lambda: _record_unrecorded(run, status, supervision)):
            return
        time.sleep(_LOOK_EVERY_S)
    # The lease will tell.
    logger.error("outcome of a child not recorded", extra={"action": "outcome", "run_id": str(run.pk)})


def _record_unrecorded(run: Run, status: int, supervision: _Supervision) -> None:
    if not Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists():
        # Its outcome is on record, or it was deleted with its mapping.
        return
    run.refresh_from_db()
    with contextlib.suppress(runs.LeaseLostError):
        if supervision.is_stopped_by_operator:
            sentence = "an operator stopped it; its process did not end in time and was killed"
            runs.stop(run, StopReason.OPERATOR, sentence, RunReport())
        else:
            runs.lose(run, supervision.killed_for or _how_it_ended(status))
    logger.error("run lost: %s", run.reason, extra={"action": "outcome", "run_id": str(run.pk)})


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return (
            "its process was killed by SIGKILL, as the system does when memory runs out; see the system's log, and if"
            f" so, {resumption.MEMORY_REMEDY}"
        )
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    return f"its process ended with code {status} without recording an outcome; the log of the worker has more"


def _live(run: Run, parent: int, former_mask: set[signal.Signals | int]) -> NoReturn:
    """The child's whole life. It must not return into the worker whose copy it is."""
    code = 1
    try:
        lifeline.untie()
        # A signal to the worker's group is not for its runs.
        os.setpgid(0, 0)
        _offer_to_oom_killer()
        watch = Watch(parent_pid=parent)
        with watch.signals():
            signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)
            code = _execute(run, watch)
    except BaseException:
        logger.exception("child failed", extra={"action": "outcome", "run_id": str(run.pk)})
    finally:
        with contextlib.suppress(Exception):
            connections.close_all()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _execute(run: Run, watch: Watch) -> int:
    execute_queued(run, watch=watch, claim=runs.take_over)
    extra = {"action": "outcome", "run_id": str(run.pk), "stream": run.stream.unique_id}
    if run.state in {RunState.FAILED, RunState.LOST}:
        logger.error("run %s: %s", run.state, run.reason, extra=extra)
        return 1
    logger.info("run %s %s", run.state, run.reason, extra=extra)
    return 0


def _offer_to_oom_killer() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def _did(ask: Callable[[], None]) -> bool:
    """False when the control database is away: a run does not end because its worker's database restarts."""
    try:
        ask()
    except (OperationalError, InterfaceError) as error:
        logger.warning("control database away: %s", type(error).__name__, extra={"action": "supervise"})
        connection.close()
        return False
    return True
