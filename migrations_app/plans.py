"""Plans: a mapping resolved for one run. What cannot work is refused here, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from connectors import mapping as contract
from connectors import registry
from connectors.base import Destination, Options, RunReport, Source, Stream
from migrations_app import mapping_io
from migrations_app.models import Mapping
from migrations_app.models import Stream as StreamRow
from migrations_app.settings_io import resolved_settings
from migrations_app.streams import ensure_stream


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream, ready to run: secrets resolved, everything validated, no database rows in it.

    Attributes:
        mapping_id: The mapping.
        stream: What the connectors need to know of the stream.
        destination_name: The destination's name in the mapping.
        source_config, destination_config: Where to connect; hold secrets.
        service: The service settings.
    """

    mapping_id: str
    stream: Stream
    destination_name: str
    source_config: contract.Source
    destination_config: contract.Destination
    service: contract.ServiceSettings

    def source(self, report: RunReport) -> Source:
        """The source, not yet open."""
        return registry.create_source(self.source_config, self.stream, report)

    def destination(self, report: RunReport) -> Destination:
        """The destination, not yet open."""
        return registry.create_destination(self.destination_config, self.stream, report)

    def for_run(self, run_id: str, allow_deletes: int | None) -> Plan:
        """The plan under the id of its run, with the deletions that somebody approved for it."""
        options = replace(self.stream.options, allow_deletes=allow_deletes)
        return replace(self, stream=replace(self.stream, run_id=run_id, options=options))

    def snapshot(self) -> dict[str, Any]:
        """What the run's row keeps of the plan: no secret, no reference resolved."""
        spec = self.stream.spec
        return {
            "mode": self.stream.mode.value,
            "source_type": self.source_config.source_type.value,
            "destination_type": self.destination_config.destination_type.value,
            "timezone": self.stream.timezone,
            "spec": spec.model_dump(mode="json", exclude_defaults=True),
        }


def build(mapping_id: str, *, table: str | None = None, destination: str | None = None) -> list[Plan]:
    """The plans of a mapping's streams, in the order of the mapping.

    Args:
        mapping_id: Which mapping.
        table: Only the stream of this table (collection, topic, API), as the mapping names it.
        destination: Only the streams to this destination.

    Raises:
        MappingError: The mapping or the settings are wrong or missing, or a selection names nothing.
        ConnectorError: A connector is missing, or a source that "*" needs could not be asked.
    """
    row = Mapping.objects.filter(pk=mapping_id).first()
    if row is None:
        known = ", ".join(Mapping.objects.order_by("pk").values_list("pk", flat=True)[:20])
        message = f"there is no mapping {mapping_id}; known are: {known or 'none, import one with import_mapping'}"
        raise contract.MappingError([contract.Issue((), message)])
    service = resolved_settings()
    plans = build_document(mapping_id, mapping_io.load_contract(row), service, table=table, destination=destination)
    for plan in plans:
        ensure_stream(row, plan.stream.spec.noun, plan.stream.spec.name, plan.destination_name)
    return plans


def build_document(
    mapping_id: str,
    document: contract.Mapping,
    service: contract.ServiceSettings,
    *,
    table: str | None = None,
    destination: str | None = None,
) -> list[Plan]:
    """The plans of a mapping that need not be stored. Writes nothing, and takes no notice of what is.

    Args:
        mapping_id: What it is, or would be, called.
        document: As it is written, references unresolved.
        service: The service settings.
        table: See `build`.
        destination: See `build`.

    Raises:
        MappingError: A reference leads nowhere, or a selection names nothing.
        ConnectorError: See `build`.
    """
    resolved = mapping_io.resolved(_chosen(document, destination))
    plans = [
        _plan(mapping_id, resolved, service, spec, name)
        for name in resolved.destination
        if destination in {None, name}
        for spec in _expanded(mapping_id, resolved, table)
    ]
    if not plans and resolved.destination:
        chosen = [f"--{word} {name}" for word, name in (("table", table), ("destination", destination)) if name]
        message = f"no stream of the mapping matches {' '.join(chosen)}; see export_mapping {mapping_id}"
        if not chosen:
            message = "the source shows no table that `*` stands for; check `db_name`, `exclude_tables` and rights"
        raise contract.MappingError([contract.Issue((), message)])
    return plans


def _chosen(document: contract.Mapping, destination: str | None) -> contract.Mapping:
    """The mapping to one destination alone: a variable that another one lacks is not its business."""
    if destination not in document.destination:
        return document
    return document.model_copy(update={"destination": {destination: document.destination[destination]}})


def stream_row(plan: Plan) -> StreamRow:
    """The stream's row in the control database."""
    return StreamRow.objects.get(unique_id=plan.stream.unique_id)


def _plan(
    mapping_id: str,
    resolved: contract.Mapping,
    service: contract.ServiceSettings,
    spec: contract.AnySpec,
    destination_name: str,
) -> Plan:
    config = resolved.destination[destination_name]
    options = Options(**settings.DMS_OPTIONS, keepalive=service.keepalive_kwargs)
    if service.clock_margin_s is not None:
        options = replace(options, clock_margin_s=service.clock_margin_s)
    if isinstance(spec, contract.TableSpec) and spec.max_delete_fraction is not None:
        options = replace(options, max_delete_fraction=spec.max_delete_fraction)
    stream = Stream(
        unique_id=contract.unique_id(mapping_id, spec.name, destination_name),
        kind=resolved.source.kind,
        db_name=resolved.source.db_name,
        name=spec.target,
        spec=spec,
        timezone=service.timezone,
        options=options,
    )
    plan = Plan(mapping_id, stream, destination_name, resolved.source, config, service)
    # Creating the two says at once when no connector serves their type.
    plan.source(RunReport())
    plan.destination(RunReport())
    return plan


def _expanded(mapping_id: str, resolved: contract.Mapping, only: str | None) -> Iterator[contract.AnySpec]:
    """The specs, with one for each table in place of "*"; a table with a spec of its own keeps that."""
    named = {spec.name for spec in resolved.specs if spec.name != contract.EVERY_TABLE}
    for spec in resolved.specs:
        if not isinstance(spec, contract.TableSpec) or not spec.is_every_table:
            if only in {None, spec.name}:
                yield spec
            continue
        tables = registry.list_tables(resolved.source, f"{mapping_id}_DMS_{contract.EVERY_TABLE}")
        found = [
            spec.model_copy(update={"table_name": name, "exclude_tables": ()})
            for name in tables
            if not _is_among(name, named) and not _is_among(name, spec.excluded)
        ]
        _refuse_collisions(found)
        yield from (each for each in found if only in {None, each.name})


def _is_among(name: str, names: object) -> bool:
    """``public.orders`` is also called ``orders``."""
    listed = set(names)  # type: ignore[call-overload]  # a set or tuple of names
    return name in listed or name.removeprefix("public.") in listed or f"public.{name}" in listed


def _refuse_collisions(specs: list[contract.TableSpec]) -> None:
    """Tables of one name from several schemas would arrive in one table."""
    by_target: dict[str, list[str]] = {}
    for spec in specs:
        by_target.setdefault(spec.target, []).append(spec.name)
    issues = [
        contract.Issue(
            ("tables", contract.EVERY_TABLE),
            f"tables {' and '.join(names)} would both arrive as {target}; put all but one into `exclude_tables`, and"
            " copy those with a mapping of their own to another schema",
        )
        for target, names in by_target.items()
        if len(names) > 1
    ]
    if issues:
        raise contract.MappingError(issues)
