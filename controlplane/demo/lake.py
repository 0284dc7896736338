"""The demo's bucket, read as one does who knows nothing of this service: every Parquet file under a prefix."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from controlplane.sandbox import S3Server

LAKE = "shop-lake"
_NEWEST = "migration_snapshot_date = (SELECT max(migration_snapshot_date) FROM files)"


@dataclass(frozen=True)
class Found:
    """What lies under the prefix of one table.

    Attributes:
        prefix: Where, in the bucket.
        files: Parquet files that a reader of the prefix sees.
        byte_count: Their size.
        rows: In all of them.
        current_rows: Of a dump those of the newest snapshot, else all.
        key_count: Different keys in all rows; None for a table without a key.
    """

    prefix: str
    files: int
    byte_count: int
    rows: int
    current_rows: int
    key_count: int | None

    def confirms(self, rows: int) -> bool:
        """Whether a table of so many rows was found, each key once."""
        return self.current_rows == rows and self.key_count in {None, self.rows}


def make_empty(server: S3Server) -> None:
    """Make the bucket, or remove whatever an earlier demo left in it."""
    with closing(server.client()) as client:
        if not any(each["Name"] == LAKE for each in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket=LAKE)
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=LAKE):
            for left in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=LAKE, Key=left["Key"], UploadId=left["UploadId"])
        for key in _sizes(client, ""):
            client.delete_object(Bucket=LAKE, Key=key)


def look_into(server: S3Server, prefix: str, key: Sequence[str]) -> Found:
    """Fetch the Parquet files under a prefix and count with DuckDB.

    DuckDB could read the bucket itself, by an extension that it downloads; the demo needs no network.

    Args:
        server: With the bucket.
        prefix: Ends in `/`.
        key: Columns of the table's key, none for a table without one.
    """
    with closing(server.client()) as client, tempfile.TemporaryDirectory(prefix="dms-lake-") as name:
        # As Athena, Hive and Spark do: what begins with _ or . is not data.
        sizes = {
            path: size
            for path, size in _sizes(client, prefix).items()
            if path.endswith(".parquet") and not any(part[0] in "_." for part in path.removeprefix(prefix).split("/"))
        }
        if not sizes:
            return Found(prefix, 0, 0, 0, 0, None)
        for path in sizes:
            local = Path(name, path.removeprefix(prefix))
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(client.get_object(Bucket=LAKE, Key=path)["Body"].read())
        return Found(prefix, len(sizes), sum(sizes.values()), *_count(name, key))


def _count(folder: str, key: Sequence[str]) -> tuple[int, int, int | None]:
    """Rows, current rows and different keys."""
    with duckdb.connect() as connection:
        files = connection.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)
        files.create_view("files")
        is_dump = "migration_snapshot_date" in files.columns
        current = f"count(*) FILTER (WHERE {_NEWEST})" if is_dump else "count(*)"
        keys = f"count(DISTINCT ({', '.join(_quoted(column) for column in key)}))" if key else "NULL"
        # No value in it: columns that are quoted, and our own words.
        (counts,) = connection.execute(f"SELECT count(*), {current}, {keys} FROM files").fetchall()  # noqa: S608
        return counts


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sizes(client: Any, prefix: str) -> dict[str, int]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=LAKE, Prefix=prefix)
    return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}
