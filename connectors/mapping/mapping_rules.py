"""Rules that hold between the parts of a mapping: source, destinations and specs.

They look at drafts, parts of which may not have been readable, so that one mistake does not hide the next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.mapping import env
from connectors.mapping.base import Problem
from connectors.mapping.destination import PgsqlDestination, RedshiftDestination, S3Destination
from connectors.mapping.enums import Mode
from connectors.mapping.naming import destination_schema
from connectors.mapping.source import KafkaSource, PgsqlSource
from connectors.mapping.tables import EVERY_TABLE, TableSpec


@dataclass(frozen=True, slots=True)
class Draft:
    """A part of a mapping, as far as it could be read.

    Attributes:
        value: the model; it lacks the attributes named in `unknown`.
        unknown: attribute names whose values could not be read.
    """

    value: Any
    unknown: frozenset[str] = field(default=frozenset())

    def knows(self, *names: str) -> bool:
        """Whether these attributes could be read."""
        return not self.unknown.intersection(names)


@dataclass(frozen=True, slots=True)
class View:
    """The parts of a mapping that its rules look at.

    Attributes:
        source: the source; None when not even its type could be read.
        destinations: the destinations whose type could be read, by name.
        specs: the spec lists that are present, by key; None stands for an element that could not be read.
        extras: which of redis, get_table_name and process_dict are present.
    """

    source: Draft | None
    destinations: dict[str, Draft]
    specs: dict[str, list[Draft | None]]
    extras: frozenset[str]

    def known_specs(self, *names: str) -> Iterator[tuple[tuple[str, int], Any]]:
        """Every spec that fits the source and of which these attributes could be read, with its location."""
        key = self.source.value.source_type.specs_key if self.source else None
        for position, draft in enumerate(self.specs.get(key or "", [])):
            if draft is not None and draft.knows(*names):
                yield (key or "", position), draft.value

    def known_destinations(self, kind: type, *names: str) -> Iterator[tuple[str, Any]]:
        """Every destination of a kind of which these attributes could be read, with its name."""
        for name, draft in self.destinations.items():
            if isinstance(draft.value, kind) and draft.knows(*names):
                yield name, draft.value


def _specs_fit_the_source(view: View) -> Iterator[Problem]:
    if view.source is None:
        return
    source_type = view.source.value.source_type
    wanted = source_type.specs_key
    if wanted not in view.specs:
        yield Problem((wanted,), f"is required with source_type {source_type}: list what to copy")
    elif not view.specs[wanted]:
        yield Problem((wanted,), "is empty; list at least one thing to copy")
    for key in view.specs:
        if key != wanted:
            yield Problem((key,), f"does not go with source_type {source_type}; list what to copy under {wanted}")


def _extras_of_kafka(view: View) -> Iterator[Problem]:
    if view.source is None:
        return
    is_kafka = isinstance(view.source.value, KafkaSource)
    if is_kafka and "redis" not in view.extras:
        message = "is required with source_type kafka, to hold records until a batch is full; give url and password"
        yield Problem(("redis",), message)
    if not is_kafka:
        for key in sorted(view.extras):
            yield Problem((key,), "goes with source_type kafka only; leave it out")


def _no_mirroring_to_s3(view: View) -> Iterator[Problem]:
    names = [repr(name) for name, _ in view.known_destinations(S3Destination)]
    for loc, spec in view.known_specs("mode"):
        if names and isinstance(spec, TableSpec) and spec.mode is Mode.MIRRORING:
            message = (
                f"mirroring is not available for S3 (destination {', '.join(names)}), where rows cannot be"
                " deleted one by one; use syncing, or move this table to a mapping without an S3 destination"
            )
            yield Problem((*loc, "mode"), message)


def _names_differ(view: View) -> Iterator[Problem]:
    names: dict[str, str] = {}
    targets: dict[str, str] = {}
    for loc, spec in view.known_specs(_name_key(view)):
        here = f"{loc[0]}[{loc[1]}]"
        problem = (*loc, spec.name_key)
        if spec.name in names:
            yield Problem(problem, f"is the same as in {names[spec.name]}; give each {spec.noun} one spec only")
        elif spec.target in targets and spec.target != EVERY_TABLE:
            message = (
                f"arrives under the same name as {targets[spec.target]}, as the schema is left out at the"
                " destination; put one of them in another mapping with another destination schema"
            )
            yield Problem(problem, message)
        names.setdefault(spec.name, here)
        targets.setdefault(spec.target, here)


def _streams_differ(view: View) -> Iterator[Problem]:
    first: dict[str, tuple[str, str]] = {}
    for loc, spec in view.known_specs(_name_key(view)):
        for name in view.destinations:
            pair = (spec.name, name)
            other = first.setdefault(f"{spec.name}_{name}", pair)
            if other[1] != name:
                message = (
                    f"together with {loc[0]}[{loc[1]}] makes the same stream name as destination {other[1]!r}"
                    " with another spec; rename this destination"
                )
                yield Problem(("destination", name), message)


def _name_key(view: View) -> str:
    key = view.source.value.source_type.specs_key if view.source else ""
    return next((draft.value.name_key for draft in view.specs.get(key, []) if draft is not None), "")


def _destinations_differ(view: View) -> Iterator[Problem]:
    first: dict[tuple[object, ...], str] = {}
    for name, place in _places(view):
        other = first.setdefault(place, name)
        if other != name:
            message = (
                f"writes to the same place as destination {other!r};"
                " remove one of them, or give it another schema or suffix"
            )
            yield Problem(("destination", name), message)


def _places(view: View) -> Iterator[tuple[str, tuple[object, ...]]]:
    for name, each in view.known_destinations(S3Destination, "endpoint_url", "s3_bucket_name", "s3_suffix"):
        yield name, ("s3", each.endpoint_url, each.s3_bucket_name, each.s3_suffix)
    for name, each in view.known_destinations(RedshiftDestination, "host", "port", "database", "schema_name"):
        yield name, ("redshift", each.host, each.port, each.database, each.schema_name)
    for name, each in view.known_destinations(PgsqlDestination, "url", "port", "db_name", "schema_name"):
        yield name, ("pgsql", *_server(each), each.db_name, each.schema_name)


def _server(server: PgsqlSource | PgsqlDestination) -> tuple[str, int | None]:
    if env.is_reference(server.url):
        return server.url, server.port
    return server.host.lower(), server.tcp_port


def _default_schemas_fit(view: View) -> Iterator[Problem]:
    if view.source is None or not view.source.knows("db_name"):
        return
    source = view.source.value
    for kind in (PgsqlDestination, RedshiftDestination):
        for name, each in view.known_destinations(kind, "schema_name"):
            try:
                destination_schema(source.kind, source.db_name, each)
            except ValueError as error:
                yield Problem(("destination", name, "schema"), str(error))


def _source_is_not_overwritten(view: View) -> Iterator[Problem]:
    if view.source is None or not isinstance(view.source.value, PgsqlSource):
        return
    if not view.source.knows("url", "port", "db_name"):
        return
    source = view.source.value
    for name, each in view.known_destinations(PgsqlDestination, "url", "port", "db_name", "schema_name"):
        if (*_server(source), source.db_name) != (*_server(each), each.db_name):
            continue
        for (key, position), spec in view.known_specs("table_name"):
            schema = spec.table_name.rpartition(".")[0] or "public"
            if each.schema_name == schema:
                message = (
                    f"is the schema that {key}[{position}] is read from, in the same database, so the source"
                    " would be overwritten; name another schema, or leave it out"
                )
                yield Problem(("destination", name, "schema"), message)
                break


_RULES: tuple[Callable[[View], Iterator[Problem]], ...] = (
    _specs_fit_the_source,
    _extras_of_kafka,
    _destinations_differ,
    _default_schemas_fit,
    _source_is_not_overwritten,
    _streams_differ,
    _names_differ,
    _no_mirroring_to_s3,
)


def mapping_problems(view: View) -> Iterator[Problem]:
    """Run every rule between the parts of a mapping."""
    for check in _RULES:
        yield from check(view)
