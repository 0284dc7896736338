"""The last runs of a stream as a strip and as charts, each with the same in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from migrations_app import formats
from migrations_app.admin.charts import bar_options, bars
from migrations_app.history import PastRun
from migrations_app.templatetags.dms import stamp

_OPTIONS = bar_options(thickest=24, share=0.9, x_ticks={"display": False}, y_ticks={})
_ROW_SERIES = (
    ("inserted", "--dms-chart-succeeded"),
    ("updated", "--dms-chart-rows"),
    ("deleted", "--dms-chart-failed"),
)


def strip_of(runs: Sequence[PastRun]) -> dict[str, Any]:
    """The runs side by side, the newest to the right, and what they came to in one sentence."""
    counts = Counter(run.state for run in runs)
    words = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    ticks = [{"state": run.state, "title": _title(run)} for run in runs]
    noun = "run" if len(runs) == 1 else f"{len(runs)} runs"
    return {"ticks": ticks, "words": f"The last {noun}, the newest to the right: {words}." if runs else ""}


def duration_chart(runs: Sequence[PastRun]) -> dict[str, Any]:
    """How long each run took, in the colour of how it ended."""
    ended = [run for run in runs if run.seconds is not None]
    colours = [f"var(--dms-chart-{run.state})" for run in ended]
    series = {"label": "seconds", "data": [round(run.seconds or 0.0, 2) for run in ended], "backgroundColor": colours}
    columns: list[tuple[str, Callable[[PastRun], str]]] = [
        ("took", lambda run: formats.human_seconds(run.seconds or 0.0)),
        ("ended", lambda run: run.state),
    ]
    return _chart("Seconds that each of the last runs took", ended, [series], columns)


def rows_chart(runs: Sequence[PastRun]) -> dict[str, Any]:
    """How many rows each run changed at the destination."""
    ended = [run for run in runs if run.started_at is not None]
    series = [
        {"label": name, "data": [getattr(run, name) for run in ended], "backgroundColor": f"var({colour})"}
        for name, colour in _ROW_SERIES
    ]
    columns: list[tuple[str, Callable[[PastRun], str]]] = [
        (name, lambda run, name=name: formats.human_count(getattr(run, name)))  # type: ignore[misc]
        for name, _ in _ROW_SERIES
    ]
    return _chart("Rows that each of the last runs inserted, updated and deleted", ended, series, columns)


def _chart(
    label: str,
    runs: Sequence[PastRun],
    series: list[dict[str, Any]],
    columns: Sequence[tuple[str, Callable[[PastRun], str]]],
) -> dict[str, Any]:
    names = [_moment(run) for run in runs]
    rows = [
        [name, *(write(run) for _, write in columns)] for name, run in zip(reversed(names), reversed(runs), strict=True)
    ]
    headings = ["begun", *(name for name, _ in columns)]
    return bars(label, names, series, columns=headings, rows=rows, options=_OPTIONS)


def _moment(run: PastRun) -> str:
    return stamp(run.started_at or run.created_at)


def _title(run: PastRun) -> str:
    parts = [run.stream_name] if run.stream_name else []
    parts += [_moment(run), run.state]
    parts += [formats.human_seconds(run.seconds)] if run.seconds is not None else []
    parts += ["backfill"] if run.is_backfill else []
    parts.append(f"{formats.counted(run.rows, 'row')} changed")
    return ", ".join(parts)
