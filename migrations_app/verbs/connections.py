"""Test: can both ends of a mapping be reached, and do the rights suffice?"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from connectors import mapping as contract
from connectors import registry
from connectors.base import Options, Step
from connectors.mapping.base import Contract
from connectors.steps import FAILED, OK, WARNING, Tell, tell_nobody
from migrations_app import mapping_io
from migrations_app.endpoints_io import DESTINATION, SOURCE, EndpointKind, Row
from migrations_app.models import Destination, Mapping, Source


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

    @property
    def failed_step(self) -> str:
        """The name of the first step that failed, or empty."""
        return next((step.name for step in self.steps if step.outcome == FAILED), "")

    @property
    def outcome(self) -> str:
        """The worst of the steps' outcomes."""
        found = {step.outcome for step in self.steps}
        return FAILED if FAILED in found else WARNING if WARNING in found else OK

    def summary(self) -> dict[str, str]:
        """What is kept of it: when, how it ended, and the steps that were not ok."""
        steps = ", ".join(step.name for step in self.steps if step.outcome == self.outcome != OK)
        return {"at": timezone.now().isoformat(), "outcome": self.outcome, "steps": steps}

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
    """Test the ends of a mapping that need not be stored, all at once, so that it takes no longer than one of them.

    Args:
        label: Who asks: the mapping's id.
        mapping: With its references resolved.
    """
    options = Options(**settings.DMS_OPTIONS)
    tests: dict[str, Callable[[], list[Step]]] = {
        "source": partial(registry.probe_source, mapping.source, mapping.specs, label, options)
    }
    for name, config in mapping.destination.items():
        tests[f"destination {name}"] = partial(registry.probe_destination, config, mapping.source, label, options)
    with ThreadPoolExecutor(max_workers=len(tests)) as pool:
        found = {end: pool.submit(test) for end, test in tests.items()}
    return [TestedEnd(end, tuple(steps.result())) for end, steps in found.items()]


def test_source(row: Source) -> TestedEnd:
    """Test a source by itself, and remember how that ended.

    Raises:
        MappingError: It breaks the contract, or a reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    return keep(row, prepare_part(SOURCE, SOURCE.load(row), row.name, row=row)(tell_nobody))


def test_destination(row: Destination) -> TestedEnd:
    """Test a destination by itself, for the source of a mapping that uses it, and remember how that ended.

    Raises:
        MappingError: It breaks the contract, or a reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    return keep(row, prepare_part(DESTINATION, DESTINATION.load(row), row.name, row=row)(tell_nobody))


def prepare_part(kind: EndpointKind, part: Contract, label: str, *, row: Row | None) -> Callable[[Tell], TestedEnd]:
    """Make the test of a source or destination that need not be stored ready; done by calling what is returned.

    All that the control database knows is read here, so that the test may be done in a thread of its own.

    Args:
        kind: What it is.
        part: It, references unresolved.
        label: Who asks: its name.
        row: The stored one; the mappings of a destination say where would be written.

    Raises:
        MappingError: A reference leads nowhere.
        SecretUnreadableError: A secret's key is gone.
    """
    config: Any = kind.resolved(part)
    options = Options(**settings.DMS_OPTIONS)
    if kind is SOURCE:
        return lambda tell: TestedEnd(kind.noun, tuple(registry.probe_source(config, (), label, options, tell)))
    user = row.mappings.select_related("source").first() if row is not None and row.pk else None
    source: Any = SOURCE.resolved(SOURCE.load(user.source)) if user else None
    return lambda tell: TestedEnd(kind.noun, tuple(registry.probe_destination(config, source, label, options, tell)))


def keep(row: Row, tested: TestedEnd) -> TestedEnd:
    """Keep the outcome with the row that was tested, unless it became another one meanwhile."""
    model: Any = type(row)
    model.objects.filter(pk=row.pk, updated_at=row.updated_at).update(last_test=tested.summary())
    return tested
