"""A rich console on what a command writes to."""

from __future__ import annotations

from typing import IO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console

#: Nothing is folded or cut for a width that a file or a pipe does not have.
_WITHOUT_TERMINAL = 10_000


def console_on(out: OutputWrapper) -> Console:
    """A console on the stream itself: Django's wrapper would end every piece with a new line."""
    stream = cast(IO[str], out._out)  # noqa: SLF001 - the wrapper offers no other way
    width = None if stream.isatty() else _WITHOUT_TERMINAL
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
