"""What the streams of a mapping have done together: a strip of the last runs, charts by day, changes of columns."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from migrations_app import formats, history
from migrations_app.admin.charts import Series, day_names, outcomes_of, stacked_bars
from migrations_app.admin.run_charts import strip_of
from migrations_app.models import Mapping
from migrations_app.monitoring.history import Slot, days, fill_of_mapping
from migrations_app.zones import zone_name, zone_named


def strip(mapping: Mapping) -> dict[str, Any]:
    """The last runs of its streams side by side: two queries."""
    return strip_of(history.last_runs_of(mapping))


def past_of(mapping: Mapping, streams: int, zone: str) -> dict[str, Any]:
    """Charts of the last days, and what became of columns: four queries.

    Args:
        mapping: Which mapping.
        streams: How many it has, those that left it too.
        zone: In which days begin.
    """
    changes, searched = history.schema_changes_of(mapping, streams)
    return {
        "charts": _charts(mapping, zone),
        "changes": changes,
        "searched": searched,
        "is_searched_far": searched >= history.SEARCHED_RUNS,
    }


def _charts(mapping: Mapping, zone: str) -> list[dict[str, Any]]:
    moment = timezone.now()
    slots = days(zone_named(zone), moment)
    fill_of_mapping(slots, mapping.pk)
    if not any(slot.total for slot in slots):
        return []
    place = zone_name(moment.astimezone(zone_named(zone)))
    return [
        _by_day(slots, f"Runs of its streams that ended on each day, {place}: {_told(slots)}", outcomes_of(slots)),
        _by_day(
            slots,
            f"Rows that they inserted, updated and deleted, {place}: {formats.human_count(_rows(slots))} in 14 days",
            [Series("Rows", "--dms-chart-rows", [slot.rows for slot in slots])],
        ),
        _by_day(
            slots,
            f"How long the longest run of each day took, {place}",
            [Series("Longest run", "--dms-chart-bytes", [round(slot.longest_s, 2) for slot in slots])],
            unit="seconds",
        ),
    ]


def _by_day(slots: list[Slot], label: str, series: list[Series], unit: str = "count") -> dict[str, Any]:
    return stacked_bars(label, day_names(slots), series, unit=unit)


def _rows(slots: list[Slot]) -> int:
    return sum(slot.rows for slot in slots)


def _told(slots: list[Slot]) -> str:
    sums = {str(outcome): sum(slot.runs[outcome] for slot in slots) for outcome in slots[0].runs}
    return ", ".join(f"{formats.human_count(count)} {word}" for word, count in sums.items() if count)
