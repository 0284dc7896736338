"""Test: can both ends of a mapping be reached, and do the rights suffice?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from connectors import mapping as contract
from connectors import registry
from connectors.base import Options, Step
from connectors.mapping import SourceType
from migrations_app import mapping_io
from migrations_app.endpoints_io import DESTINATION, SOURCE
from migrations_app.models import Destination, Mapping, Source

FAILED = "failed"
#: Its name is that of the schema, or of the prefix, that a test looks at.
_NOBODYS_SOURCE = contract.PgsqlSource(source_type=SourceType.PGSQL, url="localhost", db_name="connection_test")


@dataclass(frozen=True, slots=True)
class TestedEnd:
    """The steps of one end.

    Attributes:
        end: ``source``, or ``destination`` and its name.
        steps: In their order; the last one failed, or all are done.
    """

    # pytest takes a class of this name for a test.
    __test__ = False

    end: str
    steps: tuple[Step, ...]

    @property
    def has_failed(self) -> bool:
        """True when a run could not work."""
        return any(step.outcome == FAILED for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"end": self.end, "ok": not self.has_failed, "steps": [asdict(step) for step in self.steps]}


def load(mapping_id: str) -> contract.Mapping:
    """A mapping with its references resolved.

    Raises:
        MappingError: There is none, it breaks the contract, or a reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    row = Mapping.objects.filter(pk=mapping_id).first()
    if row is None:
        known = ", ".join(Mapping.objects.order_by("pk").values_list("pk", flat=True)[:20])
        message = f"there is no mapping {mapping_id}; known are: {known or 'none, import one with import_mapping'}"
        raise contract.MappingError([contract.Issue((), message)])
    return mapping_io.resolved(mapping_io.load_contract(row))


def test_ends(mapping_id: str) -> list[TestedEnd]:
    """Test the source and every destination of a mapping. Nothing stays behind at either.

    Raises:
        MappingError: See `load`.
        SecretUnreadableError: See `load`.
    """
    return test_document(mapping_id, load(mapping_id))


def test_document(label: str, mapping: contract.Mapping) -> list[TestedEnd]:
    """Test the ends of a mapping that need not be stored.

    Args:
        label: Who asks: the mapping's id.
        mapping: With its references resolved.
    """
    options = Options(**settings.DMS_OPTIONS)
    source = registry.probe_source(mapping.source, mapping.specs, label, options)
    ends = [TestedEnd("source", tuple(source))]
    for name, config in mapping.destination.items():
        steps = registry.probe_destination(config, mapping.source, label, options)
        ends.append(TestedEnd(f"destination {name}", tuple(steps)))
    return ends


def test_source(row: Source) -> TestedEnd:
    """Test a source by itself.

    Raises:
        MappingError: It breaks the contract, or a reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    config: Any = SOURCE.resolved(SOURCE.load(row))
    return TestedEnd("source", tuple(registry.probe_source(config, (), row.name, Options(**settings.DMS_OPTIONS))))


def test_destination(row: Destination) -> TestedEnd:
    """Test a destination by itself: for the source of a mapping that uses it, or for one that nobody has.

    Raises:
        MappingError: It breaks the contract, or a reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    config: Any = DESTINATION.resolved(DESTINATION.load(row))
    user = row.mappings.select_related("source").first()
    source: Any = SOURCE.resolved(SOURCE.load(user.source)) if user else _NOBODYS_SOURCE
    steps = registry.probe_destination(config, source, row.name, Options(**settings.DMS_OPTIONS))
    return TestedEnd("destination", tuple(steps))
