"""How long the runs of a stream usually take: the median of its last successes."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable

from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Run

#: Odd, so that the median is a duration that was there.
_LAST = 21
#: Fewer say nothing of what is usual.
_LEAST = 3
# A window function would read all runs that a stream ever had; this reads the last ones, from the end of an index.
_OF_ONE = (
    "SELECT * FROM (SELECT id, stream_id, started_at, finished_at FROM migrations_app_run"
    ' WHERE stream_id = %s AND state = %s AND "trigger" <> %s ORDER BY created_at DESC LIMIT %s) AS last'
)


def usual_seconds(stream_ids: Iterable[int]) -> dict[int, float]:
    """The median duration of each stream's last successful runs, by one query; none where there are too few.

    Backfills do not count: what they take depends on the range that somebody asked for.
    """
    wanted = sorted(set(stream_ids))
    if not wanted:
        return {}
    parameters = [
        parameter
        for stream_id in wanted
        for parameter in (stream_id, RunState.SUCCEEDED.value, TriggerKind.BACKFILL.value, _LAST)
    ]
    found: defaultdict[int, list[float]] = defaultdict(list)
    for run in Run.objects.raw(" UNION ALL ".join([_OF_ONE] * len(wanted)), parameters):
        if run.seconds is not None and run.finished_at is not None:
            found[run.stream_id].append(run.seconds)
    return {stream_id: statistics.median(seconds) for stream_id, seconds in found.items() if len(seconds) >= _LEAST}
