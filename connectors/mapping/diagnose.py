"""Every mistake of a document at once: each part is read on its own, and rules run on what could be read.

Only called for documents that the models refused; what the models accept needs no diagnosis.
"""

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from connectors.mapping.base import Contract
from connectors.mapping.destination import DESTINATIONS
from connectors.mapping.errors import INVALID, Issue
from connectors.mapping.mapping import SPECS, Mapping, RedisConfig
from connectors.mapping.mapping_rules import Draft, View, mapping_problems
from connectors.mapping.messages import issue_of, keys_of, unknown_key
from connectors.mapping.source import SOURCES

ChosenBy = TypeVar("ChosenBy", bound=StrEnum)
Loc = tuple[str | int, ...]

_A_DICTIONARY = "expected a dictionary of keys and values"
REQUIRED, WRONG_TYPE = "required", "wrong_type"
_EXTRAS = ("redis", "get_table_name", "process_dict")


class Diagnosis:
    """Collects the issues of one document, part by part."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, loc: Loc, message: str, code: str = INVALID) -> None:
        """Note a mistake, once."""
        issue = Issue(loc, message, code)
        if issue not in self.issues:
            self.issues.append(issue)

    def draft(self, model: type[Contract], raw: object, loc: Loc) -> Draft | None:
        """Read a part as far as it can be read, noting what is wrong with it."""
        if not isinstance(raw, AnyMapping):
            self.add(loc, _A_DICTIONARY, WRONG_TYPE)
            return None
        try:
            return Draft(model.model_validate(raw))
        except ValidationError as error:
            lines = error.errors(include_input=False, include_url=False)
        for line in lines:
            issue = issue_of(line, model, loc)
            self.add(issue.loc, issue.message, issue.code)
        draft = _partial(model, raw)
        for problem in draft.value.problems(draft.unknown):
            self.add((*loc, *problem.loc), problem.message)
        return draft

    def typed_draft(
        self, raw: object, loc: Loc, key: str, models: AnyMapping[ChosenBy, type[Contract]]
    ) -> Draft | None:
        """Read a part whose model is chosen by one of its keys."""
        if not isinstance(raw, AnyMapping):
            self.add(loc, _A_DICTIONARY, WRONG_TYPE)
            return None
        choices = ", ".join(repr(each.value) for each in models)
        if key not in raw:
            self.add((*loc, key), f"is required: one of {choices}", REQUIRED)
            return None
        model = next((model for each, model in models.items() if each == raw[key]), None)
        if model is None:
            self.add((*loc, key), f"expected one of {choices}", "not_a_choice")
            return None
        return self.draft(model, raw, loc)

    def field(self, model: type[Contract], name: str, raw: object) -> None:
        """Read one plain field of the document's top level."""
        try:
            _adapter(model, name).validate_python(raw)
        except ValidationError as error:
            for line in error.errors(include_input=False, include_url=False):
                issue = issue_of({**line, "loc": (name, *line["loc"])}, model, ())
                self.add(issue.loc, issue.message, issue.code)


def diagnose_settings(model: type[Contract], raw: object) -> list[Issue]:
    """Find every mistake of a document that is one model."""
    diagnosis = Diagnosis()
    diagnosis.draft(model, raw, ())
    return diagnosis.issues


def diagnose_mapping(raw: object) -> list[Issue]:
    """Find every mistake of a mapping."""
    diagnosis = Diagnosis()
    if not isinstance(raw, AnyMapping):
        return [Issue((), f"{_A_DICTIONARY} at the top of a mapping: source, destination, tables")]
    known = keys_of(Mapping)
    for key in raw:
        if key not in known:
            diagnosis.add((str(key),), unknown_key(str(key), known), "unknown_key")
    source = None
    if "source" in raw:
        source = diagnosis.typed_draft(raw["source"], ("source",), "source_type", SOURCES)
    else:
        diagnosis.add(("source",), "is required: where rows come from", REQUIRED)
    destinations = _destinations(diagnosis, raw)
    specs = _specs(diagnosis, raw)
    if raw.get("redis") is not None:
        diagnosis.draft(RedisConfig, raw["redis"], ("redis",))
    for key in _EXTRAS[1:]:
        diagnosis.field(Mapping, key, raw.get(key))
    extras = frozenset(key for key in _EXTRAS if raw.get(key) is not None)
    for problem in mapping_problems(View(source, destinations, specs, extras)):
        diagnosis.add(problem.loc, problem.message)
    return sorted(diagnosis.issues, key=_place)


def _place(issue: Issue) -> tuple[int, int]:
    """Sort key: the order of the document's parts, and of the specs in their list."""
    known = keys_of(Mapping)
    part = known.index(str(issue.loc[0])) if issue.loc[0] in known else -1
    position = issue.loc[1] if len(issue.loc) > 1 else -1
    return part, position if isinstance(position, int) else -1


def _destinations(diagnosis: Diagnosis, raw: AnyMapping[Any, Any]) -> dict[str, Draft]:
    if "destination" not in raw:
        diagnosis.add(("destination",), "is required: destinations by name; write {} for none", REQUIRED)
        return {}
    named = raw["destination"]
    if not isinstance(named, AnyMapping):
        diagnosis.add(("destination",), _A_DICTIONARY, WRONG_TYPE)
        return {}
    if isinstance(named.get("destination_type"), str):
        message = "holds destinations by name; put this one under a name of your choice, as in {'main': {...}}"
        diagnosis.add(("destination",), message)
        return {}
    drafts = {}
    for name, value in named.items():
        if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
            message = "has a destination with an unusable name; a name is text without spaces at its ends"
            diagnosis.add(("destination",), message)
            continue
        draft = diagnosis.typed_draft(value, ("destination", name), "destination_type", DESTINATIONS)
        if draft is not None:
            drafts[name] = draft
    return drafts


def _specs(diagnosis: Diagnosis, raw: AnyMapping[Any, Any]) -> dict[str, list[Draft | None]]:
    drafts: dict[str, list[Draft | None]] = {}
    for source_type, model in SPECS.items():
        key = source_type.specs_key
        if raw.get(key) is None:
            continue
        if not isinstance(raw[key], Sequence) or isinstance(raw[key], str | bytes):
            diagnosis.add((key,), f"expected a list with one dictionary for each {model.noun}")
            continue
        drafts[key] = [diagnosis.draft(model, each, (key, position)) for position, each in enumerate(raw[key])]
    return drafts


@cache
def _adapter(model: type[Contract], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    # The metadata only: a whole FieldInfo would bring the alias along, which means nothing outside a model.
    annotated: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(annotated)


def _partial(model: type[Contract], raw: AnyMapping[Any, Any]) -> Draft:
    """Build the model from the fields that can be read, without running its rules."""
    values: dict[str, Any] = {}
    unknown = set()
    for name, field in model.model_fields.items():
        key = model.key_of(name)
        if key not in raw:
            if field.is_required():
                unknown.add(name)
            continue
        try:
            values[key] = _adapter(model, name).validate_python(raw[key])
        except ValidationError:
            unknown.add(name)
    partial = model.model_construct(**values)
    for name in unknown:
        partial.__dict__.pop(name, None)
    return Draft(partial, frozenset(unknown))
