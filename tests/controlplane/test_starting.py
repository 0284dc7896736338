"""A request from a page becomes a process of its own with the right arguments."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from migrations_app import starting

#: Stands in for manage.py: tells what it was called with.
_RECORDER = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "session": os.getsid(0), "pid": os.getpid()}))
"""


@pytest.fixture
def base(tmp_path: Path, settings: Settings) -> Path:
    (tmp_path / "manage.py").write_text(_RECORDER)
    settings.BASE_DIR = tmp_path
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path


def printed(base: Path, lines: int) -> list[dict[str, object]]:
    """What the processes have printed, once they have."""
    log = base / "var" / "runs" / "shop.log"
    deadline = time.monotonic() + 30
    while log.read_text().count("\n") < lines:
        assert time.monotonic() < deadline, "the process printed nothing"
        time.sleep(0.05)
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_process_gets_its_selection_and_a_session_of_its_own(base: Path) -> None:
    pid = starting.start_detached("shop", table="--orders", destination="dwh", requested_by="ann")

    (report,) = printed(base, 1)
    assert report["arguments"] == [
        "run_migration",
        "shop",
        "--trigger",
        "admin",
        "--requested-by=ann",
        "--table=--orders",
        "--destination=dwh",
    ]
    assert report["session"] == report["pid"] == pid != os.getsid(0)


def test_ended_processes_are_let_go(base: Path) -> None:
    first = starting.start_detached("shop")
    printed(base, 1)
    deadline = time.monotonic() + 30
    while first in _children() and time.monotonic() < deadline:
        starting.start_detached("shop")
        time.sleep(0.05)

    assert first not in _children()


def _children() -> set[int]:
    return {process.pid for process in starting._started}
