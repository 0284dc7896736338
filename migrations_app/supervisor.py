"""The worker of one host: keeps both clusters up, notices when one of them only looks alive, and ends them in order.

It has no share in the work itself. What it does every few seconds: start a cluster that has ended; say that the host
is up; let go of runs of this host whose process is gone; send a tick where none is at work; and start a cluster anew
that does not take what waits for it (django-q2's workers share a lock that dies with whoever holds it).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Schedule
from django_q.tasks import async_task

from migrations_app import dispatch, hosts, runs, ticking
from migrations_app.attempting import attempt
from migrations_app.models import Heartbeat

logger = logging.getLogger(__name__)

CLUSTERS = (ticking.CLUSTER, dispatch.CLUSTER)
_TICK_TASK = "migrations_app.tasks.tick"
_LOOK_EVERY_S = 0.2
_TEND_EVERY_S = 3.0
_LONGEST_PAUSE_S = 30.0
#: A cluster that was up for so long starts without a pause after its end.
_STEADY_S = 60.0
#: A tick that was silent for so long is sent anew; after the longer time the cluster is started anew.
_TICK_LATE = timedelta(seconds=15)
_TICK_SEND_EVERY_S = 15.0
#: For so long on end a free slot takes nothing of what has waited long before its cluster counts as stuck.
_WAITS_LONG = timedelta(seconds=10)
_STUCK_S = 40.0
_END_WITHIN_S = 15.0


@dataclass(slots=True)
class _Member:
    """One cluster's process.

    Attributes:
        name: The cluster.
        process: None while it is down.
        started_at: Monotonic.
        pause_s: How long to wait before it is started again.
    """

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    pause_s: float = 0.0

    def start(self) -> None:
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker", "--cluster", self.name]
        environment = os.environ | {"Q_CLUSTER_NAME": self.name}
        self.process = subprocess.Popen(
            command, env=environment, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.started_at = time.monotonic()

    def send(self, number: signal.Signals, *, to_group: bool = False) -> None:
        """Send a signal, if it is up. It leads its group, so that both have its number."""
        if self.process is not None:
            (os.killpg if to_group else os.kill)(self.process.pid, number)

    def ended(self, status: int) -> None:
        assert self.process is not None  # noqa: S101 - for mypy; only a process that was started can have ended
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process = None
        self.ended_at = time.monotonic()
        is_steady = self.ended_at - self.started_at > _STEADY_S
        self.pause_s = 0.0 if is_steady else min(_LONGEST_PAUSE_S, self.pause_s * 2 + 1)

    @property
    def has_been_up_s(self) -> float:
        return time.monotonic() - self.started_at if self.process is not None else 0.0


@dataclass(slots=True)
class Supervisor:
    """Keeps this host's share of the work up until a signal ends it."""

    host: str = field(default_factory=lambda: settings.DMS_HOST)
    _holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    _members: list[_Member] = field(default_factory=lambda: [_Member(name) for name in CLUSTERS])
    _is_to_end: bool = False
    _send_tick_at: float = 0.0
    _latest_start: datetime | None = None
    _idle_since: float = field(default_factory=time.monotonic)
    _carried_since: float = field(default_factory=time.monotonic)

    def serve(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._notice)
        # Another process's flag of an earlier stop would keep this one idle.
        attempt(lambda: hosts.undrain(self.host))
        attempt(hosts.forget_silent)
        tend_at = 0.0
        while not self._is_to_end:
            self._collect()
            self._start_missing()
            if time.monotonic() >= tend_at:
                tend_at = time.monotonic() + _TEND_EVERY_S
                attempt(self._tend)
            time.sleep(_LOOK_EVERY_S)
        self._end()

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        self._is_to_end = True

    def _collect(self) -> None:
        """Let the system forget processes that have ended: clusters, and in a container whatever lost its parent."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for member in self._members:
                if member.process is not None and member.process.pid == pid:
                    member.ended(status)
                    if not self._is_to_end:
                        logger.error("cluster %s has ended", member.name, extra={"action": "worker"})

    def _start_missing(self) -> None:
        for member in self._members:
            if member.process is None and time.monotonic() >= member.ended_at + member.pause_s:
                member.start()

    def _tend(self) -> None:
        hosts.beat(self.host, self._holder, {"host": self.host, "pid": os.getpid(), "slots": settings.DMS_RUN_WORKERS})
        runs.release_gone(self.host)
        if not attempt(get_broker(dispatch.CLUSTER).ping):
            # Whoever is sent nothing takes nothing, and is not to be ended for it.
            self._idle_since = self._carried_since = time.monotonic()
            return
        self._tend_tick()
        self._tend_runs()

    def _tend_tick(self) -> None:
        ensure_schedule()
        beats = Heartbeat.objects.filter(name=ticking.TICK)
        if beats.filter(at__gt=Now() - _TICK_LATE).exists():
            return
        control = self._members[CLUSTERS.index(ticking.CLUSTER)]
        waited_s = min(control.has_been_up_s, time.monotonic() - self._carried_since)
        if waited_s > _STEADY_S and not beats.filter(at__gt=Now() - 4 * _TICK_LATE).exists():
            self._restart(control)
        elif time.monotonic() >= self._send_tick_at:
            self._send_tick_at = time.monotonic() + _TICK_SEND_EVERY_S
            async_task(_TICK_TASK, cluster=ticking.CLUSTER, save=False)

    def _tend_runs(self) -> None:
        """A run that waits, a slot that is free and a tick that sends tokens: one of the slots should have taken it."""
        cluster = self._members[CLUSTERS.index(dispatch.CLUSTER)]
        latest = hosts.latest_start_on(self.host)
        busy = hosts.running_on([self.host]).get(self.host, 0)
        is_idle = busy < settings.DMS_RUN_WORKERS and not hosts.is_draining(self.host)
        if latest != self._latest_start or not (is_idle and dispatch.is_waiting_for(_WAITS_LONG)):
            self._latest_start = latest
            self._idle_since = time.monotonic()
        elif min(cluster.has_been_up_s, time.monotonic() - self._idle_since) > _STUCK_S:
            self._idle_since = time.monotonic()
            self._restart(cluster)

    def _restart(self, member: _Member) -> None:
        logger.error("cluster %s takes no work and is started anew", member.name, extra={"action": "worker"})
        member.send(signal.SIGKILL, to_group=True)

    def _end(self) -> None:
        """Stop the runs at their last commit, then the clusters, then whatever is left of them."""
        logger.info("worker ends", extra={"action": "worker"})
        attempt(lambda: hosts.drain(self.host))
        attempt(lambda: ticking.abdicate(self.host))
        until = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < until and attempt(lambda: bool(hosts.running_on([self.host]))):
            time.sleep(_LOOK_EVERY_S)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for member in self._members:
                member.send(number, to_group=number is signal.SIGKILL)
            until = time.monotonic() + _END_WITHIN_S
            while any(member.process for member in self._members) and time.monotonic() < until:
                self._collect()
                time.sleep(_LOOK_EVERY_S)
        attempt(lambda: hosts.leave(self.host, self._holder))
        # Nothing is left to be drained, and a worker that has the host's name by now is to take runs.
        attempt(lambda: hosts.undrain(self.host))


def ensure_schedule() -> None:
    """Have django-q2 send a tick every minute: the one schedule that it keeps."""
    if Schedule.objects.filter(name=ticking.TICK).exists():
        return
    Schedule.objects.create(
        name=ticking.TICK,
        func=_TICK_TASK,
        schedule_type=Schedule.MINUTES,
        minutes=1,
        repeats=-1,
        next_run=timezone.now(),
    )
