"""Expiry: the parts of a dump's old snapshots are deleted, those of the newest never."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.work import Work
from connectors.mapping import Expiry, TableSpec


def expire(work: Work) -> int:
    """Delete the snapshots that are older than the spec's `expiry` and return the number of rows."""
    expiry: Expiry | None = getattr(work.stream.spec, "expiry", None)
    if expiry is None or not work.is_dump:
        return 0
    oldest = (work.report.t0 or datetime.now(UTC)) - expiry.timedelta
    doomed = expired_parts(work.table.manifest.parts, oldest, _zone(work))
    if not doomed:
        return 0
    with work.table.publish() as publication:
        for part in doomed:
            publication.remove(part)
        publication.commit()
    rows = sum(part.rows for part in doomed)
    work.report.counts["expired"] += rows
    return rows


def expired_parts(parts: tuple[Part, ...], oldest: datetime, zone: ZoneInfo) -> list[Part]:
    """The parts of snapshots before a moment, but for the newest snapshot.

    Args:
        parts: Of the table.
        oldest: The first moment that is kept.
        zone: Of snapshots that are kept as wall time.
    """
    moments = {part.snapshot: _moment(part.snapshot, zone) for part in parts if part.snapshot is not None}
    newest = max(moments.values(), default=oldest)
    return [
        part
        for part in parts
        if part.snapshot is not None and moments[part.snapshot] < oldest and moments[part.snapshot] < newest
    ]


def _moment(snapshot: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(snapshot)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _zone(work: Work) -> ZoneInfo:
    is_strict = isinstance(work.stream.spec, TableSpec) and work.stream.spec.strict
    return ZoneInfo(work.stream.timezone if is_strict else "UTC")
