"""Tests that share what is costly to start run in one worker of a parallel run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.together import TOGETHER

PROJECT = Path(__file__).resolve().parent.parent
#: A suite of its own: it says which worker ran which file.
_SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range(8))
def test_one(number):
    with open("ran", "a") as ran:
        ran.write(f"{__file__} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


@pytest.mark.parametrize("start", TOGETHER)
def test_what_is_to_run_together_is_there(start: str) -> None:
    assert (PROJECT / start.removesuffix("::")).exists()


def test_group_runs_in_one_worker_and_the_next_in_another(tmp_path: Path) -> None:
    for name in ("tests/api/test_at_once.py", "tests/api/test_ci_client.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(_SUITE)
    (tmp_path / "pytest.ini").touch()

    plugins = ("-p", "tests.together", "-p", "no:django", "-p", "no:randomly", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *plugins, "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert len(ran) == 16
    files, workers = ({each[place] for each in ran} for place in (0, 1))
    assert len(files) == len(workers) == len({tuple(each) for each in ran}) == 2
