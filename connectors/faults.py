"""Named points at which a crash test can make a run fail: `DMS_FAULT=point[:n]` with raise, exit or block.

The form is ``point[:n][=action]``: the action happens when the point is passed for the n-th time (default 1);
it is ``raise`` (default), ``exit`` (the process ends at once, as after SIGKILL) or ``block`` (sleeps, so that a
test can send a real signal, until another setting is made).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

logger = logging.getLogger(__name__)


class FaultPoint(StrEnum):
    """The boundaries of a run, in the order in which it passes them."""

    AFTER_CLAIM = "after_claim"
    AFTER_PLAN = "after_plan"
    AFTER_OPEN = "after_open"
    AFTER_PREPARE = "after_prepare"
    AFTER_STAGE_COPY = "after_stage_copy"
    AFTER_SPOOL = "after_spool"
    BEFORE_UPLOAD = "before_upload"
    AFTER_UPLOAD = "after_upload"
    BEFORE_DEST_COMMIT = "before_dest_commit"
    DURING_PUBLISH = "during_publish"
    AFTER_PUBLISH = "after_publish"
    AFTER_DEST_COMMIT = "after_dest_commit"
    BEFORE_CHECKPOINT = "before_checkpoint"
    AFTER_CHECKPOINT = "after_checkpoint"
    BEFORE_FINISH = "before_finish"
    AFTER_FINISH = "after_finish"
    BEFORE_OUTCOME = "before_outcome"
    BEFORE_MIRROR = "before_mirror"
    BEFORE_NOTIFY = "before_notify"


#: Boundaries that only a destination in an object store has: a part is written to local disk, its upload is on record,
#: all parts are uploaded; then, the set being committed, before each object of it is published or deleted, and before
#: the manifest says that they all are.
OBJECT_STORE_POINTS = frozenset(
    {
        FaultPoint.AFTER_SPOOL,
        FaultPoint.BEFORE_UPLOAD,
        FaultPoint.AFTER_UPLOAD,
        FaultPoint.DURING_PUBLISH,
        FaultPoint.AFTER_PUBLISH,
    }
)


class InjectedFault(RuntimeError):
    """Raised at a fault point by the action `raise`."""


@dataclass(slots=True)
class _Injection:
    point: str
    countdown: int
    action: str
    passed: Counter[str] = field(default_factory=Counter)


_EXIT_STATUS = 137
_BLOCK_POLL_S = 0.05
# Points are passed by several threads at once.
_counting = threading.Lock()
_active: _Injection | None = None


def configure(setting: str) -> None:
    """Arm one fault from its text form; an empty string disarms.

    Raises:
        ValueError: The text names no known point or action.
    """
    global _active  # noqa: PLW0603 - one process-wide switch, set once at start and by tests
    if not setting:
        _active = None
        return
    place, _, action = setting.partition("=")
    point, _, count = place.partition(":")
    if action not in {"", "raise", "exit", "block"}:
        msg = f"unknown fault action {action!r}: use raise, exit or block"
        raise ValueError(msg)
    _active = _Injection(FaultPoint(point).value, int(count or 1), action or "raise")


def pass_point(point: FaultPoint) -> None:
    """Do what was configured for this point, else nothing."""
    injection = _active
    if injection is None or injection.point != point.value:
        return
    with _counting:
        injection.passed[point.value] += 1
        is_due = injection.passed[point.value] == injection.countdown
    if not is_due:
        return
    # Whoever waits for a blocked process sees by this line that it has come here.
    logger.warning("fault injected at %s", point.value)
    if injection.action == "exit":
        os._exit(_EXIT_STATUS)
    if injection.action == "block":
        # Another setting lets a blocked thread go on, as a writer that was frozen and wakes up.
        while _active is injection:
            time.sleep(_BLOCK_POLL_S)
        return
    msg = f"fault injected at {point.value}"
    raise InjectedFault(msg)
