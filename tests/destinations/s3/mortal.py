"""Writers that die at a chosen request, as by SIGKILL: a warm process forks one for each order that it reads.

Run as a module it reads orders from its input, a JSON object a line, and answers each with the exit status of its
writer and the number of requests that it began.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from connectors import faults
from tests.destinations.s3.store import AFTER, Place, Shelf, shelf

KILLED = 137
PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Outcome:
    """What became of a writer: its exit status, and how many requests it began."""

    status: int
    requests: int


@dataclass(frozen=True)
class Mortals:
    """Gives writers that die."""

    process: subprocess.Popen[str]

    def run(self, place: Place, *, does: str = "write", kill: str = "", nth: int = 0, fault: str = "") -> Outcome:
        """Have a writer do something and, perhaps, die.

        Args:
            place: Of the table.
            does: `write` changes the table to AFTER at position 2; `open` only opens it.
            kill: `before` or `after` the n-th request has reached the store.
            nth: Which request, from 1; those of connecting and opening do not count for `write`.
            fault: The setting of a fault point.
        """
        order = {"place": asdict(place), "does": does, "kill": kill, "nth": nth, "fault": fault}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Outcome(**json.loads(self.process.stdout.readline()))


@contextmanager
def mortals() -> Iterator[Mortals]:
    """Start the warm process; it ends with its input."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.destinations.s3.mortal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        yield Mortals(process)
        assert process.stdin is not None
        process.stdin.close()


def client_of(table: Any) -> Any:
    """The boto3 client that a connected table uses."""
    return table.objects._connected._s3


def _serve() -> None:
    # Loaded before the forks, as it takes longer than all that a writer does.
    import connectors.destinations.s3.client  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _live(order, writing)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            requests = len(pipe.read())
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status), "requests": requests}) + "\n")
        sys.stdout.flush()


def _live(order: dict[str, Any], pipe: int) -> None:
    status = 1
    try:
        with tempfile.TemporaryDirectory() as directory, shelf(Place(**order["place"]), Path(directory)) as one:
            _work(one, order, pipe)
        status = 0
    finally:
        os._exit(status)


def _work(one: Shelf, order: dict[str, Any], pipe: int) -> None:
    if order["does"] == "open":
        table = one.table()
        _watch(client_of(table), order, pipe)
        faults.configure(order["fault"])
        table.open(0)
        return
    table = one.opened()
    _watch(client_of(table), order, pipe)
    faults.configure(order["fault"])
    one.fill(table, AFTER, 2)


def _watch(client: Any, order: dict[str, Any], pipe: int) -> None:
    """Count the requests, and die at the one that was ordered."""
    lock = threading.Lock()
    begun, ended = [], []

    def before(**_: object) -> None:
        with lock:
            os.write(pipe, b".")
            begun.append(1)
            if order["kill"] == "before" and len(begun) == order["nth"]:
                os._exit(KILLED)

    def after(**_: object) -> None:
        with lock:
            ended.append(1)
            if order["kill"] == "after" and len(ended) == order["nth"]:
                os._exit(KILLED)

    client.meta.events.register("before-send.s3", cast("Any", before))
    client.meta.events.register("response-received.s3", cast("Any", after))


if __name__ == "__main__":
    _serve()
