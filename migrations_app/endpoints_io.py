"""Sources and destinations by themselves, on their way between the contract and the control database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors import mapping as contract
from connectors.mapping.base import Contract
from connectors.mapping.destination import DESTINATIONS
from connectors.mapping.diagnose import Diagnosis
from connectors.mapping.env import EnvRef, is_reference
from connectors.mapping.references import ReferenceRefused
from connectors.mapping.source import SOURCES
from migrations_app import connections, documents, limits, secrets
from migrations_app.models import Destination, Source

Row = Source | Destination


@dataclass(frozen=True, slots=True)
class EndpointKind:
    """What tells a source from a destination.

    Attributes:
        noun: source or destination.
        model: Its rows.
        contracts: The model of the contract, by type.
    """

    noun: str
    model: type[Source] | type[Destination]
    contracts: Mapping[Any, type[Contract]]

    @property
    def type_key(self) -> str:
        """The key of the document that says the type."""
        return f"{self.noun}_type"

    def raw(self, row: Row) -> dict[str, Any]:
        """The row as the document writes it, secrets in the clear."""
        return documents.source_raw(row) if isinstance(row, Source) else documents.destination_raw(row)

    def read(self, raw: object) -> Contract:
        """Read a document by the contract alone.

        Raises:
            MappingError: Every mistake.
        """
        diagnosis = Diagnosis()
        draft = diagnosis.typed_draft(raw, (), self.type_key, self.contracts)
        if diagnosis.issues or draft is None:
            raise contract.MappingError(diagnosis.issues)
        part: Contract = draft.value
        return part

    def parse(self, raw: object) -> Contract:
        """Read a document that comes from outside, under this installation's rules.

        Raises:
            MappingError: Every mistake, refused references and forbidden servers included.
        """
        part = self.read(raw)
        issues = _refused_references(contract.to_dict(part, reveal=True)) or connections.forbidden(part)
        if issues:
            raise contract.MappingError(issues)
        return part

    def load(self, row: Row) -> Contract:
        """The row as the contract has it, references unresolved.

        Raises:
            MappingError: The row no longer keeps the contract.
            SecretUnreadableError: A secret's key is gone.
        """
        return self.read(self.raw(row))

    def resolved(self, part: Contract) -> Contract:
        """A copy with the values of environment variables in place of references.

        Raises:
            MappingError: Variables are not set or refused, or do not fit.
        """
        raw = contract.to_dict(part, reveal=True)
        issues = []
        for key, value in raw.items():
            reference = EnvRef.parse(value) if isinstance(value, str) else None
            if reference is None:
                continue
            try:
                found = secrets.lookup(reference.name)
            except ReferenceRefused as refusal:
                issues.append(contract.Issue((key,), str(refusal)))
                continue
            raw[key] = found if found is not None else reference.default
            if raw[key] is None:
                message = f"environment variable {reference.name} is not set; set it for the service"
                issues.append(contract.Issue((key,), message))
            elif is_reference(raw[key]):
                message = f"environment variable {reference.name} holds another reference; set it to the value itself"
                issues.append(contract.Issue((key,), message))
        if issues:
            raise contract.MappingError(issues)
        return self.read(raw)

    def fill(self, row: Row, part: Contract) -> None:
        """Take a document over into its row. Saves nothing.

        Raises:
            MappingError: A value does not fit its column.
        """
        setattr(row, self.type_key, getattr(part, self.type_key).value)
        documents.fill_endpoint(row, part)
        issues = [contract.Issue((name,), message) for name, message in limits.misfits(row)]
        if issues:
            raise contract.MappingError(issues)


SOURCE = EndpointKind("source", Source, SOURCES)
DESTINATION = EndpointKind("destination", Destination, DESTINATIONS)


def part_issues(part: type[Contract], raw: Mapping[str, Any]) -> list[contract.Issue]:
    """Every mistake of a source or destination, refused references and forbidden servers included."""
    diagnosis = Diagnosis()
    draft = diagnosis.draft(part, raw, ())
    issues = [*diagnosis.issues, *_refused_references(raw)]
    return issues or ([] if draft is None else connections.forbidden(draft.value))


def _refused_references(raw: Mapping[str, Any]) -> list[contract.Issue]:
    issues = []
    for key, value in raw.items():
        try:
            reference = EnvRef.parse(value) if isinstance(value, str) else None
            if reference is not None:
                secrets.check_allowed(reference.name)
        except (ReferenceRefused, ValueError) as refusal:
            issues.append(contract.Issue((key,), str(refusal)))
    return issues
