"""A warm process that forks one child a command, since a cold start of Django takes seconds.

It reads a JSON document a line from its standard input: `{"argv": [...], "settings": {...}, "constants": {...},
"environment": {...}, "database": PATH, "directory": PATH}` answers with the child's pid, `{"poll": PID}` with its exit
code, None while it runs. A child is a process like one started from a shell: `manage.py ARGV`, its output in files. One
that a fault point has blocked goes on when it gets WAKE.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import ManagementUtility, call_command
from django.db import connections

from connectors import faults

WAKE = signal.SIGUSR2


def main() -> None:
    """Get warm, then serve until the standard input ends."""
    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()
    for command in ("import_mapping", "import_settings", "run_migration"):
        import_module(f"migrations_app.management.commands.{command}")
    # What commands import when they need it: most of a second of each child.
    for module in ("connectors.destinations.s3.client", "connectors.destinations.s3.destination"):
        import_module(module)
    # The checks that some commands begin with import every page, which is most of what such a command costs.
    run_checks()
    # Else each child's collector writes to, and so copies, all the memory that it shares with this process.
    gc.freeze()
    _answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            _answer({"code": os.waitstatus_to_exitcode(status) if pid else None})
            continue
        child = os.fork()
        if child == 0:
            _be_a_command(request)
        _answer({"pid": child})


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _be_a_command(request: dict[str, Any]) -> None:
    """Never returns: the child must not come back to the loop of its parent."""
    code = 1
    try:
        os.setsid()
        signal.signal(WAKE, lambda *_: faults.configure(""))
        directory = Path(request["directory"])
        for number, name in enumerate(("in", "out", "err")):
            opened = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, number)
            os.close(opened)
        os.environ.update(request["environment"])
        for name, value in request["settings"].items():
            setattr(settings, name, value)
        for name, value in request["constants"].items():
            module, _, constant = name.rpartition(".")
            setattr(import_module(module), constant, value)
        if request["database"]:
            connections.databases["default"]["NAME"] = request["database"]
        ManagementUtility(["manage.py", *request["argv"]]).execute()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what Python itself would do at the end of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
