"""What the tests of the verbs share: a stream with both its ends, and a comparison of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command

from connectors.base import Destination, Options, RunReport, Source, Stream
from connectors.comparison import Comparison, Difference, compare
from connectors.mapping import TableSpec, parse_mapping
from connectors.registry import create_destination, create_source
from migrations_app import mapping_io, settings_io

#: The mapping's id under which `run_once` runs its streams.
MAPPING_ID = "test"
#: The stores' server. Verbs that record no run never ask it.
STORE = "mongodb://store.invalid"


@dataclass
class Ends:
    """One stream, its source open and its destination connected."""

    stream: Stream
    source: Source
    destination: Destination


@contextmanager
def ends_of(raw: dict[str, Any], *, table: int = 0, **options: Any) -> Iterator[Ends]:
    """Open both ends of the stream that `run_once` runs."""
    mapping = parse_mapping(raw)
    spec = mapping.specs[table]
    assert isinstance(spec, TableSpec)
    name, config = next(iter(mapping.destination.items()))
    stream = Stream(
        unique_id=f"test_DMS_{spec.table_name}_{name}",
        kind="sql",
        db_name=mapping.source.db_name,
        name=spec.target,
        spec=spec,
        options=Options(**{"clock_margin_s": 0.0, "writers_wait_s": 0.2, "connect_timeout_s": 5, **options}),
    )
    report = RunReport()
    source = create_source(mapping.source, stream, report)
    destination = create_destination(config, stream, report)
    try:
        source.open()
        destination.connect()
        yield Ends(stream, source, destination)
    finally:
        source.close()
        destination.close()


def compare_once(raw: dict[str, Any], *, table: int = 0, named_keys: int = 20) -> Comparison:
    """Compare both ends of a stream as they are now."""
    with ends_of(raw, table=table) as ends:
        schema = ends.source.describe()
        ours = ends.source.comparable(ends.destination.hash_form)
        assert ours is not None
        form = ends.destination.hash_form
        theirs = ends.destination.comparable(schema, ours.key, form, ends.source.snapshot_of)
        assert theirs is not None
        return compare(ours, theirs, schema, ends.stream.mode, named_keys=named_keys)


def named(comparison: Comparison) -> dict[tuple[str, ...], Difference]:
    """The differing keys that a comparison named."""
    return {each.key: each.difference for each in comparison.differing}


def register(raw: dict[str, Any], *, mapping_id: str = MAPPING_ID) -> None:
    """Put a mapping and the service settings into the control database."""
    stores = {"url": STORE, "db_name": "dms", "collection_name": "verbs"}
    settings_io.save_settings(settings_io.parse_settings({"encryption_store": stores, "dashboard_store": stores}))
    mapping_io.save_mapping(mapping_id, mapping_io.parse(raw))


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and how it ended."""

    code: int
    out: str
    error: str


def command(name: str, *arguments: str, mapping_id: str = MAPPING_ID) -> Outcome:
    """Run a command on the registered mapping."""
    out, error = StringIO(), StringIO()
    try:
        call_command(name, mapping_id, *arguments, stdout=out, stderr=error)
    except CommandError as refused:
        return Outcome(refused.returncode, out.getvalue(), f"{error.getvalue()}{refused}")
    except SystemExit as ended:
        return Outcome(int(ended.code or 0), out.getvalue(), error.getvalue())
    return Outcome(0, out.getvalue(), error.getvalue())
