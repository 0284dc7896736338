"""Memory: rows go through in pieces, however wide they are; one cell of 100 MB is the widest that is tried."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.builders import make_mapping, make_table
from tests.databases import PgDatabase

#: Three copies of the widest cell, and what its neighbours need.
LIMIT_MB = 340
CELL = 100 * 1024 * 1024

# Prints by how many MB the highest resident size grows, which leaves out what modules take on this machine; a process
# of its own, since the size never goes down. getrusage() would also count what the test's process held when it started
# this one (Linux keeps the peak through fork and exec).
RUN = """
import json, sys
from pathlib import Path
from tests.builders import run_once
def peak_kb():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
before_kb = peak_kb()
result = run_once(json.loads(sys.stdin.read()))
print(json.dumps([result.inserted, result.updated, (peak_kb() - before_kb) // 1024]))
"""


def measured(raw: dict[str, Any]) -> tuple[int, int, int]:
    """Rows inserted, rows updated, and MB."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN], input=json.dumps(raw), capture_output=True, text=True, check=True
    )
    inserted, updated, megabytes = json.loads(done.stdout)
    return inserted, updated, megabytes


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("extra", ["", ", mood mood"], ids=["binary", "text"])
def test_cell_of_100_megabytes_and_wide_rows(pg_database: PgDatabase, extra: str) -> None:
    pg_database.execute(
        "CREATE TYPE mood AS ENUM ('ok');"
        f"CREATE TABLE t (id int PRIMARY KEY, note text, raw bytea, updated_at timestamptz DEFAULT now(){extra});"
        f"INSERT INTO t VALUES (0, repeat('x', {CELL}), NULL);"
        "INSERT INTO t SELECT n, repeat(md5(n::text), 8192), decode(repeat(md5(n::text), 1024), 'hex')"
        " FROM generate_series(1, 200) n"
    )
    raw = make_mapping(pg_database, pg_database, make_table("t", strict=True))
    inserted, _, megabytes = measured(raw)
    assert inserted == 201
    assert megabytes < LIMIT_MB
    pg_database.execute("UPDATE t SET note = note || 'y', updated_at = now()")
    _, updated, megabytes = measured(raw)
    assert updated == 201
    assert megabytes < LIMIT_MB
    same = "SELECT count(*) FROM t s JOIN arrived.t d USING (id) WHERE md5(s.note) = md5(d.note)"
    assert pg_database.value(same) == 201
