"""The keeper holds servers up for others and takes them down with itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from controlplane.sandbox import PostgresServer, S3Server, SandboxError, ensure_servers, process, sandbox_env
from controlplane.sandbox.__main__ import main
from controlplane.sandbox.keeper import POSTGRES, KeeperOptions, read_servers, state_path, stop_keeper
from controlplane.sandbox.process import scratch_directory


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_second_caller_gets_the_servers_of_the_first(tmp_path: Path) -> None:
    options = KeeperOptions(tmp_path / "state.json", services=(POSTGRES,), watched_pid=os.getpid())
    first = ensure_servers(options)
    try:
        assert ensure_servers(options) == first
        assert first.postgres is not None
        assert first.postgres.is_ready()
    finally:
        assert stop_keeper(options.state_path)
    assert not first.postgres.is_ready()
    assert read_servers(options.state_path) is None


def test_the_servers_end_when_the_watched_process_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as watched:
        options = KeeperOptions(tmp_path / "state.json", services=(POSTGRES,), watched_pid=watched.pid)
        server = ensure_servers(options).postgres
        assert server is not None
        assert server.is_ready()
        watched.kill()
    assert wait_for(lambda: not server.is_ready())
    assert wait_for(lambda: not options.state_path.exists())


@pytest.fixture
def open_directory() -> Iterator[Path]:
    with scratch_directory("test") as path:
        path.chmod(0o711)
        yield path


def test_data_outlives_a_killed_keeper_and_the_server_it_left_behind(open_directory: Path) -> None:
    path = state_path(open_directory)
    options = KeeperOptions(path, services=(POSTGRES,), directory=open_directory, watched_pid=os.getpid())
    first = ensure_servers(options).postgres
    assert first is not None
    first.create_database("kept")
    state = json.loads(path.read_text())
    psutil.Process(state["pid"]).kill()
    assert wait_for(lambda: read_servers(path) is None)
    assert first.is_ready()
    try:
        second = ensure_servers(options).postgres
        assert second is not None
        assert not first.is_ready()
        second.drop_database("kept")
    finally:
        stop_keeper(path)


def test_the_command_starts_says_and_stops(open_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--directory", str(open_directory)]
    assert main(["status", *where]) == 1
    assert main(["start", *where]) == 0
    started = capsys.readouterr().out
    try:
        assert PostgresServer.from_url(sandbox_env(open_directory)["DMS_TEST_POSTGRES"]).is_ready()
        assert S3Server.from_url(sandbox_env(open_directory)["DMS_TEST_S3"]).is_ready()
        assert main(["env", *where]) == 0
        assert capsys.readouterr().out in started
    finally:
        assert main(["stop", *where]) == 0
    assert main(["env", *where]) == 1
    assert "./run sandbox start" in capsys.readouterr().err


def test_without_a_sandbox_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"run sandbox start"):
        sandbox_env(tmp_path)


def test_files_go_into_memory_where_it_has_room_and_else_onto_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "memory"
    memory.mkdir(mode=0o755)
    monkeypatch.setattr(process, "_MEMORY", memory)
    monkeypatch.setattr(process, "_LEFT_TO_OTHERS", 0)
    monkeypatch.setattr(process, "_ROOM", 1)
    monkeypatch.setattr(process, "server_account", lambda: None)
    with scratch_directory("test", in_memory=True) as path:
        assert path.parent == memory
    assert not path.exists()
    monkeypatch.setattr(process, "_ROOM", 1 << 62)
    with scratch_directory("test", in_memory=True) as path:
        assert path.parent == Path(tempfile.gettempdir())
    monkeypatch.setattr(process, "_MEMORY", tmp_path / "not there")
    with scratch_directory("test", in_memory=True) as path:
        assert path.parent == Path(tempfile.gettempdir())
