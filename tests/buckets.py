"""A bucket of a test: make it, put objects, see what is in it, read it as a stranger would, remove it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from controlplane.sandbox import S3Server


@dataclass(frozen=True)
class Upload:
    """A multipart upload that is open."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Bucket:
    """One bucket on the shared server.

    Attributes:
        server: Where it lives: endpoint, key and region for a mapping's destination.
        name: The name of the bucket.
    """

    server: S3Server
    name: str

    @cached_property
    def client(self) -> Any:
        """A boto3 client that tries each request once."""
        return self.server.client()

    def put(self, key: str, body: bytes = b"x", **arguments: object) -> str:
        """Write an object and return its etag."""
        etag: str = self.client.put_object(Bucket=self.name, Key=key, Body=body, **arguments)["ETag"]
        return etag

    def get(self, key: str) -> bytes:
        """Read an object."""
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def head(self, key: str) -> dict[str, Any]:
        """Return what is known of an object: ETag, ContentLength, Metadata, ..."""
        found: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key)
        return found

    def delete(self, *keys: str) -> None:
        """Remove objects; one that is not there is no error."""
        for key in keys:
            self.client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        """List the keys that begin with `prefix`, in their order."""
        return sorted(self.etags(prefix))

    def etags(self, prefix: str = "") -> dict[str, str]:
        """Return the etag of every object whose key begins with `prefix`, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}

    def open_uploads(self, prefix: str = "") -> list[Upload]:
        """List the multipart uploads that are neither completed nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        return [Upload(each["Key"], each["UploadId"]) for page in pages for each in page.get("Uploads", [])]

    def query(
        self, prefix: str, sql: str, parameters: Sequence[object] = (), *, hive: bool = False
    ) -> list[tuple[Any, ...]]:
        """Ask DuckDB about every Parquet object under a prefix, as one who knows nothing of a manifest does.

        The objects are fetched by what a listing shows at this moment: DuckDB's own S3 reader is an extension
        that has to be downloaded.

        Args:
            prefix: Ends in `/`.
            sql: A query over the table `parts`, which has the columns of the files and `filename`.
            parameters: The values of the query's placeholders.
            hive: Take columns from the names of directories too, where the files have none of that name.
        """
        with self.fetched(prefix) as folder, duckdb.connect() as connection:
            pattern = f"{folder}/**/*.parquet"
            connection.read_parquet(pattern, hive_partitioning=hive, filename=True).create_view("parts")
            return connection.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def fetched(self, prefix: str) -> Iterator[Path]:
        """Yield a folder with a copy of the Parquet objects under a prefix that readers are meant to see."""
        with tempfile.TemporaryDirectory(prefix="dms-bucket-") as name:
            folder = Path(name)
            for key in self.visible_parts(prefix):
                path = folder / key.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get(key))
            yield folder

    def visible_parts(self, prefix: str) -> list[str]:
        """List the Parquet objects under a prefix that Athena, Hive and Spark see: no name begins with `_` or `.`."""
        return [
            key
            for key in self.keys(prefix)
            if key.endswith(".parquet")
            and not any(part.startswith(("_", ".")) for part in key.removeprefix(prefix).split("/"))
        ]


@contextmanager
def new_bucket(server: S3Server, purpose: str = "test") -> Iterator[Bucket]:
    """Yield a new empty bucket; empty and remove it at the end, open uploads included."""
    bucket = Bucket(server, f"{purpose}-{uuid.uuid4().hex[:12]}")
    bucket.client.create_bucket(Bucket=bucket.name)
    try:
        yield bucket
    finally:
        for upload in bucket.open_uploads():
            bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=upload.key, UploadId=upload.upload_id)
        bucket.delete(*bucket.keys())
        bucket.client.delete_bucket(Bucket=bucket.name)
        bucket.client.close()
