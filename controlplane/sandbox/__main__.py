"""`python -m controlplane.sandbox start|stop|status|env`: keep real servers up for work by hand."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from controlplane.sandbox.keeper import (
    SERVICES,
    KeeperOptions,
    default_directory,
    ensure_servers,
    read_servers,
    sandbox_env,
    serve,
    state_path,
    stop_keeper,
)
from controlplane.sandbox.process import SandboxError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    directory: Path = options.directory or default_directory()
    if options.command == "serve":
        serve(
            KeeperOptions(
                state_path=options.state,
                services=options.services.split(","),
                directory=options.directory,
                watched_pid=options.watch,
                durable=options.durable,
                in_memory=options.in_memory,
            )
        )
        return 0
    if options.command == "start":
        ensure_servers(KeeperOptions(state_path(directory), directory=directory, durable=True))
        _say_environment(directory)
        return 0
    if options.command == "stop":
        stopped = stop_keeper(state_path(directory))
        sys.stdout.write("The sandbox is down.\n" if stopped else "The sandbox was not up.\n")
        return 0
    if options.command == "status" and read_servers(state_path(directory)) is None:
        sys.stdout.write("The sandbox is down.\n")
        return 1
    _say_environment(directory)
    return 0


def _say_environment(directory: Path) -> None:
    for name, value in sandbox_env(directory).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controlplane.sandbox",
        description="Real PostgreSQL, MongoDB and S3 servers on free loopback ports, without root or Docker.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start the servers, or say where they are"),
        ("stop", "stop the servers; their data stays"),
        ("status", "say where the servers are; exit code 1 when they are down"),
        ("env", 'print the addresses as shell exports, for: eval "$(... env)"'),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--directory", type=Path, help="where the servers keep their files")
    keeper = commands.add_parser("serve", help="be the process that holds the servers up (used by start)")
    keeper.add_argument("--state", type=Path, required=True)
    keeper.add_argument("--services", default=",".join(SERVICES))
    keeper.add_argument("--directory", type=Path)
    keeper.add_argument("--watch", type=int)
    keeper.add_argument("--durable", action="store_true")
    keeper.add_argument("--in-memory", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
