"""Resolving environment references: when a run starts, the variables' values replace `env:NAME`."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from connectors.mapping.env import PREFIX, EnvRef, is_reference
from connectors.mapping.errors import Issue, MappingError
from connectors.mapping.export import REFERENCE_KEYS, to_dict
from connectors.mapping.mapping import Mapping
from connectors.mapping.parse import parse_mapping, parse_settings
from connectors.mapping.settings import ServiceSettings

__all__ = ["EnvRef", "Lookup", "ReferenceRefused", "is_reference", "references_of", "resolve"]

Loc = tuple[str | int, ...]

Document = TypeVar("Document", Mapping, ServiceSettings)

Lookup = Callable[[str], str | None]

_PARSERS: dict[type[Any], Callable[[object], Any]] = {Mapping: parse_mapping, ServiceSettings: parse_settings}


class ReferenceRefused(Exception):
    """A lookup does not give this variable away; the message says which names it gives."""


def resolve(document: Document, lookup: Lookup) -> Document:
    """Replace every environment reference by its value.

    Args:
        document: a mapping or settings; it is not changed.
        lookup: gives a variable's value, or None when it is not set (such as os.environ.get); may raise
            ReferenceRefused for a name that documents may not read.

    Returns:
        A copy without references, checked again with the values in place.

    Raises:
        MappingError: variables are missing or refused, or values do not fit; all are listed, none is shown.
    """
    raw = to_dict(document, reveal=True)
    found = _references(document, raw)
    issues: list[Issue] = []
    for loc, reference in found.items():
        try:
            _put(raw, loc, _value(reference, lookup))
        except LookupError as error:
            issues.append(Issue(loc, str(error.args[0])))
    if issues:
        raise MappingError(issues)
    try:
        resolved: Document = _PARSERS[type(document)](raw)
    except MappingError as error:
        raise MappingError(_named(issue, found) for issue in error.issues) from None
    return resolved


def references_of(document: Mapping | ServiceSettings) -> dict[Loc, EnvRef]:
    """The environment references of a document, by location."""
    return _references(document, to_dict(document, reveal=True))


def _value(reference: EnvRef, lookup: Lookup) -> str:
    try:
        value = lookup(reference.name)
    except ReferenceRefused as refusal:
        message = f"environment variable {reference.name} may not be read: {refusal}"
        raise LookupError(message) from None
    if value is None:
        value = reference.default
    if value is None:
        message = (
            f"environment variable {reference.name} is not set; set it for the process that runs the job,"
            " or write the value here"
        )
        raise LookupError(message)
    if value.startswith(PREFIX):
        message = f"environment variable {reference.name} holds another reference; set it to the value itself"
        raise LookupError(message)
    return value


def _references(document: Mapping | ServiceSettings, raw: dict[str, Any]) -> dict[Loc, EnvRef]:
    parts = [key for key in raw if key in REFERENCE_KEYS] if isinstance(document, Mapping) else list(raw)
    return {loc: reference for key in parts for loc, reference in _walk((key,), raw[key])}


def _walk(loc: Loc, value: object) -> Iterator[tuple[Loc, EnvRef]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _walk((*loc, key), each)
    elif isinstance(value, str) and is_reference(value):
        reference = EnvRef.parse(value)
        if reference is not None:
            yield loc, reference


def _put(raw: dict[str, Any], loc: Loc, value: str) -> None:
    part = raw
    for key in loc[:-1]:
        part = part[str(key)]
    part[str(loc[-1])] = value


def _named(issue: Issue, found: dict[Loc, EnvRef]) -> Issue:
    """Say which variable a wrong value came from."""
    reference = found.get(issue.loc)
    if reference is None:
        return issue
    return Issue(issue.loc, f"{issue.message} (the value of environment variable {reference.name})")
