"""The plan of a run for people: what it would read, where it would go on, what it would make. Writes nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connectors.base import Destination, Outline, RunReport, Source
from connectors.errors import DestinationUnavailable, SourceUnavailable, Stopped
from migrations_app.plans import Plan
from migrations_app.zones import zone_name, zone_named

#: A moment with its zone; not one that is the key of a row, which is shown as it is.
_MOMENT = re.compile(
    r"(?<!key )(?<!keys up to )\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d){0,2})(?![\d:])"
)

#: Requests that are repeated, one after the other, add up: an end that is silent for so long is given up.
WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Description:
    """What one stream's next run would do.

    Attributes:
        stream_id: The stream.
        mode: Its mode.
        outline: What the source would read; its words have moments in the settings' time zone, its queries as they are.
        statements: DDL that the destination would run.
        warnings: Sentences for the operator.
    """

    stream_id: str
    mode: str
    outline: Outline
    statements: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "stream": self.stream_id,
            "mode": self.mode,
            "goes_on_from": self.outline.start,
            "windows": list(self.outline.windows),
            "queries": list(self.outline.queries),
            "estimated_rows": self.outline.estimated_rows,
            "ddl": list(self.statements),
            "warnings": list(self.warnings),
        }

    def as_text(self) -> str:
        """For people."""
        rows = self.outline.estimated_rows
        lines = [
            f"{self.stream_id} ({self.mode})",
            f"  goes on from: {self.outline.start}",
            f"  estimated rows: {f'about {rows:,}' if rows is not None else 'unknown'}",
        ]
        for heading, sentences in (
            ("windows", self.outline.windows),
            ("queries", self.outline.queries),
            ("statements at the destination", self.statements or ("none",)),
            ("warnings", self.warnings),
        ):
            if sentences:
                lines.append(f"  {heading}:")
                lines += [f"    {line}" for sentence in sentences for line in sentence.strip().splitlines()]
        return "\n".join(lines)


def describe(plan: Plan, *, within_s: float = WITHIN_S) -> Description:
    """Ask both ends what a run would do now.

    Args:
        plan: Of the stream.
        within_s: An end that has not answered after so many seconds counts as one that cannot be reached.

    Raises:
        ConnectorError: An end cannot be reached, or the run would be refused.
    """
    report = RunReport()
    source, destination = plan.source(report), plan.destination(report)
    with _ended_after(within_s, source, destination):
        return _described(plan, source, destination, report)


@contextmanager
def _ended_after(seconds: float, source: Source, destination: Destination) -> Iterator[None]:
    """Cancel both ends when the time is over; whoever waits for one then learns that it cannot be reached."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        # Side by side: to cancel at a server that hangs can take time itself.
        threading.Thread(target=source.cancel, name="dms-plan-end", daemon=True).start()
        destination.cancel()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Stopped as stopped:
        if not is_over.is_set():
            raise
        kind = SourceUnavailable if stopped.connector.endswith("source") else DestinationUnavailable
        message = f"no answer within {seconds:g} s; see whether it can be reached with `test_connection`, and try again"
        raise kind(message, connector=stopped.connector, stream=stopped.stream) from None
    finally:
        timer.cancel()


def _described(plan: Plan, source: Source, destination: Destination, report: RunReport) -> Description:
    try:
        source.open()
        destination.connect()
        if (refused := destination.refusal()) is not None:
            report.warn(f"a run would be refused: {refused.message}")
        position = destination.stored_position()
        statements = destination.plan_statements(source.describe(position))
        outline = _in_zone(source.outline(position), plan.stream.timezone)
    finally:
        source.close()
        destination.close()
    return Description(
        plan.stream.unique_id, plan.stream.mode.value, outline, tuple(statements), tuple(report.warnings)
    )


def _in_zone(outline: Outline, name: str) -> Outline:
    """The outline with the moments of its words to the second, in a time zone."""
    zone = zone_named(name)

    def say(found: re.Match[str]) -> str:
        try:
            moment = datetime.fromisoformat(found[0]).astimezone(zone)
        except (ValueError, OverflowError):
            return found[0]
        return f"{moment:%Y-%m-%d %H:%M:%S} {zone_name(moment)}"

    windows = tuple(_MOMENT.sub(say, window) for window in outline.windows)
    return replace(outline, start=_MOMENT.sub(say, outline.start), windows=windows)
