"""Start a server program as a child, wait until it answers, and stop it for certain."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
_POLL_S = 0.02
_LOG_TAIL_CHARS = 2000
_PID_FILE = "server.pid"
_ORPHAN_TIMEOUT_S = 10
_MEMORY = Path("/dev/shm")  # noqa: S108  # shared by all, and mkdtemp makes what nobody else can enter
#: Bytes: several times what the servers of a test run hold at most, and what the tests themselves need.
_ROOM, _LEFT_TO_OTHERS = 6 << 30, 4 << 30


class SandboxError(Exception):
    """A server of the sandbox could not be started, found or stopped."""


@dataclass(frozen=True)
class Account:
    """The operating system account that a server runs under."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """Say which account a server must run under, None for our own.

    PostgreSQL refuses to run as root, so root hands its servers to `nobody`.
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def make_directory(path: Path, account: Account | None) -> Path:
    """Create a directory that only the server's account (and root) can enter.

    Raises:
        SandboxError: When the directory cannot be made, or the server's account cannot reach it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account is not None:
            os.chown(path, account.uid, account.gid)
    except OSError as error:
        msg = f"Cannot create the server directory {path}: {error.strerror}."
        raise SandboxError(msg) from error
    if account is not None and not is_reachable(path.parent):
        msg = (
            f"Root runs its servers as 'nobody', and 'nobody' cannot enter {path.parent}. "
            "Choose a directory that everybody can enter, for example one under /tmp."
        )
        raise SandboxError(msg)
    return path


@contextmanager
def scratch_directory(name: str, *, in_memory: bool = False) -> Iterator[Path]:
    """Yield a new temporary directory for a server and remove it at the end.

    Args:
        name: Part of the directory's name.
        in_memory: Put it on a file system in memory, where the machine has room for that.
    """
    path = Path(tempfile.mkdtemp(prefix=f"dms-{name}-", dir=_MEMORY if in_memory and _memory_has_room() else None))
    try:
        yield make_directory(path, server_account())
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _memory_has_room() -> bool:
    """Whether Linux has its file system in memory, with space on it and memory behind it."""
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return False
    room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available - _LEFT_TO_OTHERS)
    return room >= _ROOM


def is_reachable(path: Path) -> bool:
    """Tell whether every account may enter this directory and all of its parents."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.resolve().parents))


@dataclass
class ServerProcess:
    """A running server program. The one who starts it stops it."""

    name: str
    popen: subprocess.Popen[bytes]
    log_path: Path

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        account: Account | None,
        environment: Mapping[str, str] | None = None,
        end_orphan_with: signal.Signals = signal.SIGINT,
    ) -> ServerProcess:
        """Start the program in a session of its own, so that Ctrl-C reaches us first and not it.

        Args:
            name: What the server is called in messages.
            command: The program and its arguments; one of them names `directory`.
            directory: Where the server works; its output goes to `output.log` there.
            account: The account to run under, None for our own.
            environment: The variables that the program sees; ours when None.
            end_orphan_with: What ends a server that was left on these files.
        """
        _end_orphan(directory, end_orphan_with)
        log_path = directory / "output.log"
        with log_path.open("ab") as log:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
            )
        (directory / _PID_FILE).write_text(str(popen.pid))
        return cls(name, popen, log_path)

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self.popen.pid

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until the server answers; one that does not is killed.

        Raises:
            SandboxError: When it ended before, or did not answer in time; with the end of its log.
        """
        try:
            deadline = time.monotonic() + timeout_s
            while not is_ready():
                code = self.popen.poll()
                if code is not None:
                    msg = f"{self.name} ended at its start with code {code}: {self.log_tail()}"
                    raise SandboxError(msg)
                if time.monotonic() > deadline:
                    msg = f"{self.name} did not answer within {timeout_s:g} s: {self.log_tail()}"
                    raise SandboxError(msg)
                time.sleep(_POLL_S)
        except BaseException:
            self.kill()
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM, *, timeout_s: float = 15) -> None:
        """Ask the server to end, and kill it when it does not."""
        if self.popen.poll() is not None:
            return
        self.popen.send_signal(how)
        try:
            self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        """Let the server hang: it accepts connections and answers nothing."""
        self.popen.send_signal(signal.SIGSTOP)
        # The signal takes effect thread by thread; this returns when the last one has stopped.
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let the server go on after `pause`."""
        self.popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the program and everything in its session at once, as a crash would."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def log_tail(self) -> str:
        """Return the last part of the server's log."""
        return self.log_path.read_text(errors="replace")[-_LOG_TAIL_CHARS:].strip() or "its log is empty"


def _end_orphan(directory: Path, how: signal.Signals) -> None:
    """End the server that a killed keeper left on these files: two servers on the same files destroy them."""
    pid_path = directory / _PID_FILE
    if not pid_path.exists():
        return
    try:
        orphan = psutil.Process(int(pid_path.read_text()))
        # The number may belong to somebody else by now.
        if any(str(directory) in part for part in orphan.cmdline()):
            orphan.send_signal(how)
            orphan.wait(_ORPHAN_TIMEOUT_S)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired as error:
        msg = f"A server left from earlier still runs on {directory}. End process {error.pid}."
        raise SandboxError(msg) from error
