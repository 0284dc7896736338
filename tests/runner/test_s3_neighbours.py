"""What else lies in a bucket is neither touched nor listed, whatever its name has in common with a table's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import Warm
from tests.s3_faults import S3Proxy

pytestmark = pytest.mark.slow

#: Operations that name a prefix: of objects, and of uploads.
_LISTINGS = {"ListObjectsV2", "ListObjects"}
_UPLOADS = {"ListMultipartUploads", "ListParts"}
#: Operations on objects, which name one key.
_OBJECTS = {
    "GetObject",
    "HeadObject",
    "PutObject",
    "DeleteObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
}


@pytest.fixture
def lake(warm: Warm, tmp_path: Path, postgres: PostgresServer, s3: S3Server) -> Iterator[Lake]:
    """A lake whose bucket is full of neighbours, one of which is being uploaded."""
    with new_lake(warm, tmp_path, postgres, s3) as made:
        path = made.prefix.rstrip("/")
        for key in (
            f"{path}_items/part-000001-000001-00001.parquet",
            f"{path}_items/_dms/manifest.json",
            f"{path}2/part-000001-000001-00001.parquet",
            f"{path}_suffix/placed=1/x.parquet",
            f"{path}.parquet",
            path,
            f"sql/{made.source.name}/orders/part-1.parquet",
            f"sql/{made.source.name}/other/x",
            f"{made.prefix.swapcase()}x",
            "part-000001-000001-00001.parquet",
            "_dms/manifest.json",
            "_dms/pending.json",
        ):
            made.bucket.put(key, key.encode())
        made.bucket.client.create_multipart_upload(Bucket=made.bucket.name, Key=f"{path}_items/upload.parquet")
        yield made


def _assert_kept_to_itself(lake: Lake, proxy: S3Proxy) -> None:
    """No request was about anything outside of the table's prefix, and no listing of less than all of it."""
    requests = proxy.seen()
    assert {each.operation for each in requests} <= _LISTINGS | _UPLOADS | _OBJECTS
    for each in requests:
        assert each.bucket == lake.bucket.name
        if each.operation in _OBJECTS | {"ListParts"}:
            assert each.key.startswith(lake.prefix)
        else:
            assert each.query["prefix"].startswith(lake.prefix)


def _foreign(lake: Lake) -> dict[str, str]:
    return {key: etag for key, etag in lake.bucket.etags().items() if not key.startswith(lake.prefix)}


def _assert_untouched(lake: Lake, before: dict[str, str]) -> None:
    assert _foreign(lake) == before
    assert [each.key for each in lake.bucket.open_uploads()] == [f"{lake.prefix.rstrip('/')}_items/upload.parquet"]


def test_syncing_compacting_and_verifying_keep_to_the_prefix(lake: Lake, s3_proxy: S3Proxy) -> None:
    before = _foreign(lake)
    # So many chunks, each a commit, that the run ends with a compaction.
    lake.add_table(rows=1200)
    lake.use(lake_table(Mode.SYNCING, lake.name), endpoint_url=s3_proxy.server.endpoint_url)

    assert lake.migrate().code == 0
    assert len(lake.manifest()["parts"]) < 16
    lake.insert()
    lake.update()
    # Killed with uploads that the next run has to find.
    assert lake.migrate(fault="before_upload=exit").code == 137
    assert lake.migrate().code == 0
    lake.plane.check("verify_migration", lake.mapping_id)
    lake.plane.check("compact", lake.mapping_id)
    lake.plane.check("manifest", lake.mapping_id, "--check")
    lake.plane.check("run_migration", lake.mapping_id, "--dry-run")

    _assert_kept_to_itself(lake, s3_proxy)
    assert s3_proxy.seen("ListObjectsV2")
    assert s3_proxy.seen("DeleteObject")
    assert s3_proxy.seen("ListMultipartUploads")
    lake.assert_equal()
    _assert_untouched(lake, before)


def test_following_lists_no_objects(lake: Lake, s3_proxy: S3Proxy) -> None:
    lake.add_table()
    lake.use(lake_table(Mode.SYNCING, lake.name, partitioned=True), endpoint_url=s3_proxy.server.endpoint_url)
    assert lake.migrate().code == 0
    lake.insert()
    lake.update()
    lake.move()
    s3_proxy.requests.clear()

    assert lake.migrate().code == 0

    assert not _LISTINGS & {each.operation for each in s3_proxy.seen()}
    _assert_kept_to_itself(lake, s3_proxy)
    lake.assert_equal()


def test_expiry_of_dumps_keeps_to_the_prefix(lake: Lake, s3_proxy: S3Proxy) -> None:
    before = _foreign(lake)
    lake.add_table()
    spec = lake_table(Mode.DUMPING, lake.name, expiry={"hours": 1})
    lake.use(spec, endpoint_url=s3_proxy.server.endpoint_url)
    assert lake.migrate().code == 0
    _make_older(lake)

    assert lake.migrate().code == 0

    assert len(lake.manifest()["parts"]) == 1
    assert lake.snapshots() == [lake.expected()]
    assert s3_proxy.seen("DeleteObject")
    _assert_kept_to_itself(lake, s3_proxy)
    lake.assert_clean()
    _assert_untouched(lake, before)


def _make_older(lake: Lake) -> None:
    """Let the manifest say that its dump was taken years ago."""
    key = f"{lake.prefix}_dms/manifest.json"
    document = json.loads(lake.bucket.get(key))
    place = document["part_fields"].index("snapshot")
    for part in document["parts"]:
        part[place] = f"2020{part[place][4:]}"
    lake.bucket.put(key, json.dumps(document).encode())
