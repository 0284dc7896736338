"""Discover: what a mapping's source holds, and a mapping that would copy it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from connectors import mapping as contract
from connectors import registry
from connectors.errors import SourceUnavailable
from connectors.verbs import FoundTable
from connectors.waiting import Overdue, within
from migrations_app import mapping_io
from migrations_app.endpoints_io import SOURCE
from migrations_app.models import Mapping, Source
from migrations_app.verbs.choosing import PLAIN_KINDS, obstacle_of
from migrations_app.verbs.connections import load

#: A page, or a program, waits for the answer.
WITHIN_S = 50.0


@dataclass(frozen=True, slots=True)
class ProposedMapping:
    """A mapping of the proposals, and what it leaves out."""

    mapping: contract.Mapping
    left_out: tuple[str, ...]


def discover(mapping_id: str, *, schema: str | None = None) -> list[FoundTable]:
    """Everything in the mapping's source that could be copied.

    Raises:
        MappingError: The mapping cannot be loaded.
        SecretUnreadableError: A secret's key is gone.
        ConnectorError: The source cannot be asked.
    """
    return registry.discover(load(mapping_id).source, mapping_id, schema)


def discover_source(row: Source, *, schema: str | None = None) -> list[FoundTable]:
    """Everything in a source that could be copied. Ends in time, whatever hangs.

    Raises:
        MappingError, SecretUnreadableError, ConnectorError: See `discover`.
    """
    config: Any = SOURCE.resolved(SOURCE.load(row))
    try:
        return within(WITHIN_S, lambda: registry.discover(config, row.name, schema))
    except Overdue:
        message = f"gave no answer within {WITHIN_S:.0f} seconds; test the connection, or ask for one schema only"
        raise SourceUnavailable(message, connector=f"{row.source_type} source", stream=row.name) from None


def propose(mapping_id: str, found: Sequence[FoundTable]) -> ProposedMapping:
    """The mapping with the proposals for all its source's tables in place of its specs. Saves nothing.

    Raises:
        MappingError: No table is left that can be copied.
    """
    specs: dict[str, dict[str, Any]] = {}
    left_out: list[str] = []
    for table in found:
        reason = _why_left_out(table, specs)
        if reason:
            left_out.append(f"{table.table_name} is left out: {reason}")
        else:
            specs[table.name] = table.proposal.spec
    raw = mapping_io.load_raw(Mapping.objects.get(pk=mapping_id))
    specs_key = contract.SourceType(raw["source"]["source_type"]).specs_key
    return ProposedMapping(contract.parse_mapping(raw | {specs_key: list(specs.values())}), tuple(left_out))


def as_dict(table: FoundTable) -> dict[str, Any]:
    """As JSON."""
    return asdict(table)


def _why_left_out(table: FoundTable, taken: dict[str, dict[str, Any]]) -> str:
    if table.kind not in PLAIN_KINDS:
        return f"it is a {table.kind}, whose rows come from elsewhere"
    if obstacle := obstacle_of(table):
        return obstacle
    if table.name in taken:
        return f"{taken[table.name]['table_name']} has the same name at the destination; copy it to another schema"
    return ""
