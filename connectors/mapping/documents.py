"""CollectionSpec and TopicSpec: how to copy one MongoDB collection, one Kafka topic."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from connectors.mapping.base import Problem, Rule, rule
from connectors.mapping.enums import FieldType, Mode
from connectors.mapping.fields import Count, FunctionPath, Name
from connectors.mapping.specs import ModedSpec, Spec

Fields = dict[Name, FieldType]

_FIELDS = "datatypes by field: datetime, bool, int, float, complex (JSON text) or str; all other fields are text"


@rule("mode")
def _no_mirroring(spec: "CollectionSpec") -> Iterator[Problem]:
    if spec.mode is Mode.MIRRORING:
        message = "mirroring is not available for collections; use syncing, dumping or logging"
        yield Problem(("mode",), message)


class CollectionSpec(ModedSpec):
    """How to copy one collection of a MongoDB source."""

    rules: ClassVar[tuple[Rule, ...]] = (*ModedSpec.rules, _no_mirroring)
    noun: ClassVar[str] = "collection"
    name_key: ClassVar[str] = "collection_name"

    collection_name: Name = Field(description="name of the collection at the source")
    time_delay: Annotated[Count, Field(ge=0)] = Field(default=0, description="seconds to wait after each batch")
    fields: Fields = Field(default={}, description=_FIELDS)


class TopicSpec(Spec):
    """How to copy one topic of a Kafka source."""

    noun: ClassVar[str] = "topic"
    name_key: ClassVar[str] = "topic_name"

    topic_name: Name = Field(description="name of the topic at the source")
    fields: Fields = Field(default={}, description=_FIELDS)
    get_table_name: FunctionPath | None = Field(
        default=None, description="dotted name of the function that names the destination table of a record"
    )
    process_dict: FunctionPath | None = Field(
        default=None, description="dotted name of the function that changes a record before it is written"
    )
