"""Test: can both ends of a mapping be reached, and do the rights suffice?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from connectors import mapping as contract
from connectors import registry
from connectors.base import Options, Step
from migrations_app import mapping_io
from migrations_app.models import Mapping

FAILED = "failed"


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
    mapping = load(mapping_id)
    options = Options(**settings.DMS_OPTIONS)
    source = registry.probe_source(mapping.source, mapping.specs, mapping_id, options)
    ends = [TestedEnd("source", tuple(source))]
    for name, config in mapping.destination.items():
        steps = registry.probe_destination(config, mapping.source, mapping_id, options)
        ends.append(TestedEnd(f"destination {name}", tuple(steps)))
    return ends
