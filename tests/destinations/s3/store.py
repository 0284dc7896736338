"""Tables of arbitrary bytes in a bucket: what the tests of the commit protocol write, and how they look at it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from pydantic import SecretStr

from connectors.base import Options, RunReport, Stream
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest, NewPart, Part
from connectors.destinations.s3.opening import TableState
from connectors.destinations.s3.publication import Publication
from connectors.mapping import S3Destination as Config
from tests.destinations.support import make_stream

OPTIONS = Options(connect_timeout_s=2, statement_timeout_s=5)
#: What a table holds before the set that the tests disturb, and after it.
BEFORE = {"x=1/a.parquet": b"a1", "x=1/b.parquet": b"b1", "c.parquet": b"c1"}
AFTER = {"x=1/a.parquet": b"a2", "x=1/b.parquet": b"b2", "x=2/d.parquet": b"d2"}
#: Steps of those tests that disturb a set at each of its requests in turn: every one when asked for, else some.
SWEEPS = [pytest.param(1, marks=pytest.mark.stress), 4]


@dataclass(frozen=True)
class Place:
    """Where a table lies: a bucket that it shares with others, how to reach that, and the suffix of its own name."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str
    suffix: str

    @property
    def prefix(self) -> str:
        """Of the table."""
        return f"sql/shop/orders{self.suffix}/"

    def config(self, **overrides: Any) -> Config:
        """The bucket as a mapping names it."""
        keys: Mapping[str, Any] = {
            "destination_type": "s3",
            "s3_bucket_name": self.bucket,
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "s3_suffix": self.suffix,
            "access_key_id": SecretStr(self.access_key_id),
            "secret_access_key": SecretStr(self.secret_access_key),
        }
        return Config.model_validate({**keys, **overrides})

    @cached_property
    def client(self) -> Any:
        """A client that shares nothing with the code under test."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=ClientConfig(s3={"addressing_style": "path"}),
        )

    def keys(self) -> list[str]:
        """All keys of the table, relative to its prefix, its state included."""
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix).get("Contents", [])
        return [each["Key"].removeprefix(self.prefix) for each in found]

    def get(self, key: str, **condition: str) -> bytes:
        """An object of the table."""
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **condition)["Body"].read()
        return body

    def put(self, key: str, body: bytes) -> None:
        """Write an object of the table behind its back."""
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body)

    def delete(self, key: str) -> None:
        """Delete an object of the table behind its back."""
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def etag(self, key: str) -> str:
        """What the store calls an object's content."""
        return str(self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)["ETag"])

    def content(self) -> dict[str, bytes]:
        """What anybody who reads the prefix finds."""
        return {key: self.get(key) for key in self.keys() if not key.startswith("_dms/")}

    def open_uploads(self) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        return sorted(each["Key"].removeprefix(self.prefix) for each in self._uploads())

    def abort_uploads(self) -> None:
        """Abort them behind the table's back."""
        for each in self._uploads():
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"])

    def _uploads(self) -> list[dict[str, Any]]:
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix)
        return list(found.get("Uploads", []))


@dataclass
class Shelf:
    """One table's place, and everything opened there."""

    place: Place
    directory: Path
    tables: list[TableState] = field(default_factory=list)

    def table(
        self,
        unique_id: str = "shop_DMS_orders_main",
        *,
        options: Options = OPTIONS,
        place: Place | None = None,
        report: RunReport | None = None,
        **config: Any,
    ) -> TableState:
        """A table that is connected."""
        stream: Stream = make_stream(unique_id=unique_id, options=options)
        table = TableState((place or self.place).config(**config), stream, report or RunReport())
        self.tables.append(table)
        table.connect()
        return table

    def opened(self, unique_id: str = "shop_DMS_orders_main", **options: Any) -> TableState:
        """A table that is open."""
        table = self.table(unique_id, **options)
        table.open(0)
        return table

    def file(self, body: bytes) -> Path:
        """A local file."""
        path = self.directory / f"{os.getpid()}-{threading.get_ident()}-{os.urandom(6).hex()}"
        path.write_bytes(body)
        return path

    @staticmethod
    def new(key: str, rows: int) -> NewPart:
        """A part that is nothing but its key and number of rows."""
        return NewPart(key, rows)

    @staticmethod
    def wait_until_gone(path: Path) -> None:
        """Wait until a file was uploaded."""
        deadline = time.monotonic() + 20
        while path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def fill(self, table: TableState, content: Mapping[str, bytes], position: int) -> None:
        """Make the table hold exactly this, by one set."""
        with table.publish() as publication:
            change_to(publication, table, content, self.file)
            publication.commit(position={"n": position})

    def by_manifest(self) -> tuple[dict[str, bytes], Any]:
        """What the manifest says that there is, read by the etags that it names, and its position."""
        manifest = Manifest.parse(self.place.get(MANIFEST_KEY))
        return {part.key: self.place.get(part.key, IfMatch=part.etag) for part in manifest.parts}, manifest.position

    def assert_holds(self, content: Mapping[str, bytes], position: Any) -> None:
        """By prefix and by manifest the table is this, and nothing is left over."""
        assert self.place.content() == content
        assert self.by_manifest() == (content, position)
        assert self.place.open_uploads() == []

    def close(self) -> None:
        """Close all tables."""
        for table in self.tables:
            table.close()
        if "client" in vars(self.place):
            self.place.client.close()


def change_to(
    publication: Publication, table: TableState, content: Mapping[str, bytes], file: Callable[[bytes], Path]
) -> None:
    """Have a set make the table hold exactly this: parts are added, replaced and removed."""
    held = {part.key: part for part in table.manifest.parts}
    for key, body in content.items():
        # The first part of a set takes rows that another one loses.
        is_first = key == next(iter(content))
        publication.add(file(body), NewPart(key, len(body)), replaces=held.get(key), gains_moved_rows=is_first)
    for key, part in held.items():
        if key not in content:
            publication.remove(part)


@contextmanager
def shelf(place: Place, directory: Path) -> Iterator[Shelf]:
    """A shelf whose tables are closed at the end."""
    made = Shelf(place, directory)
    try:
        yield made
    finally:
        made.close()


def part_of(table: TableState, key: str) -> Part:
    """The part of that key."""
    (part,) = (part for part in table.manifest.parts if part.key == key)
    return part
