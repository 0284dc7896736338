"""What the client does: apply, diff, run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from migrations_app.ci import files
from migrations_app.ci.server import Content, ExitCode, Refused, Server

_WAIT_S = 25
_BAD = frozenset({"failed", "lost"})
_DOCUMENT_ERRORS = frozenset({"MappingError", "SecretUnreadableError"})


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        server = Server(options.url, os.environ.get("DMS_TOKEN", ""), plain_http=options.plain_http)
        return int(options.act(server, options))
    except Refused as refusal:
        sys.stderr.write("\n".join(refusal.lines) + "\n")
        return int(refusal.code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped waiting; runs that were started go on\n")
        return int(ExitCode.STOPPED)


def apply(server: Server, options: argparse.Namespace) -> ExitCode:
    """Register the files' mappings, or with `diff` say what that would change."""
    if options.prune and not options.bundle:
        raise Refused(["--prune goes with --bundle: only a bundle knows what it owned"], ExitCode.DOCUMENT_WRONG)
    found = files.read_files(options.files)
    if options.bundle:
        _show_bundle(_put_bundle(server, found, options), options)
        return ExitCode.DONE
    worst = ExitCode.DONE
    shown = []
    for file in found:
        try:
            shown.append(_put(server, file, options))
        except Refused as refusal:
            sys.stderr.write("\n".join([f"{file.path}:", *(f"  {line}" for line in refusal.lines)]) + "\n")
            worst = worst or refusal.code
            continue
        if not options.json:
            _show(shown[-1])
    if options.json:
        _print(json.dumps(shown, indent=2))
    return worst


def run(server: Server, options: argparse.Namespace) -> ExitCode:
    """Start the mappings' runs, and with --wait see them end."""
    ids = list(dict.fromkeys(files.id_of(path) for path in options.files))
    started, worst = [], ExitCode.DONE
    for mapping_id in ids:
        body = {"table": options.table, "destination": options.destination, "allow_deletes": options.allow_deletes}
        content = Content.of({key: value for key, value in body.items() if value is not None})
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            queued = server.ask("POST", f"/mappings/{mapping_id}/runs", content=content, headers=headers)
        except Refused as refusal:
            sys.stderr.write("\n".join([f"{mapping_id}:", *(f"  {line}" for line in refusal.lines)]) + "\n")
            worst = worst or refusal.code
            continue
        _say(options, f"{mapping_id}: {_counted(queued['runs'], 'run')} queued{_busy(queued['busy'])}")
        started.append(queued)
    if options.wait:
        return _worst([worst, *_wait(server, started, options)])
    if options.json:
        _print(json.dumps(started, indent=2))
    return _worst([worst, *(ExitCode.ALREADY_RUNNING for queued in started if queued["busy"])])


def _wait(server: Server, started: list[dict[str, Any]], options: argparse.Namespace) -> list[ExitCode]:
    until = time.monotonic() + options.timeout if options.timeout else None
    ended: list[dict[str, Any]] = []
    for queued in started:
        if not queued["runs"]:
            continue
        address = f"/triggers/{queued['trigger_id']}"
        trigger = server.ask("GET", address, query={"wait": _WAIT_S})
        while not trigger["is_final"]:
            if until is not None and time.monotonic() > until:
                raise Refused([f"not ended after {options.timeout} s; the runs go on"], ExitCode.FAILED)
            trigger = server.ask("GET", address, query={"wait": _WAIT_S})
        ended += trigger["runs"]
    if options.json:
        _print(json.dumps(ended, indent=2))
    else:
        for each in ended:
            _print(_outcome(each))
    busy = [ExitCode.ALREADY_RUNNING for queued in started if queued["busy"]]
    return [*(_code(each) for each in ended), *busy]


def _code(run: dict[str, Any]) -> ExitCode:
    if run["state"] in _BAD:
        return ExitCode.DOCUMENT_WRONG if run["error_class"] in _DOCUMENT_ERRORS else ExitCode.FAILED
    return ExitCode.STOPPED if run["state"] == "stopped" else ExitCode.DONE


def _worst(codes: list[ExitCode]) -> ExitCode:
    """A failure before a wrong document before a stop before what runs elsewhere."""
    order = (ExitCode.FAILED, ExitCode.DOCUMENT_WRONG, ExitCode.STOPPED, ExitCode.ALREADY_RUNNING)
    return next((code for code in order if code in codes), ExitCode.DONE)


def _put(server: Server, file: files.MappingFile, options: argparse.Namespace) -> Any:
    query = _query(options) | {"managed_by": options.managed_by}
    if options.managed_by:
        query |= files.origin() | {"path": str(file.path)[:300]}
    return server.ask("PUT", f"/mappings/{file.mapping_id}", query=query, content=file.content)


def _put_bundle(server: Server, found: list[files.MappingFile], options: argparse.Namespace) -> Any:
    body: dict[str, Any] = {"mappings": {file.mapping_id: file.entry for file in found}}
    if options.managed_by:
        body["keeper"] = {"managed_by": options.managed_by} | files.origin()
    query = _query(options) | {"prune": "true" if options.prune else "false"}
    return server.ask("PUT", f"/bundles/{options.bundle}", query=query, content=Content.of(body))


def _query(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "dry_run": "true" if options.dry_run else None,
        "connect": "true" if options.connect else None,
        "allow": options.allow,
    }


def _show(registered: dict[str, Any]) -> None:
    would = "would be " if registered["dry_run"] and registered["changed"] else ""
    _print(f"{registered['id']}: {would}{registered['action']}, impact {registered['impact']}")
    for change in registered["changes"]:
        values = f"{json.dumps(change['from'])} -> {json.dumps(change['to'])}"
        _print(f"  {change['path']}: {values}")
        _print(f"    {change['impact']}: {change['says']}")
    for warning in registered["warnings"]:
        _print(f"  warning: {warning}")
    for end in registered["tests"]:
        for step in end["steps"]:
            _print(f"  {end['end']}, {step['name']}: {step['outcome']}: {step['detail']}")


def _show_bundle(applied: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        _print(json.dumps(applied, indent=2))
        return
    for registered in applied["mappings"]:
        _show(registered)
    for mapping_id in applied["pruned"]:
        _print(f"{mapping_id}: {'would be ' if applied['dry_run'] else ''}removed; rows at destinations stay")
    for mapping_id in applied["kept"]:
        _print(f"{mapping_id}: is no longer in the bundle and stays; --prune removes it")


def _outcome(run: dict[str, Any]) -> str:
    counts = (
        f"read {run['read']:,}, inserted {run['inserted']:,}, updated {run['updated']:,}, deleted {run['deleted']:,}"
    )
    seconds = f" in {run['seconds']:.1f} s" if run["seconds"] is not None else ""
    reason = f"\n  {run['reason']}" if run["reason"] else ""
    warnings = "".join(f"\n  warning: {warning}" for warning in run["warnings"])
    return f"{run['stream']}: {run['state']}, {counts}{seconds}{reason}{warnings}"


def _counted(found: list[Any], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _busy(found: list[Any]) -> str:
    return f", {_counted(found, 'stream')} had one already" if found else ""


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.json:
        _print(line)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m migrations_app.ci",
        description="Register, compare and run mappings from CI. DMS_URL says where the service is, DMS_TOKEN has a "
        "token of `manage.py create_token`.",
        epilog="Exit codes: 0 done, 1 failed, 2 a file or the command line is wrong, 3 already running, 4 stopped.",
    )
    commands = parser.add_subparsers(required=True, metavar="apply|diff|run")
    for name, text in (("apply", "register the mappings"), ("diff", "say what that would change, and change nothing")):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(act=apply, dry_run=name == "diff")
        command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="mapping: .py, .json or .yaml")
        command.add_argument("--bundle", metavar="NAME", help="all files as one bundle: all of them or none")
        command.add_argument("--prune", action="store_true", help="remove what the bundle no longer holds")
        command.add_argument(
            "--allow", choices=("next_run", "full_recopy", "destructive"), help="the greatest impact that is meant"
        )
        command.add_argument("--connect", action="store_true", help="test both ends of each mapping first")
        command.add_argument("--managed-by", default="ci", metavar="WORD", help="what keeps them; '' for nothing")
        _add_common(command)
    command = commands.add_parser("run", help="run the mappings", description="run the mappings")
    command.set_defaults(act=run)
    command.add_argument("files", nargs="+", type=Path, metavar="FILE|ID", help="mapping files, or ids of mappings")
    command.add_argument("--wait", action="store_true", help="wait for the end, and exit as it was")
    command.add_argument("--timeout", type=float, default=0, metavar="S", help="wait no longer than this; 0 for ever")
    command.add_argument("--table", help="only this table, collection, topic or API")
    command.add_argument("--destination", help="only to this destination")
    command.add_argument("--allow-deletes", type=int, metavar="N", help="approve deletions that the guard refuses")
    _add_common(command)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=os.environ.get("DMS_URL", ""), help="where the service is; else DMS_URL")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command.add_argument("--plain-http", action="store_true", help="send the token to another host without TLS")
