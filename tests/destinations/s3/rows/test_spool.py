"""Local disk: what killed runs left there goes, and a disk that fails is named with what to do."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.destinations.s3.spool import Spool
from connectors.errors import DestinationError
from controlplane.sandbox.keeper import PROJECT_ROOT
from tests.destinations.s3.rows.tables import Table

_KILLED = """
import os, signal, sys
from connectors.destinations.s3.spool import Spool
Spool(sys.argv[1]).path("x").write_bytes(b"left over")
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def files_of_at_most(byte_count: int) -> Iterator[None]:
    """What a full disk is to a process: writes fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_killed_runs_files_are_deleted_by_the_next_run_and_a_living_ones_stay(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], cwd=PROJECT_ROOT, check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1

    living = Spool(str(tmp_path))
    living.path("y").write_bytes(b"in use")
    next_one = Spool(str(tmp_path))

    assert len(list(tmp_path.iterdir())) == 2
    assert [each.read_bytes() for each in tmp_path.glob("*/*-y")] == [b"in use"]
    next_one.close()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_other_files_in_the_directory_stay(tmp_path: Path) -> None:
    (tmp_path / "dms-s3-mine").mkdir()
    (tmp_path / "lock").touch()
    Spool(str(tmp_path)).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dms-s3-mine", "lock"]


def test_a_directory_that_is_not_there_is_named_with_the_remedy(table: Table, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    table.options = replace(table.options, spool_dir=str(missing))
    with pytest.raises(DestinationError, match=rf"in {missing} \(No such file .* DMS_SPOOL_DIR"):
        table.copy([(1, "a")])


@pytest.mark.parametrize("spec", [{}, {"partition_col": "name"}], ids=["parts", "buckets"])
def test_a_full_disk_is_named_with_the_remedy_and_nothing_is_published(table: Table, spec: dict[str, str]) -> None:
    table.spec = spec
    rows = [(n, f"{n}" * 1000 if not spec else f"{n % 3}") for n in range(20_000)]
    with (
        files_of_at_most(10_000),
        pytest.raises(DestinationError, match=r"\(File too large\); free space there, or set DMS_SPOOL_DIR"),
    ):
        table.copy(rows)
    assert table.parts == {}
    table.copy(rows[:10])
    assert len(table.content()) == 10
