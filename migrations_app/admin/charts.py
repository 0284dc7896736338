"""Charts as templates/parts/chart.html draws them: bars for the eye, and the same figures as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrations_app import formats

#: How static/dms/charts.js and the table write the numbers of an axis.
_WRITERS = {"count": lambda value: formats.human_count(int(value)), "bytes": formats.human_bytes}


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
        unit: ``count`` or ``bytes``.
    """
    write = _WRITERS[unit]
    heading, names = slots
    data = {
        "labels": list(names),
        "datasets": [
            {"label": each.name, "data": list(each.values), "backgroundColor": f"var({each.colour})"} for each in series
        ],
    }
    columns = [each.values for each in series]
    return {
        "kind": "bar",
        "label": label,
        "unit": unit,
        "data": json.dumps(data),
        "options": json.dumps(_OPTIONS),
        "columns": [heading, *(each.name for each in series)],
        "rows": [[name, *map(write, values)] for name, *values in zip(names, *columns, strict=True)],
    }


_OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "datasets": {"bar": {"categoryPercentage": 0.86, "barPercentage": 1, "maxBarThickness": 40}},
    # The legend is HTML beside the chart, with the sums.
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {"stacked": True, "grid": {"display": False}, "ticks": {"maxRotation": 0, "autoSkipPadding": 12}},
        "y": {"stacked": True, "beginAtZero": True, "grid": {}, "ticks": {"precision": 0, "maxTicksLimit": 5}},
    },
}
