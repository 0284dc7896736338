"""Charts as templates/parts/chart.html draws them: bars for the eye, and the same figures as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrations_app import formats
from migrations_app.monitoring.history import OUTCOMES, Slot

#: How static/dms/charts.js and the table write the numbers of an axis.
_WRITERS = {
    "count": lambda value: formats.human_count(int(value)),
    "bytes": formats.human_bytes,
    "seconds": formats.human_seconds,
}


@dataclass(frozen=True, slots=True)
class Series:
    """The bars of one colour.

    Attributes:
        name: What they are.
        colour: Name of a variable of static/dms/dms.css.
    """

    name: str
    colour: str
    values: Sequence[float]


def stacked_bars(
    label: str, slots: tuple[str, Sequence[str]], series: Sequence[Series], *, unit: str = "count"
) -> dict[str, Any]:
    """A chart of bars that stand on each other.

    Args:
        label: What it shows, with the time zone where there are times.
        slots: What a bar stands for (hour, day), and the name of each.
        series: From the bottom to the top.
        unit: ``count``, ``bytes`` or ``seconds``.
    """
    write = _WRITERS[unit]
    heading, names = slots
    columns = [each.values for each in series]
    return bars(
        label,
        names,
        [{"label": each.name, "data": list(each.values), "backgroundColor": f"var({each.colour})"} for each in series],
        columns=[heading, *(each.name for each in series)],
        rows=[[name, *map(write, values)] for name, *values in zip(names, *columns, strict=True)],
        options=_OPTIONS,
    ) | {"unit": unit}


def outcomes_of(slots: Sequence[Slot]) -> list[Series]:
    """Runs by how they ended, each outcome in its colour."""
    return [
        Series(outcome.capitalize(), f"--dms-chart-{outcome}", [slot.runs[outcome] for slot in slots])
        for outcome in OUTCOMES
    ]


def day_names(slots: Sequence[Slot]) -> tuple[str, list[str]]:
    """What a bar of a day is called."""
    return ("Day", [slot.begin.strftime("%d %b").lstrip("0") for slot in slots])


def bars(
    label: str,
    names: Sequence[str],
    datasets: Sequence[Mapping[str, Any]],
    *,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What templates/parts/chart.html needs.

    Args:
        label: What it shows.
        names: Of the bars.
        datasets: As Chart.js has them.
        columns: Headings of the same as a table.
        rows: Of that table.
        options: As `bar_options` makes them.
    """
    return {
        "label": label,
        "data": json.dumps({"labels": list(names), "datasets": list(datasets)}),
        "options": json.dumps(options),
        "columns": list(columns),
        "rows": list(rows),
    }


def bar_options(
    *, thickest: int, share: float, x_ticks: Mapping[str, Any], y_ticks: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of Chart.js for bars that stand on each other and do not move.

    Args:
        thickest: A bar's greatest width in pixels.
        share: Of its place that a bar takes.
        x_ticks: Of the axis with the names.
        y_ticks: Of the axis with the values.
    """
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "datasets": {"bar": {"categoryPercentage": share, "barPercentage": 1, "maxBarThickness": thickest}},
        # The legend is HTML beside the chart, with the sums.
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {"stacked": True, "grid": {"display": False}, "ticks": dict(x_ticks)},
            "y": {"stacked": True, "beginAtZero": True, "grid": {}, "ticks": {"maxTicksLimit": 5, **y_ticks}},
        },
    }


_OPTIONS = bar_options(
    thickest=40, share=0.86, x_ticks={"maxRotation": 0, "autoSkipPadding": 12}, y_ticks={"precision": 0}
)
