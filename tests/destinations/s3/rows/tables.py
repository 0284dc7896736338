"""One table in a bucket through the whole destination, with rows from memory, read back as a stranger would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.arrow.types import arrow_schema
from connectors.base import Chunk, Commit, CopyFormat, Options, Position, Prepared, RowStream, RunReport, Write
from connectors.destinations.s3.destination import S3Destination
from connectors.destinations.s3.manifest import Manifest
from connectors.destinations.s3.parts import Sizes
from connectors.types import Column, PgType, StreamSchema
from tests.buckets import Bucket
from tests.destinations.s3.store import Place
from tests.destinations.support import column, make_stream

ORDERS = StreamSchema((column("id", "bigint"), column("name")), key=("id",), key_is_unique=True)
#: Fetching more takes too long for what every test does at its end.
_FETCHED_PARTS = 100
#: Parts of 1,000 rows, so that a few thousand rows make many.
SMALL = Sizes(part_rows=1000, group_rows=300, run_bytes=20_000)


def schema_of(types: dict[str, str], key: Sequence[str] = ("id",), *, key_is_unique: bool = True) -> StreamSchema:
    """Columns by name and PostgreSQL type."""
    columns = tuple(Column(name, PgType(text), source_name=name) for name, text in types.items())
    return StreamSchema(columns, key=tuple(key), key_is_unique=key_is_unique)


class ArrowRows(RowStream):
    """Rows from memory, as they are."""

    def __init__(self, columns: Sequence[Column], batches: Sequence[pa.RecordBatch]) -> None:
        self.columns = tuple(columns)
        self.times_read = 0
        self._batches = batches

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        raise NotImplementedError

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        assert timezone
        self.times_read += 1
        yield from self._batches


@dataclass
class Done:
    """What a run told."""

    prepared: Prepared
    commits: list[Commit]
    report: RunReport

    @property
    def inserted(self) -> int:
        return sum(commit.inserted for commit in self.commits)

    @property
    def updated(self) -> int:
        return sum(commit.updated for commit in self.commits)


@dataclass
class Table:
    """A stream's table in a bucket; each `run` is a run of its own.

    Attributes:
        place: The bucket, as the destination reaches it.
        bucket: The same, as a stranger reads it.
        schema: Of the rows.
        sizes: Of parts.
        spec: Keys of the spec.
        options: Of the run.
        config: Keys of the destination.
        timezone: Of the settings.
    """

    place: Place
    bucket: Bucket
    schema: StreamSchema = ORDERS
    sizes: Sizes = field(default_factory=Sizes)
    spec: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=lambda: Options(connect_timeout_s=5))
    config: dict[str, Any] = field(default_factory=dict)
    timezone: str = "Asia/Kolkata"

    def destination(self, report: RunReport | None = None) -> S3Destination:
        """A new destination, not yet open."""
        stream = replace(make_stream(options=self.options, **self.spec), timezone=self.timezone)
        return S3Destination(self.place.config(**self.config), stream, report or RunReport(), self.sizes)

    def rows(self, *rows: Sequence[Any], columns: Sequence[str] | None = None, per_batch: int = 500) -> ArrowRows:
        """Rows as a chunk carries them."""
        names = list(columns or [each.name for each in self.schema.columns])
        chosen = [self.schema.column(name) for name in names]
        types = arrow_schema(chosen, "Asia/Kolkata")
        batches = [
            pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows[n : n + per_batch]], types)
            for n in range(0, len(rows), per_batch)
        ]
        return ArrowRows(chosen, batches)

    def chunk(
        self,
        rows: Sequence[Sequence[Any]],
        write: Write = Write.UPSERT,
        position: Position | None = None,
        *,
        first: bool | None = None,
        columns: Sequence[str] | None = None,
    ) -> Chunk:
        """A chunk of these rows."""
        is_first = write is Write.APPEND if first is None else first
        return Chunk(write, self.rows(*rows, columns=columns), position or {"n": 1}, is_first_copy=is_first)

    def run(self, *chunks: Chunk, finish: bool = True) -> Done:
        """A whole run with these chunks."""
        with self.opened() as (destination, prepared, report):
            commits = list(destination.write(iter(chunks)))
            if finish:
                destination.finish()
        return Done(prepared, commits, report)

    @contextmanager
    def opened(self) -> Iterator[tuple[S3Destination, Prepared, RunReport]]:
        """A destination that is ready for chunks."""
        report = RunReport()
        destination = self.destination(report)
        try:
            destination.open(epoch_floor=0)
            yield destination, destination.prepare(self.schema), report
        finally:
            destination.close()

    def copy(self, rows: Sequence[Sequence[Any]], **options: Any) -> Done:
        """A first copy of these rows."""
        return self.run(self.chunk(rows, Write.APPEND), **options)

    def upsert(self, rows: Sequence[Sequence[Any]], **options: Any) -> Done:
        """A run that upserts these rows."""
        return self.run(self.chunk(rows, **options))

    @property
    def parts(self) -> dict[str, str]:
        """Etags of the Parquet objects by key, relative to the prefix."""
        found = self.bucket.etags(self.place.prefix)
        return {key.removeprefix(self.place.prefix): etag for key, etag in found.items() if key.endswith(".parquet")}

    def content(self, columns: str = "*", order: str = "1") -> list[tuple[Any, ...]]:
        """All rows, read by DuckDB from the plain prefix."""
        if not self.parts:
            return []
        if columns == "*":
            columns = ", ".join('"' + each.name.replace('"', '""') + '"' for each in self.schema.columns)
        return self.bucket.query(self.place.prefix, f"SELECT {columns} FROM parts ORDER BY {order}")

    def arrow(self) -> pa.Table:
        """All rows, read by pyarrow from the plain prefix as one dataset; columns only from the files."""
        with self.bucket.fetched(self.place.prefix) as folder:
            files = sorted(folder.rglob("*.parquet"))
            return pa.concat_tables([pq.ParquetFile(file).read() for file in files])

    def manifest(self) -> Manifest:
        """The manifest as it is stored."""
        return Manifest.parse(self.bucket.get(f"{self.place.prefix}_dms/manifest.json"))

    def check(self) -> None:
        """The manifest and a plain listing tell of the same parts and rows, and nothing is left over."""
        manifest = self.manifest()
        assert {part.key: part.etag for part in manifest.parts} == self.parts
        if len(manifest.parts) < _FETCHED_PARTS:
            assert self.content("count(*)") == ([(manifest.row_count,)] if manifest.parts else [])
        assert not self.bucket.open_uploads(self.place.prefix)
        pending = json.loads(self.bucket.get(f"{self.place.prefix}_dms/pending.json"))
        assert pending["state"] in {"idle", "ready"}
