"""How runs ended: for people as a table with a sentence below it, for programs as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from migrations_app.enums import RunState
from migrations_app.formats import human_bytes, human_seconds
from migrations_app.management.selecting import ExitCode as ExitCode
from migrations_app.models import Run

_HEADINGS = ("rows read", "inserted", "updated", "deleted", "moved", "time", "rows/s")
_ANY_WIDTH = 10_000
#: Errors of a queued run that was never begun, since its mapping or the settings are wrong.
_DOCUMENT_ERRORS = frozenset({"MappingError", "SecretUnreadableError"})


def print_outcomes(outcomes: Sequence[Run], console: Console) -> None:
    """Show one line a run, then why some ended early and what was noticed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stream", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for run in outcomes:
        table.add_row(run.stream.unique_id, run.state, *_figures(run))
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum <= console.width:
        console.print(table)
    else:
        for run in outcomes:
            figures = ", ".join(f"{name} {figure}" for name, figure in zip(_HEADINGS, _figures(run), strict=True))
            console.print(f"{run.stream.unique_id} {run.state}: {figures}", soft_wrap=True)
    for run in outcomes:
        if run.state != RunState.SUCCEEDED and run.reason:
            console.print(f"{run.stream.unique_id} {run.state}: {run.reason}", soft_wrap=True)
        for warning in run.warnings:
            console.print(f"{run.stream.unique_id} warning: {warning}", soft_wrap=True)


def as_json(run: Run) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "run": str(run.pk),
        "stream": run.stream.unique_id,
        "state": run.state,
        "reason": run.reason,
        "error_class": run.error_class,
        "stop_reason": run.stop_reason,
        "read": run.read,
        "inserted": run.inserted,
        "updated": run.updated,
        "deleted": run.deleted,
        "bytes": run.byte_count,
        "seconds": run.seconds,
        "warnings": run.warnings,
        "counters": run.counters,
    }


def exit_code(outcomes: Sequence[Run], *, is_cut_short: bool) -> ExitCode:
    """The worst outcome decides: a failure before a stop before a run that goes on elsewhere."""
    failed = [run for run in outcomes if run.state in {RunState.FAILED, RunState.LOST}]
    if failed:
        is_document = all(run.error_class in _DOCUMENT_ERRORS for run in failed)
        return ExitCode.DOCUMENT_WRONG if is_document else ExitCode.FAILED
    states = {run.state for run in outcomes}
    if is_cut_short or RunState.STOPPED in states:
        return ExitCode.STOPPED
    return ExitCode.ALREADY_RUNNING if states & {RunState.QUEUED, RunState.RUNNING} else ExitCode.DONE


def _figures(run: Run) -> list[str]:
    counts = [f"{count:,}" for count in (run.read, run.inserted, run.updated, run.deleted)]
    seconds = run.seconds
    if seconds is None:
        return [*counts, human_bytes(run.byte_count), "-", "-"]
    rate = f"{run.read / seconds:,.0f}" if run.read and seconds > 0 else "-"
    return [*counts, human_bytes(run.byte_count), human_seconds(seconds), rate]
