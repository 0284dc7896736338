"""PostgreSQL's programs are found, and copied to where the server's account can run them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from controlplane.sandbox import SandboxError, program
from controlplane.sandbox import programs as module
from controlplane.sandbox.process import Account


def test_a_program_of_the_wheel_runs() -> None:
    answer = subprocess.run([program("psql"), "--version"], check=True, capture_output=True, text=True)
    assert answer.stdout.startswith("psql (PostgreSQL)")


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(SandboxError, match="no-such-program"):
        program("no-such-program")


def test_programs_in_a_closed_place_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "is_reachable", lambda _: False)
    somebody = Account(uid=65534, gid=65534)
    first = program("initdb", somebody)
    assert first.is_relative_to(tmp_path)
    assert program("initdb", somebody) == first
    subprocess.run([first, "--version"], check=True, capture_output=True)
    assert len(list(tmp_path.iterdir())) == 1
