"""ApiSpec: how to copy the events of one project of an HTTP API."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from connectors.mapping.base import Problem, Rule, rule
from connectors.mapping.enums import FieldType
from connectors.mapping.fields import Columns, Count, Flag, Name, as_tuple, expect
from connectors.mapping.specs import Spec

EVERY_EVENT = "*"

Events = Annotated[Literal["*"] | tuple[Name, ...], expect("expected a list of event names, or '*' for every event")]


def _whole_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,6}", value, re.ASCII) else value


Day = Annotated[Count, BeforeValidator(_whole_number)]
"""An offset in days from the day of the run; -1 is the day before. Text such as '-1' is read too."""


@rule("start_day", "end_day")
def _days_in_order(spec: "ApiSpec") -> Iterator[Problem]:
    if spec.start_day is not None and spec.end_day is not None and spec.start_day > spec.end_day:
        yield Problem(("end_day",), "lies before start_day; the first day comes first, as in -7 and -1")


@rule("fields", "api_to_field_mapping")
def _mapped_fields_have_types(spec: "ApiSpec") -> Iterator[Problem]:
    for name in spec.api_to_field_mapping:
        if spec.fields and name not in spec.fields:
            yield Problem(("api_to_field_mapping", name), "has no datatype; add it to fields")


@rule("event_names")
def _some_events(spec: "ApiSpec") -> Iterator[Problem]:
    if spec.event_names == ():
        yield Problem(("event_names",), "lists no event; name at least one, or write '*' for every event")


@rule("primary_keys")
def _key_columns_differ(spec: "ApiSpec") -> Iterator[Problem]:
    if len(set(spec.keys)) != len(spec.keys):
        yield Problem(("primary_keys",), "names the same column twice; list each column once")


class ApiSpec(Spec):
    """How to copy from an HTTP API."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *Spec.rules,
        _days_in_order,
        _mapped_fields_have_types,
        _some_events,
        _key_columns_differ,
    )
    noun: ClassVar[str] = "api"
    name_key: ClassVar[str] = "api_name"

    api_name: Name = Field(description="name of the API job, and of its table at the destination")
    project_name: Name | None = Field(default=None, description="project or account at the API that is read")
    event_names: Events = Field(default="*", description="events to read: a list of names, or '*' for every event")
    start_day: Day | None = Field(default=None, description="first day to read, counted from the day of the run")
    end_day: Day | None = Field(default=None, description="last day to read, counted from the day of the run")
    fields: dict[Name, FieldType] = Field(default={}, description="datatypes of the columns, by column")
    api_to_field_mapping: dict[Name, Name] = Field(
        default={}, description="dotted path in the API's answer from which a column is filled, by column"
    )
    date_column: Name | None = Field(default=None, description="column that holds the day a row belongs to")
    primary_keys: Columns | None = Field(default=None, description="column, or list of columns, that identifies a row")
    bulk_data: Flag = Field(default=False, description="load through files in bulk instead of row by row")
    lob_fields: dict[Name, Annotated[Count, Field(ge=1)]] = Field(
        default={}, description="length of long text columns at a Redshift destination, by column"
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns, in order; empty when there are none."""
        return as_tuple(self.primary_keys)
