"""Preview and plan of a mapping that is not stored, or not yet stored as it is to be. Nothing is written anywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors import mapping as contract
from connectors.base import Preview
from connectors.errors import ConnectorError, Recovery
from migrations_app import impact, mapping_io, plans, secrets, settings_io
from migrations_app.dry_run import Description, describe
from migrations_app.impact import Change, Impact
from migrations_app.models import Mapping
from migrations_app.plans import Plan
from migrations_app.verbs import preview as previewing
from migrations_app.verbs import registering

#: A page waits for the answer: no statement of a draft may take longer, nor one stream's plan, and no further stream is
#: begun after that.
STATEMENT_TIMEOUT_S = 20
WITHIN_S = 25.0
_WRITERS_WAIT_S = 1.0

_NO_STORE = {"url": "mongodb://store.invalid", "db_name": "none", "collection_name": "none"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mapping as it is to be.

    Attributes:
        mapping_id: What it is, or would be, called.
        document: Read by `mapping_io.parse`; holds secrets.
    """

    mapping_id: str
    document: contract.Mapping = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer.

    Attributes:
        end: ``source``, ``destination`` and its name, or ``mapping``.
        why: What happened and what to do.
        may_pass: The same may work later, with nothing changed.
    """

    end: str
    why: str
    may_pass: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one stream would do, or why that cannot be said: one of the two is None."""

    stream_id: str
    name: str
    destination: str
    description: Description | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """What the mapping would do.

    Attributes:
        outcomes: Its streams, in their order.
        left: Streams that were not looked at, as time ran out.
        changes: What differs from the mapping that is stored; None when none is.
        impact: How far the changes reach.
        warnings: Sentences about the whole.
    """

    outcomes: tuple[Outcome, ...]
    left: tuple[str, ...]
    changes: tuple[Change, ...] | None
    impact: Impact
    warnings: tuple[str, ...]


def preview(wanted: Wanted, table: str, *, row_count: int = previewing.ROWS) -> Preview:
    """The first rows of a table as they would arrive.

    Args:
        wanted: The mapping.
        table: Which table, collection, topic or API, as the mapping names it.
        row_count: How many rows at most.

    Raises:
        MappingError: A reference leads nowhere, or the mapping has no such table or no destination.
        ConnectorError: The source cannot be reached, or the spec does not fit it.
    """
    if not wanted.document.destination:
        message = "is empty; add a destination, as the rows are shown as they would arrive there"
        raise contract.MappingError([contract.Issue(("destination",), message)])
    service, _ = _service()
    first = next(iter(wanted.document.destination))
    found = plans.build_document(wanted.mapping_id, wanted.document, service, table=table, destination=first)
    return previewing.preview(_for_a_page(found[0]), row_count=row_count)


def plan(wanted: Wanted, *, table: str | None = None, within_s: float = WITHIN_S) -> DraftPlan:
    """What the streams would do if the mapping were saved and run now, and what saving would change.

    Args:
        wanted: The mapping.
        table: Only this one.
        within_s: No stream is begun after so many seconds.

    Raises:
        MappingError: A reference leads nowhere, or the mapping has no such table.
        ConnectorError: No connector serves the type, or a source that "*" needs could not be asked.
    """
    service, warnings = _service()
    found = plans.build_document(wanted.mapping_id, wanted.document, service, table=table)
    if not found:
        warnings = [*warnings, "the mapping has no destination, so a run would do nothing"]
    outcomes = tuple(_outcomes(found, time.monotonic() + within_s))
    changes = _changes(wanted)
    return DraftPlan(
        outcomes=outcomes,
        left=tuple(each.stream.unique_id for each in found[len(outcomes) :]),
        changes=None if changes is None else tuple(changes),
        impact=impact.greatest(changes or []),
        warnings=tuple(warnings),
    )


def refusal_of(error: ConnectorError, destination: str = "") -> Refusal:
    """Which end refused, and why."""
    end = "mapping"
    if error.connector.endswith("source"):
        end = "source"
    elif error.connector.endswith("destination"):
        end = f"destination {destination}".strip()
    may_pass = error.recovery is Recovery.RETRY
    return Refusal(end, error.message, may_pass)


def _outcomes(found: Sequence[Plan], until: float) -> Iterator[Outcome]:
    for each in found:
        if time.monotonic() > until:
            return
        description, refusal = None, None
        try:
            description = describe(_for_a_page(each), within_s=STATEMENT_TIMEOUT_S)
        except ConnectorError as error:
            refusal = refusal_of(error, each.destination_name)
        yield Outcome(each.stream.unique_id, each.stream.spec.name, each.destination_name, description, refusal)


def _for_a_page(each: Plan) -> Plan:
    options = each.stream.options
    timeout = min(options.statement_timeout_s or STATEMENT_TIMEOUT_S, STATEMENT_TIMEOUT_S)
    options = replace(options, statement_timeout_s=timeout, writers_wait_s=min(options.writers_wait_s, _WRITERS_WAIT_S))
    return replace(each, stream=replace(each.stream, options=options))


def _changes(wanted: Wanted) -> list[Change] | None:
    row = Mapping.objects.filter(pk=wanted.mapping_id).select_related("source").first()
    if row is None:
        return None
    try:
        stored = mapping_io.load_contract(row)
    except (contract.MappingError, secrets.SecretUnreadableError):
        # What is stored is damaged; saving mends it.
        return None
    return impact.compare(stored, wanted.document, registering.copied(row))


def _service() -> tuple[contract.ServiceSettings, list[str]]:
    """The settings as far as they are there: rows and plans can be seen before the stores are set up."""
    try:
        return settings_io.load_settings(), []
    except contract.MappingError as error:
        why = str(error.issues[0])
    except secrets.SecretUnreadableError as error:
        why = str(error)
    stand_in: dict[str, Any] = {"encryption_store": _NO_STORE, "dashboard_store": _NO_STORE}
    stand_in["timezone"] = settings_io.schedule_settings()[1]
    return contract.parse_settings(stand_in), [f"no run starts before the service settings are in order: {why}"]
