"""How a run looks while it goes on: one live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from migrations_app.formats import human_bytes, human_seconds
from migrations_app.live import how_far, phase_words
from migrations_app.runner import Progress

_PLAIN_EVERY_S = 5.0


class Display:
    """Shows the progress of one run; a context manager.

    Args:
        stream_id: What runs.
        console: Where to write.
    """

    def __init__(self, stream_id: str, console: Console) -> None:
        self._stream_id = stream_id
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._plain_at = self._began + _PLAIN_EVERY_S
        self._phase = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(Text(f"{self._stream_id}: {phase_words('open')}"), console=self._console, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Show where the run stands; cheap enough to be called often."""
        if self._live is not None:
            self._live.update(Text(self.line(progress), no_wrap=True, overflow="ellipsis"))
            return
        now = time.monotonic()
        if now < self._plain_at and progress.report.phase == self._phase:
            return
        if progress.report.phase != self._phase or now >= self._plain_at:
            self._phase = progress.report.phase
            self._plain_at = now + _PLAIN_EVERY_S
            self._console.print(self.line(progress), soft_wrap=True)

    def line(self, progress: Progress) -> str:
        """Phase, rows, rows/s, bytes and, where the number of rows is known, what is left."""
        run, report = progress.run, progress.report
        seconds = max(time.monotonic() - self._began, 1e-3)
        parts = [f"{self._stream_id}: {phase_words(report.phase)}"]
        if run.read:
            parts += [f"{run.read:,} row{'s' if run.read > 1 else ''}", f"{run.read / seconds:,.0f} rows/s"]
        if report.bytes_moved:
            parts.append(f"{human_bytes(report.bytes_moved)} moved")
        left = how_far(report.phase, run.read, report.rows_expected, run.read / seconds).seconds_left
        if left is not None:
            parts.append(f"about {human_seconds(left)} left")
        return ", ".join(parts)
