"""Reset: make a stream's next run go on from an earlier place, or copy everything anew. No row is removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from connectors.base import Destination, Position, RunReport, Source
from connectors.errors import ConfigError
from connectors.mapping import Mode, TableSpec
from connectors.mapping.specs import ModedSpec, Spec
from connectors.positions import Phase
from migrations_app import audit, plans, runs
from migrations_app.audit import Actor
from migrations_app.enums import ACTIVE_STATES
from migrations_app.models import Run
from migrations_app.plans import Plan
from migrations_app.verbs.keys import has_whole_number_key

_WHOLE_COPY = {
    Mode.DUMPING: "the next run dumps everything, as every run of this mode does",
    Mode.LOGGING: "the next run reads the whole table again, inserts the rows that are not there and changes no other",
    Mode.SYNCING: "the next run reads the whole table again, inserts the rows that are not there and updates those that"
    " differ",
    Mode.MIRRORING: "the next run reads the whole table again, inserts, updates, and deletes what the source no longer"
    " has",
}


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset would do, or has done.

    Attributes:
        stream_id: The stream.
        before: Where the next run would go on, in words.
        after: Where it goes on after the reset, in words.
        consequence: What the next run does then.
        position: The new position; None for a whole copy.
        releases: True when the table is given up as well.
        stored: Where the stream stands; None before a first copy.
    """

    stream_id: str
    before: str
    after: str
    consequence: str
    position: Position | None
    releases: bool
    stored: Position | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "stream": self.stream_id,
            "before": self.before,
            "after": self.after,
            "next_run": self.consequence,
            "releases_table": self.releases,
        }


def describe(plan: Plan, *, to_key: tuple[str, ...] | None = None, release: bool = False) -> Reset:
    """What a reset of this stream would do. Changes nothing.

    Args:
        plan: The stream.
        to_key: Go on above this key; None for a whole copy.
        release: Give the table up for another stream, too.

    Raises:
        ConnectorError: An end cannot be reached, or the stream cannot go on from a key.
    """
    with _ends(plan) as (source, destination):
        stored = destination.stored_position()
        before = source.describe_position(stored)
        if to_key is None:
            consequence = _released(plan) if release else _WHOLE_COPY[plan.stream.mode]
            return Reset(
                plan.stream.unique_id, before, source.describe_position(None), consequence, None, release, stored
            )
        source.open()
        source.describe(stored)
        position = source.position_at(stored, to_key)
        if position is None:
            sentence = "this kind of source cannot go on from a key; reset it to copy everything again"
            raise ConfigError(sentence, connector="reset", stream=plan.stream.unique_id)
        consequence = (
            f"the next run reads the rows with keys above {', '.join(to_key)} again; rows up to it count as copied,"
            " whether they are or not"
        )
        if _is_ahead(plan, stored, position):
            consequence += (
                "; that key lies ahead of where the stream stands, so only a backfill or a change of theirs brings the"
                " rows in between"
            )
        return Reset(
            plan.stream.unique_id, before, source.describe_position(position), consequence, position, release, stored
        )


def _is_ahead(plan: Plan, stored: Position | None, position: Position) -> bool:
    """Whether a new position leaves out rows that the next run would read otherwise."""
    here, there = (stored or {}).get("safe_key"), position.get("safe_key")
    if here is None or there is None or not has_whole_number_key(plan.stream.spec):
        return False
    return int(there) > int(here)


def why_no_key(spec: Spec, stored: Position | None) -> str:
    """Why the next run cannot go on above a key, as far as that can be told without asking the source; else empty.

    Args:
        spec: Of the stream.
        stored: Where it stands; a first copy that is under way goes on above any key.
    """
    if isinstance(spec, ModedSpec) and spec.mode is Mode.DUMPING:
        return "dumping copies everything each time, so there is no key to go on above"
    is_copying = stored is not None and stored.get("phase") == Phase.COPY
    if isinstance(spec, TableSpec) and not is_copying and not has_whole_number_key(spec):
        return (
            "new rows of this stream are not found by a growing number, so it cannot go on above a key; backfill a"
            " range of keys for some rows"
        )
    return ""


def estimate_rows(plan: Plan, reset: Reset) -> int | None:
    """About how many rows the next run reads after that reset; None when unknown. Changes nothing.

    Raises:
        ConnectorError: The source cannot be asked.
    """
    source = plan.source(RunReport())
    try:
        source.open()
        source.describe(reset.position)
        return source.outline(reset.position).estimated_rows
    finally:
        source.close()


def carry_out(plan: Plan, reset: Reset, *, by: Actor | None = None, reason: str = "") -> None:
    """Do what `describe` has described: first at the destination, whose record wins, then here.

    Args:
        plan: The stream.
        reset: What `describe` returned.
        by: Who, for the audit log; None for callers that record it themselves.
        reason: Why, for the audit log.

    Raises:
        AlreadyRunningError: A run of the stream is active; it would be fenced off.
        ConnectorError: The destination cannot be reached, or the table belongs to another stream.
    """
    stream = plans.stream_row(plan)
    refuse_while_running(plan)
    with _ends(plan) as (_, destination):
        destination.reset_state(reset.position)
        if reset.releases:
            destination.release()
    with transaction.atomic():
        runs.reset_checkpoint(stream, reset.position, stream.epoch + 1)
        if by is not None:
            details = {"reason": reason, "releases_table": reset.releases}
            before, after = {"position": reset.before}, {"position": reset.after}
            audit.record(by, "reset", stream, before=before, after=after, details=details)


def refuse_while_running(plan: Plan) -> None:
    """Raise AlreadyRunningError when the stream has an active run whose owner lives."""
    stream = plans.stream_row(plan)
    runs.release_orphans(stream)
    active = Run.objects.filter(stream=stream, state__in=ACTIVE_STATES).select_related("stream").first()
    if active is not None:
        raise runs.AlreadyRunningError(active)


def _released(plan: Plan) -> str:
    return (
        f"the table {plan.stream.name} keeps its rows and belongs to the stream that runs next: another one, or this"
        " one again, which then reads the whole table"
    )


@contextmanager
def _ends(plan: Plan) -> Iterator[tuple[Source, Destination]]:
    """The source not yet open, the destination connected."""
    report = RunReport()
    source, destination = plan.source(report), plan.destination(report)
    try:
        destination.connect()
        yield source, destination
    finally:
        source.close()
        destination.close()
