"""Backfill: read a range of keys or of bookmarks anew, in a run of its own that leaves the stream where it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors import registry
from connectors.base import (
    Chunk,
    Outline,
    Position,
    ReadRequest,
    RunReport,
    Selection,
    Source,
)
from connectors.errors import ConfigError
from connectors.mapping import Issue, MappingError, Mode
from connectors.mapping.specs import ModedSpec, Spec
from connectors.types import StreamSchema
from migrations_app import plans, runs
from migrations_app.enums import TriggerKind
from migrations_app.models import Run
from migrations_app.owner import Owner
from migrations_app.plans import Plan
from migrations_app.verbs.keys import Key, leading_whole_numbers, read_key
from migrations_app.zones import moments_of, zone_named

#: The key of Run.request under which the selection stands.
REQUEST_KEY = "backfill"


@dataclass(frozen=True, slots=True)
class BackfillPlan(Plan):
    """A plan whose source reads the selection instead of what is due."""

    selection: Selection

    def source(self, report: RunReport) -> Source:
        return _SelectedRows(registry.create_source(self.source_config, self.stream, report), self.selection)


class _SelectedRows(Source):
    """A source that reads a selection; everything else is the source's own."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self._source = source
        self._selection = selection
        self._stream_id = ""

    def open(self) -> None:
        self._source.open()

    def describe(self, position: Position | None = None) -> StreamSchema:
        return self._source.describe(position)

    def read(self, request: ReadRequest) -> Iterator[Chunk]:
        chunks = self._source.backfill(self._selection, request.position) if request.position is not None else None
        if chunks is None:
            sentence = (
                "nothing is copied yet; run the mapping first"
                if request.position is None
                else "it cannot be backfilled; reset it to copy it anew"
            )
            raise ConfigError(sentence, connector=f"{self._source.type_name} source", stream="this stream")
        yield from chunks

    def outline(self, position: Position | None) -> Outline:
        return self._source.outline(position)

    def cancel(self) -> None:
        self._source.cancel()

    def close(self) -> None:
        self._source.close()


def parse_selection(
    planned: Sequence[Plan],
    *,
    from_key: str | None,
    to_key: str | None,
    since: str | None,
    until: str | None,
    timezone: str,
) -> Selection:
    """A selection as people write it, of rows that these streams can have.

    Args:
        planned: The streams, which are of one table.
        from_key: Lowest key, a JSON list of texts and numbers when the key has several columns.
        to_key: Highest key.
        since: Earliest bookmark in ISO 8601.
        until: Latest bookmark.
        timezone: Of times that name none.

    Raises:
        MappingError: The streams copy whole snapshots, nothing is selected, keys and times are mixed, the end is before
            the beginning, or one cannot be read or is not the streams'.
    """
    for plan in planned:
        if message := why_no_range(plan.stream.spec):
            raise MappingError([Issue(("mode",), message)])
    selection = Selection(
        from_key=read_key("from_key", from_key, planned),
        to_key=read_key("to_key", to_key, planned),
        since=_time("since", since, timezone),
        until=_time("until", until, timezone),
    )
    if selection.is_by_key == selection.is_by_time:
        message = "give a range of keys (from_key, to_key) or a range of bookmarks (since, until), and one of the two"
        raise MappingError([Issue(("backfill",), message)])
    for plan in planned:
        if selection.is_by_time and (message := why_no_times(plan.stream.spec)):
            raise MappingError([Issue(("since" if since is not None else "until",), message)])
    _check_order(selection, planned)
    return selection


def why_no_range(spec: Spec) -> str:
    """Why no range of a stream can be read again; empty where one can."""
    if isinstance(spec, ModedSpec) and spec.mode is Mode.DUMPING:
        return "dumping copies whole snapshots, so there is no range to read again; run it for a new snapshot"
    return ""


def why_no_times(spec: Spec) -> str:
    """Why a stream has no range of times; empty where it has."""
    if isinstance(spec, ModedSpec) and spec.bookmark_column is None:
        return "this stream has no bookmark, so there is no range of times; give a range of keys"
    return ""


def estimate_rows(plan: Plan, selection: Selection) -> int | None:
    """About how many rows a backfill would read, by the source's own estimate; None when unknown. Changes nothing.

    Raises:
        ConnectorError: The source cannot be asked, or its key or bookmark does not allow the selection.
    """
    source = plan.source(RunReport())
    try:
        source.open()
        source.describe()
        return source.backfill_rows(selection)
    finally:
        source.close()


def queue(
    plan: Plan, selection: Selection, *, trigger_id: uuid.UUID | None, requested_by: str, owner: Owner | None = None
) -> Run:
    """Queue a backfill of one stream; whoever executes the run finds the selection in it.

    Raises:
        AlreadyRunningError: The stream has an active run.
    """
    return runs.queue(
        plans.stream_row(plan),
        trigger=TriggerKind.BACKFILL,
        trigger_id=trigger_id,
        requested_by=requested_by,
        request={REQUEST_KEY: _as_json(selection)},
        owner=owner,
    )


def plan_of(run: Run, plan: Plan) -> Plan:
    """The plan by which a run is to be executed: as it is, or for the selection that the run asks for."""
    raw = run.request.get(REQUEST_KEY)
    if raw is None:
        return plan
    fields = {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
    return BackfillPlan(**fields, selection=_from_json(raw))


def _check_order(selection: Selection, planned: Sequence[Plan]) -> None:
    """Refuse a range that ends before it begins, where that can be told: texts sort by the source's rules.

    Raises:
        MappingError: It does.
    """
    since, until = selection.since, selection.until
    if since is not None and until is not None and until < since:
        raise MappingError([Issue(("until",), "is before the beginning of the range; exchange the two")])
    first, last = selection.from_key, selection.to_key
    if first and last and any(_is_below(plan.stream.spec, last, first) for plan in planned):
        raise MappingError([Issue(("to_key",), "is below the lowest key of the range; exchange the two")])


def _is_below(spec: Spec, key: Key, other: Key) -> bool:
    """Whether a key comes before another one for certain: by the whole numbers that it begins with."""
    count = leading_whole_numbers(spec)
    return [int(part) for part in key[:count]] < [int(part) for part in other[:count]]


def _time(name: str, text: str | None, timezone: str) -> datetime | None:
    """A time as people write it; of an hour that clocks show twice, the range holds both.

    Args:
        name: Of the field that it was given in.
        text: As it was written; None when it was not given.
        timezone: Of a time that names none.

    Raises:
        MappingError: It cannot be read.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
        first, last = moments_of(moment, zone_named(timezone))
    except (ValueError, OverflowError) as error:
        message = "expected a time in ISO 8601, such as 2026-01-31T18:00:00+05:30"
        raise MappingError([Issue((name,), message)]) from error
    return last if name == "until" else first


def _as_json(selection: Selection) -> dict[str, Any]:
    keys = {"from_key": selection.from_key, "to_key": selection.to_key}
    times = {"since": selection.since, "until": selection.until}
    return {name: list(key) for name, key in keys.items() if key is not None} | {
        name: moment.isoformat() for name, moment in times.items() if moment is not None
    }


def _from_json(raw: dict[str, Any]) -> Selection:
    return Selection(
        from_key=tuple(raw["from_key"]) if "from_key" in raw else None,
        to_key=tuple(raw["to_key"]) if "to_key" in raw else None,
        since=datetime.fromisoformat(raw["since"]) if "since" in raw else None,
        until=datetime.fromisoformat(raw["until"]) if "until" in raw else None,
    )
