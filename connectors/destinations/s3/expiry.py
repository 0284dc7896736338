"""Expiry: the parts of a dump's old snapshots are deleted, those of the newest never."""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.work import Work
from connectors.mapping import Expiry


def expire(work: Work) -> int:
    """Delete the snapshots that are older than the spec's `expiry` and return the number of rows."""
    expiry: Expiry | None = getattr(work.stream.spec, "expiry", None)
    if expiry is None or not work.is_dump:
        return 0
    oldest = (work.report.t0 or datetime.now(UTC)) - expiry.timedelta
    doomed = expired_parts(work.table.manifest.parts, oldest)
    if not doomed:
        return 0
    with work.table.publish() as publication:
        for part in doomed:
            publication.remove(part)
        publication.commit()
    rows = sum(part.rows for part in doomed)
    work.report.counts["expired"] += rows
    return rows


def expired_parts(parts: tuple[Part, ...], oldest: datetime) -> list[Part]:
    """The parts of snapshots before a moment, but for the newest snapshot.

    Args:
        parts: Of the table.
        oldest: The first moment that is kept.
    """
    moments = {part.snapshot: _moment(part.snapshot) for part in parts if part.snapshot is not None}
    newest = max(moments.values(), default=oldest)
    return [
        part
        for part in parts
        if part.snapshot is not None and moments[part.snapshot] < oldest and moments[part.snapshot] < newest
    ]


def _moment(snapshot: str) -> datetime:
    moment = datetime.fromisoformat(snapshot)
    # Kept as wall time it is in UTC.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
