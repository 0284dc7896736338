"""Why the runs of a process should stop: a signal, the cut-off time, or a parent that is gone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from types import FrameType

import pytz

from migrations_app.enums import StopReason

#: By this a worker tells its runs that its host is being drained.
DRAIN_SIGNAL = signal.SIGUSR1
_NOTICED = (signal.SIGTERM, signal.SIGINT, DRAIN_SIGNAL)


@dataclass(frozen=True, slots=True)
class Stop:
    """A reason to stop, with its sentence."""

    reason: StopReason
    sentence: str


@dataclass(slots=True)
class Watch:
    """Collects the reasons to stop the runs of one process; the first one counts.

    Attributes:
        cut_off_at: When runs are to end; None for never.
        parent_pid: The process that must live on; None when nobody's child.
        stop: The first reason that came up.
    """

    cut_off_at: datetime | None = None
    parent_pid: int | None = None
    stop: Stop | None = None
    _signals: list[int] = field(default_factory=list)

    def look(self) -> Stop | None:
        """Look at everything that needs no database."""
        if self.stop is None:
            self.stop = self._find()
        return self.stop

    def watch_the_clock(self, cut_off: time | None, timezone: str) -> None:
        """Stop at the next cut-off time; the runs of one command share the first one that is set."""
        if self.cut_off_at is None:
            self.cut_off_at = next_cut_off(cut_off, timezone, datetime.now(tz=pytz.utc))

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Notice SIGTERM, SIGINT and a drain. Elsewhere than in the main thread Python does not let us."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self._notice) for number in _NOTICED}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _notice(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _find(self) -> Stop | None:
        if self.parent_pid is not None and os.getppid() != self.parent_pid:
            return Stop(StopReason.PARENT_DIED, "the process that started it has ended")
        if self._signals:
            if self._signals[0] == DRAIN_SIGNAL:
                return Stop(StopReason.DRAIN, "its host is being drained")
            name = signal.Signals(self._signals[0]).name
            return Stop(StopReason.SIGTERM, f"the process was asked to end by {name}")
        if self.cut_off_at is not None and datetime.now(tz=pytz.utc) >= self.cut_off_at:
            return Stop(StopReason.CUT_OFF, f"the cut-off time was reached at {self.cut_off_at:%H:%M:%S %Z}")
        return None


def next_cut_off(cut_off: time | None, timezone: str, now: datetime) -> datetime | None:
    """The next moment at which clocks in the time zone show the cut-off time; None without one.

    A time that summer time leaves out is taken as much later, one that it repeats is taken the first time.
    """
    if cut_off is None:
        return None
    zone = pytz.timezone(timezone)
    local = now.astimezone(zone)
    for days in (0, 1):
        day = local.date() + timedelta(days=days)
        moment = _localized(zone, datetime.combine(day, cut_off))
        if moment > now:
            return moment
    return moment


def _localized(zone: pytz.BaseTzInfo, naive: datetime) -> datetime:
    try:
        return zone.localize(naive, is_dst=None)
    except pytz.AmbiguousTimeError:
        return zone.localize(naive, is_dst=True)
    except pytz.NonExistentTimeError:
        return zone.normalize(zone.localize(naive, is_dst=False))
