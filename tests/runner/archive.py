"""A small collection, mappings of it into a table and into a bucket, and whether what arrived equals it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from connectors.mapping import Mode
from controlplane.sandbox import MongoServer, PostgresServer, S3Server
from tests.buckets import Bucket, new_bucket
from tests.collections import Docs, make_collection, new_docs
from tests.databases import PgDatabase, new_database
from tests.runner.plane import Command, Plane, Warm

Row = tuple[Any, ...]
ROWS = 60
_LONG_AGO = datetime.now(UTC) - timedelta(days=9)
_SNAPSHOT = "migration_snapshot_date"


@dataclass(frozen=True)
class Archive:
    """Collection, destination and control plane of a test.

    Attributes:
        mapping_id: The mapping's, and the name of its collection.
        kind: Of the destination: pgsql or s3.
    """

    docs: Docs
    database: PgDatabase
    bucket: Bucket
    plane: Plane
    mapping_id: str = "archive"
    kind: str = "pgsql"

    def of(self, kind: str, mode: Mode) -> Archive:
        """The same with the mapping of that destination and mode."""
        name = f"{kind}_{mode}"
        return replace(self, mapping_id=name, kind=kind, docs=replace(self.docs, name=name))

    def use(self, mode: Mode, **overrides: Any) -> None:
        """Import the mapping."""
        bookmark = {} if mode is Mode.SYNCING else {"bookmark": ...}
        fields = {"amount": "float", "number": "int"}
        spec = make_collection(self.mapping_id, mode=str(mode), batch_size=10, fields=fields, **bookmark, **overrides)
        if self.kind == "pgsql":
            raw = self.docs.to_pgsql(self.database, spec)
        else:
            raw = self.docs.to_bucket(self.bucket, spec)
        self.plane.import_mapping(self.mapping_id, raw)

    def renew(self) -> None:
        """A collection as new, and nothing at the destination, which means a full copy."""
        self.docs.collection.drop()
        self.insert(ROWS, at=_LONG_AGO)
        if self.kind == "pgsql":
            self.database.execute(f'DROP TABLE IF EXISTS arrived."{self.mapping_id}"')
        else:
            self.bucket.delete(*self.bucket.keys(self.prefix))

    def insert(self, count: int = 20, *, at: datetime | None = None) -> None:
        """Documents come, some with other fields than those before."""
        moment = at or datetime.now(UTC)
        first = ObjectId() if at is None else ObjectId.from_datetime(at)
        start = int.from_bytes(first.binary[4:], "big")
        found = [
            {
                "_id": ObjectId(first.binary[:4] + ((start + number) % 2**64).to_bytes(8, "big")),
                "name": f"document {number}",
                "amount": number * 1.5,
                "number": number,
                "updated_at": moment,
            }
            for number in range(count)
        ]
        self.docs.collection.insert_many(found)

    def change(self) -> None:
        """Documents change."""
        for found in list(self.docs.collection.find({"number": {"$lt": 7}})):
            self.docs.set(found["_id"], name=f"{found['name']}!", updated_at=datetime.now(UTC))

    def migrate(self, **settings: Any) -> Command:
        """`manage.py run_migration` of the mapping, to its end."""
        return self.plane.run("run_migration", self.mapping_id, **settings)

    def start(self, **settings: Any) -> Command:
        return self.plane.start("run_migration", self.mapping_id, **settings)

    @property
    def prefix(self) -> str:
        """Of everything that belongs to the table in the bucket."""
        return f"mongo/{self.docs.db_name}/{self.mapping_id}/"

    def expected(self) -> list[Row]:
        """What the collection holds."""
        return sorted(
            (str(each["_id"]), each["name"], each["amount"], each["number"]) for each in self.docs.collection.find()
        )

    def arrived(self, columns: str = "_id, name, amount, number") -> list[Row]:
        """What the destination holds."""
        if self.kind == "s3":
            if not self.bucket.visible_parts(self.prefix):
                return []
            return self.bucket.query(self.prefix, f"SELECT {columns} FROM parts ORDER BY ALL")
        if self.database.value(f"SELECT to_regclass('arrived.\"{self.mapping_id}\"') IS NULL"):
            return []
        return self.database.rows(f'SELECT {columns} FROM arrived."{self.mapping_id}" ORDER BY 1, 2')

    def snapshots(self) -> list[list[Row]]:
        """What each snapshot of a dump holds, the oldest first."""
        found: dict[Any, list[Row]] = {}
        for moment, *row in self.arrived(f"{_SNAPSHOT}, _id, name, amount, number"):
            found.setdefault(moment, []).append(tuple(row))
        return [sorted(found[moment]) for moment in sorted(found)]

    def assert_equal(self) -> None:
        """The destination holds what the collection holds, and no upload is left open."""
        assert self.arrived() == self.expected()
        assert self.kind == "pgsql" or self.bucket.open_uploads(self.prefix) == []


@contextmanager
def new_archive(
    warm: Warm, directory: Path, mongo: MongoServer, db_name: str, postgres: PostgresServer, s3: S3Server
) -> Iterator[Archive]:
    """An empty database of collections, empty destinations and a control plane. Each chunk is a commit."""
    plane = Plane(warm, directory)
    plane.options |= {"commit_bytes": 1, "chunk_bytes": 1500, "spool_dir": str(directory)}
    with new_docs(mongo, db_name) as docs, new_database(postgres, "archive") as database, new_bucket(s3) as bucket:
        try:
            yield Archive(docs, database, bucket, plane)
        finally:
            plane.end()
            docs.client.drop_database(db_name)
