"""The management commands as the demo uses them: the real ones, in this process, their output as values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from migrations_app.models import Stream


class CommandFailedError(Exception):
    """A command did not do what the demo needs."""


@dataclass(frozen=True)
class Figures:
    """What one run of a stream did.

    Attributes:
        stream: The stream's id.
        name: The table, as the mapping names it.
        destination: Where it goes, as the mapping names it.
        mode: Of the stream.
        inserted, updated, deleted: Rows at the destination.
        seconds: How long it took.
        read: Rows read.
        warnings: What the operator should know.
    """

    stream: str
    name: str
    destination: str
    mode: str
    read: int
    inserted: int
    updated: int
    deleted: int
    seconds: float
    warnings: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Rows read in a second."""
        return self.read / self.seconds if self.seconds > 0 else 0.0


def setup(settings_file: Path, mapping_files: Sequence[Path]) -> list[str]:
    """Make the control database and import everything; return the lines that the imports print."""
    _run("migrate", verbosity=0)
    said = _run("import_settings", str(settings_file)) + _run("import_mapping", *map(str, mapping_files))
    return said.splitlines()


def run_mapping(mapping_id: str) -> list[Figures]:
    """Run a mapping's streams.

    Raises:
        CommandFailedError: One of them did not succeed.
    """
    summaries = json.loads(_run("run_migration", mapping_id, as_json=True))
    streams = {stream.unique_id: stream for stream in Stream.objects.filter(mapping=mapping_id)}
    return [_figures(summary, streams[summary["stream"]]) for summary in summaries]


def _figures(summary: dict[str, Any], stream: Stream) -> Figures:
    run = stream.runs.latest("created_at")
    return Figures(
        stream=stream.unique_id,
        name=stream.name,
        destination=stream.destination_name,
        mode=str(run.plan["mode"]),
        read=summary["read"],
        inserted=summary["inserted"],
        updated=summary["updated"],
        deleted=summary["deleted"],
        seconds=summary["seconds"],
        warnings=tuple(summary["warnings"]),
    )


def _run(name: str, *arguments: str, as_json: bool = False, verbosity: int = 1) -> str:
    """Run one command and return what it printed.

    Raises:
        CommandFailedError: It ended with an error; its own words are in the message.
    """
    output = StringIO()
    options = [*arguments, *(["--json"] if as_json else [])]
    try:
        call_command(name, *options, stdout=output, verbosity=verbosity)
    except CommandError as error:
        msg = f"{name} {' '.join(arguments)}: {error}"
        raise CommandFailedError(msg) from error
    except SystemExit as error:
        # A command that is interrupted before it begins has printed nothing.
        ended = json.loads(output.getvalue() or "[]")
        reasons = "; ".join(each["reason"] for each in ended if each["reason"])
        msg = f"{name} {' '.join(arguments)} ended with code {error.code}: {reasons or 'interrupted'}"
        raise CommandFailedError(msg) from error
    return output.getvalue()
