"""A rich console on what a command writes to."""

from __future__ import annotations

from typing import IO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console


def console_on(out: OutputWrapper) -> Console:
    """A console on the stream itself: Django's wrapper would end every piece with a new line."""
    return Console(file=cast(IO[str], out._out), highlight=False)  # noqa: SLF001 - the wrapper offers no other way
