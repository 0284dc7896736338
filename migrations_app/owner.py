"""Who runs a run: the process, told apart from one that has its number after it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Containers may share host name and kernel, and still number their processes apart.
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_START_TIME_FIELD = 19  # of what follows the command's name in /proc/PID/stat; see proc_pid_stat(5), field 22


@dataclass(frozen=True, slots=True)
class Owner:
    """One process on one host. Where a system tells neither boot nor start time, they are empty.

    Attributes:
        host: Host name, or what DMS_HOST calls it.
        boot_id: Of the running kernel, and behind a colon the namespace that its process ids belong to.
        pid: Process id.
        started: When the process started, in the kernel's ticks.
    """

    host: str
    boot_id: str
    pid: int
    started: str

    @property
    def is_gone(self) -> bool:
        """True when this process surely does not run any more; only its own host can tell."""
        here = this_process()
        if self.host != here.host:
            return False
        if self.boot_id != here.boot_id:
            # From another namespace nobody can tell; the lease will.
            return bool(self.boot_id and here.boot_id) and _boot(self) != _boot(here)
        return _started(self.pid) != self.started


def this_process() -> Owner:
    """The process that asks."""
    boot_id = f"{_BOOT_ID.read_text().strip()}:{_PID_NAMESPACE.stat().st_ino}" if _BOOT_ID.exists() else ""
    return Owner(settings.DMS_HOST, boot_id, os.getpid(), _started(os.getpid()))


def _boot(owner: Owner) -> str:
    return owner.boot_id.partition(":")[0]


def _started(pid: int) -> str:
    """The process's start time; empty when there is no such process, or it has ended and waits to be collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _started_without_proc(pid)
    return "" if fields[0] in {"Z", "X"} else fields[_START_TIME_FIELD]


def _started_without_proc(pid: int) -> str:
    """Without /proc only whether the process exists can be told."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
