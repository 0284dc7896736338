"""One chunk that is committed in several goes, in a process of its own that dies in between."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

from connectors import faults
from connectors.base import Chunk, RunReport, Write
from connectors.destinations.s3.destination import S3Destination
from tests.destinations.s3.rows.tables import ORDERS, SMALL, Table
from tests.destinations.s3.store import Place
from tests.destinations.support import make_stream

ROWS = 3000
SIZES = replace(SMALL, staged_rows=700)


def write(where: dict[str, Any], fault: str) -> None:
    """Upsert all rows by one chunk; the process is gone at the fault point."""
    place = Place(**where)
    made = Table(place, None, sizes=SIZES)  # type: ignore[arg-type]  # nothing is read as a stranger
    destination = S3Destination(place.config(), make_stream(), RunReport(), SIZES)
    destination.open(epoch_floor=0)
    destination.prepare(ORDERS)
    faults.configure(fault)
    rows = made.rows(*((n, f"sent {n}") for n in range(ROWS)))
    list(destination.write([Chunk(Write.UPSERT, rows, {"n": 2})]))


if __name__ == "__main__":
    write(**json.loads(sys.stdin.read()))
