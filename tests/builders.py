"""Builders of mappings and streams for tests, and one run of a stream without the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors import faults
from connectors.base import Commit, Options, ReadRequest, RunReport, Stream
from connectors.faults import InjectedFault
from connectors.mapping import Destination, Mapping, parse_mapping
from connectors.registry import create_destination, create_source
from tests.buckets import Bucket
from tests.databases import PgDatabase


def make_table(name: str = "orders", **overrides: Any) -> dict[str, Any]:
    """A table spec as the contract documents it: syncing by id and updated_at unless told otherwise."""
    spec: dict[str, Any] = {
        "table_name": name,
        "cron": "self-managed",
        "mode": "syncing",
        "primary_key": "id",
        "primary_key_datatype": "int",
        "bookmark": "updated_at",
    }
    spec |= overrides
    return {key: value for key, value in spec.items() if value is not ...}


def make_mapping(source: PgDatabase, destination: PgDatabase, *tables: dict[str, Any], **target: Any) -> dict[str, Any]:
    """A mapping from one database to schema `arrived` of another."""
    return {
        "source": {"source_type": "pgsql", **server_keys(source)},
        "destination": {
            "dest": {"destination_type": "pgsql", "schema": "arrived", **server_keys(destination), **target}
        },
        "tables": list(tables),
    }


def make_bucket_mapping(source: PgDatabase, bucket: Bucket, *tables: dict[str, Any], **target: Any) -> dict[str, Any]:
    """A mapping from a database to a bucket."""
    return {
        "source": {"source_type": "pgsql", **server_keys(source)},
        "destination": {"dest": {"destination_type": "s3", **bucket_keys(bucket), **target}},
        "tables": list(tables),
    }


def bucket_keys(bucket: Bucket) -> dict[str, Any]:
    """The keys of a destination that say where a bucket is."""
    server = bucket.server
    return {
        "s3_bucket_name": bucket.name,
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key_id,
        "secret_access_key": server.secret_access_key,
    }


def server_keys(database: PgDatabase) -> dict[str, Any]:
    """The connection keys of a database."""
    server = database.server
    return {
        "url": server.host,
        "port": server.port,
        "db_name": database.name,
        "username": server.user,
        "password": server.password,
    }


@dataclass
class RunResult:
    """What one run did."""

    commits: list[Commit] = field(default_factory=list)
    report: RunReport = field(default_factory=RunReport)

    @property
    def inserted(self) -> int:
        return sum(commit.inserted for commit in self.commits)

    @property
    def updated(self) -> int:
        return sum(commit.updated for commit in self.commits)

    @property
    def deleted(self) -> int:
        return sum(commit.deleted for commit in self.commits)

    @property
    def read(self) -> int:
        return sum(commit.read for commit in self.commits)


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    """What is done inside dies at a fault point, and none is armed afterwards."""
    faults.configure(point)
    try:
        with pytest.raises(InjectedFault):
            yield
    finally:
        faults.configure("")


def run_once(raw: dict[str, Any], *, table: int = 0, stop_after: int | None = None, **options: Any) -> RunResult:
    """Run the first destination's stream of one table, as the runner does, without recording anything.

    Args:
        raw: The mapping.
        table: Which of its tables.
        stop_after: Leave off after so many commits, as a killed run does.
        **options: Of the run. The clock margin is 0 unless given, so that tests need not wait.
    """
    mapping: Mapping = parse_mapping(raw)
    spec = (mapping.tables or ())[table]
    name, config = next(iter(mapping.destination.items()))
    stream = Stream(
        unique_id=f"test_DMS_{spec.table_name}_{name}",
        kind="sql",
        db_name=mapping.source.db_name,
        name=spec.target,
        spec=spec,
        options=Options(**{"clock_margin_s": 0.0, "writers_wait_s": 0.2, "connect_timeout_s": 5, **options}),
    )
    return run_stream(mapping, config, stream, stop_after)


def run_stream(mapping: Mapping, config: Destination, stream: Stream, stop_after: int | None = None) -> RunResult:
    """Run a stream of a mapping to one of its destinations, or leave off after so many commits."""
    result = RunResult()
    source = create_source(mapping.source, stream, result.report)
    destination = create_destination(config, stream, result.report)
    try:
        source.open()
        resume = destination.open(epoch_floor=0)
        prepared = destination.prepare(source.describe(resume.position))
        chunks = source.read(ReadRequest(resume.position, prepared, destination))
        for commit in destination.write(chunks):
            result.commits.append(commit)
            if stop_after is not None and len(result.commits) >= stop_after:
                return result
        destination.finish()
    finally:
        source.close()
        destination.close()
    return result
