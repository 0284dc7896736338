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
    dated = [(part, part.snapshot_date) for part in parts]
    newest = max((date for _, date in dated if date is not None), default=oldest)
    return [part for part, date in dated if date is not None and date < min(oldest, newest)]
