"""Collections for tests: builders of mappings that read one, and one run of it without the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.collection import Collection

from connectors.base import Options, RunReport, Source, Stream
from connectors.mapping import parse_mapping
from connectors.registry import create_source
from controlplane.sandbox import MongoServer
from tests.buckets import Bucket
from tests.builders import RunResult, bucket_keys, run_stream, server_keys
from tests.databases import PgDatabase

Document = dict[str, Any]


@dataclass
class Docs:
    """A collection of a test's own.

    Attributes:
        client: Connected.
        url: Of the server.
        db_name: Of the database.
        name: Of the collection.
    """

    client: MongoClient[Document]
    url: str
    db_name: str
    name: str = "orders"

    @property
    def collection(self) -> Collection[Document]:
        """The collection."""
        return self.client[self.db_name][self.name]

    def make(self) -> None:
        """Make it, empty."""
        self.client[self.db_name].create_collection(self.name)

    def set(self, key: Any, **fields: Any) -> None:
        """Change fields of one document, as a whole: the sandbox's server turns dates in $set to text."""
        found = self.collection.find_one({"_id": key})
        assert found is not None
        self.collection.replace_one({"_id": key}, found | fields)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The first server of the url."""
        parts = urlsplit(self.url)
        return parts.hostname or "localhost", parts.port or 27017

    def to_pgsql(self, database: PgDatabase, *specs: dict[str, Any], **target: Any) -> dict[str, Any]:
        """A mapping into schema `arrived` of a database."""
        keys = {"destination_type": "pgsql", "schema": "arrived", **server_keys(database), **target}
        return self.mapping(keys, *specs)

    def to_bucket(self, bucket: Bucket, *specs: dict[str, Any], **target: Any) -> dict[str, Any]:
        """A mapping into a bucket."""
        return self.mapping({"destination_type": "s3", **bucket_keys(bucket), **target}, *specs)

    def mapping(self, destination: dict[str, Any], *specs: dict[str, Any]) -> dict[str, Any]:
        """A mapping into that destination."""
        return {
            "source": {"source_type": "mongo", "url": self.url, "db_name": self.db_name},
            "destination": {"dest": destination},
            "collections": list(specs) or [make_collection(self.name)],
        }


def make_collection(name: str = "orders", **overrides: Any) -> dict[str, Any]:
    """A spec as the contract documents it: syncing by updated_at unless told otherwise."""
    spec: dict[str, Any] = {
        "collection_name": name,
        "cron": "self-managed",
        "mode": "syncing",
        "bookmark": "updated_at",
    }
    return {key: value for key, value in (spec | overrides).items() if value is not ...}


@contextmanager
def new_docs(server: MongoServer, db_name: str) -> Iterator[Docs]:
    """A collection that does not exist yet."""
    client = server.client()
    try:
        yield Docs(client, server.url, db_name)
    finally:
        client.close()


def stream_of(raw: dict[str, Any], **options: Any) -> Stream:
    """The stream of the only collection."""
    mapping = parse_mapping(raw)
    (spec,) = mapping.collections or ()
    limits = {"clock_margin_s": 0.0, "connect_timeout_s": 5, "commit_bytes": 1, **options}
    return Stream(
        f"test_DMS_{spec.name}_dest", "mongo", mapping.source.db_name, spec.target, spec, "UTC", Options(**limits)
    )


def run_collection(raw: dict[str, Any], *, stop_after: int | None = None, **options: Any) -> RunResult:
    """Run the only stream as the runner does, without recording anything.

    Args:
        raw: The mapping.
        stop_after: Leave off after so many commits, as a killed run does.
        **options: Of the run. The clock margin is 0 unless given, so that tests need not wait.
    """
    mapping = parse_mapping(raw)
    return run_stream(mapping, mapping.destination["dest"], stream_of(raw, **options), stop_after)


def source_of(raw: dict[str, Any], report: RunReport | None = None, **options: Any) -> Source:
    """The source of the only stream, not yet open."""
    return create_source(parse_mapping(raw).source, stream_of(raw, **options), report or RunReport())
