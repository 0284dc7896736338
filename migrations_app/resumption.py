"""Which runs are resumed by themselves, and when: the fields that an outcome adds to a run.

Only runs that a worker executes are: whoever ran a command was told how it ended. A run that came further than the one
before it starts the count anew, so that only one that never comes further is given up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now

from connectors.errors import ConnectorError, Recovery
from connectors.mapping import Mode
from migrations_app.enums import StopReason
from migrations_app.models import Run

#: Stops that nobody asked for this run in particular. After the cut-off time a run goes on when it is due again, and
#: after an operator's stop when the operator says so.
_RESUMING = frozenset({StopReason.PARENT_DIED, StopReason.DRAIN, StopReason.SIGTERM})
_LONGEST_DELAY_S = 600.0
#: Python's words; it has no error of its own for it.
_NO_THREAD = "can't start new thread"
#: What to do when memory runs out, whether the system ends the process or refuses it more.
MEMORY_REMEDY = "give the host more memory, or fewer DMS_RUN_WORKERS"


def after_stop(run: Run, reason: StopReason) -> dict[str, Any]:
    """What a stopped run's row says of going on: at once, on whichever host takes it."""
    is_resumed = run.supervised and reason in _RESUMING and not _is_dumped(run)
    return {"resume_at": Now()} if is_resumed else {}


def after_failure(run: Run, error: BaseException, message: str) -> dict[str, Any]:
    """What a failed run's row says of going on: later, where the same may succeed then."""
    return _later(run, message) if _may_pass(error) else {}


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ConnectorError):
        return error.recovery is Recovery.RETRY
    # The control database was away, or other runs had the memory.
    return isinstance(error, OperationalError | InterfaceError) or is_short_of_memory(error)


def is_short_of_memory(error: BaseException) -> bool:
    """True when the system gave the process no more memory, or no thread for want of it."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_THREAD in str(error))


def after_loss(run: Run, reason: str) -> dict[str, Any]:
    """What a lost run's row says of going on."""
    return _later(run, reason)


def delay_s(attempt: int) -> float:
    """Seconds to wait before a run is resumed that comes after so many which did not come further."""
    doubled: float = settings.DMS_RESUME_DELAY_S * (1 << min(attempt, 10))
    return min(_LONGEST_DELAY_S, doubled)


def _later(run: Run, reason: str) -> dict[str, Any]:
    if not run.supervised or _is_dumped(run):
        return {}
    if run.attempt >= settings.DMS_RESUME_LIMIT:
        given_up = f"it was resumed {run.attempt} times in a row without coming further; find the cause, then run it"
        return {"reason": f"{reason}; {given_up}"}
    return {"resume_at": Now() + timedelta(seconds=delay_s(run.attempt))}


def _is_dumped(run: Run) -> bool:
    """True for a dump whose snapshot is whole: a resumption would add another one, which nobody asked for."""
    return run.plan.get("mode") == Mode.DUMPING and run.inserted > 0
