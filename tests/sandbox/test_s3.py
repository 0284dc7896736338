"""The S3 server of the sandbox does what the S3 destination and its tests rely on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from controlplane.sandbox import S3Server, SandboxError, run_s3
from controlplane.sandbox.s3 import S3Process
from tests.buckets import Bucket, new_bucket

PART = b"p" * (5 << 20)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


@pytest.fixture
def upload(s3_bucket: Bucket) -> dict[str, Any]:
    """An upload of two parts that is ready to be completed: the arguments of the call."""
    where = {"Bucket": s3_bucket.name, "Key": "t/part.parquet"}
    client = s3_bucket.client
    where["UploadId"] = client.create_multipart_upload(**where, Metadata={"dms-set": "s1"})["UploadId"]
    etags = [
        client.upload_part(**where, PartNumber=number, Body=body)["ETag"] for number, body in ((1, PART), (2, b"end"))
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    return {**where, "MultipartUpload": {"Parts": parts}}


def test_each_bucket_starts_empty_and_is_removed_with_what_it_holds(s3: S3Server) -> None:
    with new_bucket(s3) as bucket:
        bucket.put("a/b")
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key="left/open")
        assert bucket.keys() == ["a/b"]
        assert [each.key for each in bucket.open_uploads()] == ["left/open"]
    client = s3.client()
    with refused("404"):
        client.head_bucket(Bucket=bucket.name)
    client.close()


def test_a_put_obeys_the_etag_that_it_names(s3_bucket: Bucket) -> None:
    first = s3_bucket.put("k", b"one", IfNoneMatch="*")
    assert first == f'"{hashlib.md5(b"one", usedforsecurity=False).hexdigest()}"'
    with refused("PreconditionFailed"):
        s3_bucket.put("k", b"two", IfNoneMatch="*")
    second = s3_bucket.put("k", b"two", IfMatch=first)
    with refused("PreconditionFailed"):
        s3_bucket.put("k", b"three", IfMatch=first)
    with refused("PreconditionFailed"):
        s3_bucket.client.delete_object(Bucket=s3_bucket.name, Key="k", IfMatch=first)
    assert (s3_bucket.get("k"), s3_bucket.head("k")["ETag"]) == (b"two", second)


def test_one_of_many_puts_with_the_same_etag_wins(s3_bucket: Bucket) -> None:
    etag = s3_bucket.put("k", b"0")
    winners: list[int] = []
    together = threading.Barrier(4)

    def write(number: int) -> None:
        together.wait()
        with contextlib.suppress(ClientError):
            s3_bucket.put("k", str(number).encode(), IfMatch=etag)
            winners.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert s3_bucket.get("k") == str(winners[0]).encode()


def test_an_upload_is_seen_when_it_is_completed_and_not_before(s3_bucket: Bucket, upload: dict[str, Any]) -> None:
    assert s3_bucket.keys() == []
    assert s3_bucket.open_uploads("t/")
    assert s3_bucket.open_uploads("other/") == []
    etag = s3_bucket.client.complete_multipart_upload(**upload, IfNoneMatch="*")["ETag"]
    seen = s3_bucket.head("t/part.parquet")
    assert (seen["ETag"], seen["ContentLength"], seen["Metadata"]) == (etag, len(PART) + 3, {"dms-set": "s1"})
    assert etag.endswith('-2"')
    assert s3_bucket.open_uploads() == []


def test_an_upload_that_is_completed_already_can_neither_be_completed_under_a_condition_nor_undone(
    s3_bucket: Bucket, upload: dict[str, Any]
) -> None:
    s3_bucket.client.complete_multipart_upload(**upload, IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3_bucket.client.complete_multipart_upload(**upload, IfNoneMatch="*")
    upload.pop("MultipartUpload")
    s3_bucket.client.abort_multipart_upload(**upload)
    assert s3_bucket.head("t/part.parquet")["ContentLength"] == len(PART) + 3


def test_an_upload_that_meets_another_object_stays_open(s3_bucket: Bucket, upload: dict[str, Any]) -> None:
    etag = s3_bucket.put("t/part.parquet", b"somebody's")
    with refused("PreconditionFailed"):
        s3_bucket.client.complete_multipart_upload(**upload, IfNoneMatch="*")
    assert len(s3_bucket.open_uploads("t/")) == 1
    s3_bucket.client.complete_multipart_upload(**upload, IfMatch=etag)
    assert s3_bucket.head("t/part.parquet")["Metadata"] == {"dms-set": "s1"}


def test_an_upload_that_is_aborted_is_gone(s3_bucket: Bucket, upload: dict[str, Any]) -> None:
    parts = {"MultipartUpload": upload.pop("MultipartUpload")}
    s3_bucket.client.abort_multipart_upload(**upload)
    with refused("NoSuchUpload"):
        s3_bucket.client.complete_multipart_upload(**upload, **parts)
    assert s3_bucket.open_uploads() == []
    assert s3_bucket.keys() == []


def test_a_range_is_only_read_of_the_object_that_is_meant(s3_bucket: Bucket) -> None:
    old = s3_bucket.put("k", b"one")
    new = s3_bucket.put("k", b"two")
    where = {"Bucket": s3_bucket.name, "Key": "k", "Range": "bytes=1-"}
    assert s3_bucket.client.get_object(**where, IfMatch=new)["Body"].read() == b"wo"
    with refused("PreconditionFailed"):
        s3_bucket.client.get_object(**where, IfMatch=old)


def test_a_prefix_that_ends_in_a_slash_lists_no_neighbour(s3_bucket: Bucket) -> None:
    for key in ("sql/orders/1", "sql/orders_items/1", "sql/orders2/1"):
        s3_bucket.put(key)
    assert s3_bucket.keys("sql/orders/") == ["sql/orders/1"]


@pytest.mark.parametrize("name", ["a=%2F", "a=%25", "a==", "a=ü 1", "a=+", "a=__HIVE_DEFAULT_PARTITION__"])
def test_keys_are_kept_as_they_are(s3_bucket: Bucket, name: str) -> None:
    s3_bucket.put(f"t/{name}/x", b"1")
    assert s3_bucket.keys("t/") == [f"t/{name}/x"]
    assert s3_bucket.get(f"t/{name}/x") == b"1"


def test_nobody_writes_into_a_bucket_that_is_not_there(s3: S3Server) -> None:
    with refused("NoSuchBucket"):
        Bucket(s3, "no-such-bucket").put("k")


@pytest.mark.parametrize(("key", "code"), [(None, "SignatureDoesNotMatch"), ("nobody", "InvalidAccessKeyId")])
def test_a_wrong_key_is_refused(s3_bucket: Bucket, key: str | None, code: str) -> None:
    server = s3_bucket.server
    wrong = S3Server(server.endpoint_url, key or server.access_key_id, "wrong")
    with refused(code):
        Bucket(wrong, s3_bucket.name).put("k")


def test_a_plain_reader_sees_the_parquet_files_and_nothing_that_begins_with_an_underscore(s3_bucket: Bucket) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "code": ["007", None]}), buffer)
    for key in ("t/code=7/a.parquet", "t/b.parquet", "t/_dms/c.parquet", "t/.d.parquet", "t2/e.parquet"):
        s3_bucket.put(key, buffer.getvalue())
    s3_bucket.put("t/_dms/manifest.json", b"{}")
    assert s3_bucket.query("t/", "SELECT count(*), count(code), max(code) FROM parts") == [(4, 2, "007")]


@pytest.mark.slow
def test_objects_survive_a_crash_of_the_server_and_a_start_on_other_ports() -> None:
    with run_s3() as running:
        # It goes with the server's files.
        bucket = Bucket(running.server, "kept")
        bucket.client.create_bucket(Bucket=bucket.name)
        for number in range(20):
            bucket.put(f"k/{number}", b"%d" % number)
        running.kill()
        assert not running.server.is_ready()
        running.restart()
        for number in range(20, 40):
            bucket.put(f"k/{number}", b"%d" % number)
        running.kill()
        moved = S3Process.start(running.directory)
        try:
            assert moved.ports.keys() == running.ports.keys()
            assert moved.ports != running.ports
            again = Bucket(moved.server, bucket.name)
            assert [again.get(f"k/{number}") for number in range(40)] == [b"%d" % number for number in range(40)]
        finally:
            moved.stop()


@pytest.mark.slow
def test_a_server_that_hangs_goes_on_where_it_was() -> None:
    with run_s3() as running, new_bucket(running.server) as bucket:
        running.process.pause()
        assert not running.server.is_ready()
        running.process.resume()
        assert bucket.put("k")


@pytest.mark.parametrize("url", ["s3://k:s@h", "http://h:1", "http://k@h:1", "http://k:s@", "h:1"])
def test_a_url_that_is_not_one_is_refused(url: str) -> None:
    with pytest.raises(SandboxError, match="DMS_TEST_S3 must be a URL"):
        S3Server.from_url(url)


def test_the_secret_is_in_the_url_and_not_in_the_repr() -> None:
    server = S3Server("https://store.example.org:9000", "me", "p/w@1?", "eu-west-1")
    assert server.url == "https://me:p%2Fw%401%3F@store.example.org:9000?region=eu-west-1"
    assert S3Server.from_url(server.url) == server
    assert S3Server.from_url("http://me:pw@localhost:1").region == "us-east-1"
    assert "p/w@1" not in repr(server)
