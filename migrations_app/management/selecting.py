"""What the commands share that work on the streams of one mapping: arguments, exit codes, and how they refuse."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import MappingError
from migrations_app import plans
from migrations_app.management.refusals import issue_lines, refusal
from migrations_app.plans import Plan
from migrations_app.runs import AlreadyRunningError
from migrations_app.secrets import SecretUnreadableError


class ExitCode(IntEnum):
    """What a command's exit code says; documented in docs/."""

    DONE = 0
    FAILED = 1
    DOCUMENT_WRONG = 2
    ALREADY_RUNNING = 3
    STOPPED = 4
    MISMATCH = 5


def add_selection(parser: ArgumentParser) -> None:
    """Declare which mapping, and which of its streams."""
    parser.add_argument("mapping_id", metavar="ID", help="the mapping's id")
    parser.add_argument("--table", help="only this table (collection, topic or API), as the mapping names it")
    parser.add_argument("--destination", help="only this destination")


def selected_plans(options: dict[str, Any]) -> list[Plan]:
    """The plans that `add_selection` selects; a mistake ends the command."""
    with refusing(options["mapping_id"]):
        return plans.build(options["mapping_id"], table=options["table"], destination=options["destination"])


def refuse_several_tables(selected: list[Plan], mapping_id: str) -> None:
    """End the command when the streams are not all of one table: a key or time of one says nothing of another."""
    names = sorted({plan.stream.spec.name for plan in selected})
    if len(names) > 1:
        raise refusal([f"{mapping_id}: keys and times are those of one table; choose it with --table {names[0]}"])


@contextmanager
def running_refused(err: OutputWrapper) -> Iterator[None]:
    """End the command with its exit code when a run of the stream is active."""
    try:
        yield
    except AlreadyRunningError as error:
        err.write(str(error))
        raise SystemExit(int(ExitCode.ALREADY_RUNNING)) from error


@contextmanager
def refusing(place: str) -> Iterator[None]:
    """End the command with the exit code and the sentence of the error that is raised inside."""
    try:
        yield
    except MappingError as error:
        raise refusal(issue_lines(place, error)) from error
    except (ConfigError, SecretUnreadableError) as error:
        raise refusal([f"{place}: {error}"]) from error
    except ConnectorError as error:
        message = f"{place}: {error}"
        raise CommandError(message, returncode=ExitCode.FAILED) from error
