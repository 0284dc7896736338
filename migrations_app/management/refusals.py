"""How commands refuse a document: every mistake on a line of its own, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.management.base import CommandError

from connectors.mapping import MappingError

#: Exit code when a mapping or the settings are wrong.
DOCUMENT_WRONG = 2


def refusal(lines: Iterable[str]) -> CommandError:
    """Return the error that shows the lines and ends the command with the exit code of a wrong document."""
    return CommandError("\n".join(lines), returncode=DOCUMENT_WRONG)


def issue_lines(place: object, error: MappingError) -> list[str]:
    """Return a line for each mistake: ``place: path: message``."""
    return [f"{place}: {issue}" for issue in error.issues]
