"""The admin pages and a worker for `./run demo --serve`, and what `--keep` says about looking around by hand."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from django.contrib.auth import get_user_model

from controlplane.demo.lake import LAKE
from controlplane.demo.place import ENVIRONMENT, READER, SHOP, WAREHOUSE, WRITER, Place, write_private
from controlplane.demo.report import Teller
from controlplane.sandbox.process import LOOPBACK, SandboxError, free_port
from controlplane.sandbox.programs import program

_ROOT = Path(__file__).resolve().parents[2]
_USER = "demo"
_START_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
_WORKER_STOP_TIMEOUT_S = 45.0
_POLL_S = 0.1


def serve(place: Place, teller: Teller, port: int | None) -> None:
    """Show the admin pages until somebody interrupts; a worker executes what is started there.

    Args:
        place: What is shown.
        teller: Says where the pages are, and the password of their user, this once.
        port: TCP port on the loopback address; a free one when None.

    Raises:
        SandboxError: The web server does not start.
    """
    port = port or free_port()
    password = secrets.token_urlsafe(12)
    users = get_user_model()._default_manager
    users.filter(username=_USER).delete()
    get_user_model().objects.create_superuser(username=_USER, password=password)
    command = [sys.executable, "-m", "gunicorn", "controlplane.wsgi", "--bind", f"{LOOPBACK}:{port}"]
    server = subprocess.Popen([*command, "--workers", "1", "--threads", "4", "--log-level", "warning"], cwd=_ROOT)
    # A session of its own: Ctrl-C is for this process, which then ends both.
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=_ROOT, start_new_session=True)
    try:
        address = f"http://{LOOPBACK}:{port}/"
        _wait_for(address, server)
        teller.line(f"\nAdmin: {address}   user: {_USER}   password: {password}   (Ctrl-C ends it)", style="bold")
        _say_what_to_try(place, teller)
        server.wait()
    finally:
        for process, timeout_s in ((server, _STOP_TIMEOUT_S), (worker, _WORKER_STOP_TIMEOUT_S)):
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()


def say_how_to_look(place: Place, teller: Teller) -> None:
    """Tell how to look at both databases, and write the variables that lead the other commands here."""
    shown = _write_environment(place)
    psql = shlex.quote(os.fspath(program("psql")))
    teller.line("\nThe servers stay up. To look around:", style="bold")
    for role, database in ((READER, SHOP), (WRITER, WAREHOUSE)):
        login = f"postgresql://{role}:{place.passwords[role]}@{place.postgres.address}/{database}"
        teller.line(f"   {psql} {login}")
    teller.line(f"   {place.s3.endpoint_url}/{LAKE} (any S3 client; the key is in {shown})")
    teller.line("To run more, in a shell of its own:")
    teller.line(f"   . {shown}; ./run manage run_migration shop_syncing")
    teller.line("To compare both ends again: ./run demo --compare. To stop the servers: ./run demo --stop")


def _say_what_to_try(place: Place, teller: Teller) -> None:
    """Tell what to enter for a source of one's own, and how to make users."""
    shown = _write_environment(place)
    teller.line(f"To add a source of your own there: PostgreSQL at {place.postgres.address}, database {SHOP}. Enter")
    teller.line("   env:SOURCE_URL as url, env:SOURCE_USERNAME as username, and SOURCE_PASSWORD as the environment")
    teller.line(f"   variable of the password. A destination: DEST_ in place of SOURCE_, database {WAREHOUSE}.")
    teller.line("To add users, in a shell of its own:")
    teller.line(f"   . {shown}; ./run manage create_user ann --role Operator")


def _write_environment(place: Place) -> str:
    """Write the variables that lead commands to the demo, and return the file's name as a shell takes it."""
    path = place.directory / ENVIRONMENT
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in place.environment().items()]
    write_private(path, "".join(exports))
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(os.fspath(near))


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            msg = f"The web server ended at its start with code {server.returncode}; see above."
            raise SandboxError(msg)
        try:
            # Its own address, with a scheme that is fixed here.
            urlopen(address, timeout=_ANSWER_TIMEOUT_S).close()  # noqa: S310
        except OSError:
            time.sleep(_POLL_S)
        else:
            return
    msg = f"The web server did not answer within {_START_TIMEOUT_S:.0f} s."
    raise SandboxError(msg)
