"""What the demo shows: steps, a line a stream, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from controlplane.demo.commands import Figures
from controlplane.demo.lake import LAKE, Found
from controlplane.demo.verifying import Verified

_TABLE_WIDTH = 116


class Teller:
    """Writes to the terminal, with the time since the demo began."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._wide = Console(highlight=False, width=max(self._console.width, _TABLE_WIDTH))
        self._began = time.monotonic()
        self._step = 0

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def step(self, text: str) -> None:
        """Begin a step."""
        self._step += 1
        self.line(f"\n{self._step}. {text}", style="bold")

    def line(self, text: str, style: str = "") -> None:
        """One line, never broken."""
        self._console.print(text, style=style or None, soft_wrap=True, markup=False)

    def ran(self, figures: Figures) -> None:
        """One run of one stream."""
        self.line(
            f"   {figures.mode:<10} {figures.name:<18} {figures.destination:<10} {figures.inserted:>8,} inserted"
            f" {figures.updated:>7,} updated {figures.deleted:>6,} deleted   {figures.seconds:5.1f} s"
            f" {figures.rate:>10,.0f} rows/s"
        )
        for warning in figures.warnings:
            self.line(f"              note: {warning}")

    def found(self, found: Found) -> None:
        """What lies under one prefix of the bucket."""
        files = f"{found.files} file{'' if found.files == 1 else 's'}"
        where = f"s3://{LAKE}/{found.prefix}"
        snapshots = "" if found.current_rows == found.rows else f", {found.current_rows:,} in the newest snapshot"
        self.line(f"   {where:<40} {files:<8} {found.byte_count / 1e6:6.1f} MB {found.rows:>9,} rows{snapshots}")

    def table(self, first: Sequence[Figures], second: Mapping[str, Figures], verified: Mapping[str, Verified]) -> None:
        """Both runs of every stream, and whether the two ends are equal."""
        table = Table(box=None, pad_edge=False)
        table.add_column("stream\n", no_wrap=True)
        table.add_column("to\n", no_wrap=True)
        table.add_column("mode\n", no_wrap=True)
        for heading in (
            "1st run:\ninserted",
            "\nrows/s",
            "2nd run:\ninserted",
            "\nupdated",
            "\ndeleted",
            "rows at\nsource",
            "rows at\ndestination",
            "\nequal",
        ):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in first:
            two, both = second[one.stream], verified[one.stream]
            counts = (one.inserted, round(one.rate), two.inserted, two.updated, two.deleted)
            rows = (both.source_rows, both.destination_rows)
            equal = "yes" if both.is_equal else "NO"
            table.add_row(one.name, one.destination, one.mode, *(f"{count:,}" for count in (*counts, *rows)), equal)
        self._wide.print(table, soft_wrap=True)
