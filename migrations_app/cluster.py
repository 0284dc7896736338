"""One cluster of django-q2 in this process, warm: what its workers need is loaded before they are forked.

django-q2 leaves workers behind when its sentinel dies, and hangs when a signal reaches all of its processes at once.
So the cluster is a process group of its own, which is ended as a whole when its sentinel or the process above it has
gone, or when it does not end in time. Runs are in groups of their own: they notice, and stop at their last commit.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from importlib import import_module
from types import FrameType

from django.db import connections
from django_q.cluster import Cluster
from django_q.conf import Conf

from migrations_app import dispatch, lifeline

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_END_WITHIN_S = 10.0
#: Runs have been stopped before. A cluster whose workers are replaced after each task may wait for ever for one that
#: would take the task in its hands; that task is a token, and nothing is lost with it.
_RUNS_END_WITHIN_S = 3.0
_FAILED = 1


def serve() -> int:
    """Serve the cluster that Q_CLUSTER_NAME names until SIGTERM or SIGINT; the exit code."""
    parent = os.getppid()
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    import_module("migrations_app.tasks")
    gc.freeze()
    connections.close_all()
    lifeline.tie_all()
    cluster = Cluster()
    cluster.start()
    asked = _Asked()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked.notice)
    while not asked.to_end:
        time.sleep(_LOOK_EVERY_S)
        if not cluster.sentinel.is_alive():
            return _end_group("its sentinel has ended")
        if os.getppid() != parent:
            return _end_group("the process above it has ended")
    stopping = threading.Thread(target=cluster.stop, daemon=True)
    stopping.start()
    stopping.join(_RUNS_END_WITHIN_S if Conf.CLUSTER_NAME == dispatch.CLUSTER else _END_WITHIN_S)
    return _end_group("it did not end in time", logging.INFO) if stopping.is_alive() else 0


class _Asked:
    """Whether a signal has asked for the end."""

    def __init__(self) -> None:
        self.to_end = False

    def notice(self, _number: int, _frame: FrameType | None) -> None:
        self.to_end = True


def _end_group(reason: str, level: int = logging.ERROR) -> int:
    """End every process of the cluster, this one included."""
    logger.log(level, "cluster %s is ended: %s", Conf.CLUSTER_NAME, reason, extra={"action": "cluster"})
    logging.shutdown()
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return _FAILED
