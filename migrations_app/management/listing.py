"""Rows for people: a table on a terminal, aligned lines of any length elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.base import OutputWrapper
from rich import box
from rich.table import Table
from rich.text import Text

from migrations_app.management.console import console_on

#: Words that deserve a colour on a terminal.
_STYLES = {
    "ok": "green",
    "equal": "green",
    "warning": "yellow",
    "unknown": "yellow",
    "failed": "red",
    "different": "red",
}


def write_rows(
    out: OutputWrapper, headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()
) -> None:
    """Write rows under their headings.

    Args:
        out: Where the command writes.
        headings: One a column.
        rows: Texts.
        numbers: Headings of the columns that are aligned to the right.
    """
    console = console_on(out)
    if not console.is_terminal:
        out.write("\n".join(_lines(headings, rows, numbers)))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if heading in numbers else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        ).rstrip()
        for row in (headings, *rows)
    ]
