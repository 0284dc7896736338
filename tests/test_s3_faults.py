"""The proxy in front of the S3 server does to requests what it is told, and nothing to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from urllib3.exceptions import ProtocolError

from tests.buckets import Bucket
from tests.s3_faults import Fault, How, S3Proxy

BODY = bytes(range(256)) * 4096


@pytest.fixture
def through(s3_bucket: Bucket, s3_proxy: S3Proxy) -> Iterator[Bucket]:
    """The bucket, seen through the proxy."""
    bucket = Bucket(s3_proxy.server, s3_bucket.name)
    yield bucket
    bucket.client.close()


class Call(threading.Thread):
    """A call in the background, and how it ended."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._call()
        except (BotoCoreError, ClientError) as error:
            self.error = error


def complete(bucket: Bucket, key: str, body: bytes = BODY) -> None:
    where = {"Bucket": bucket.name, "Key": key}
    where["UploadId"] = bucket.client.create_multipart_upload(**where)["UploadId"]
    etag = bucket.client.upload_part(**where, PartNumber=1, Body=body)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    bucket.client.complete_multipart_upload(**where, MultipartUpload=parts)


def test_without_faults_every_request_passes_and_is_recorded(
    through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy
) -> None:
    etag = through.put("a/ü=%2F+ 1", BODY)
    assert through.get("a/ü=%2F+ 1") == s3_bucket.get("a/ü=%2F+ 1") == BODY
    assert through.head("a/ü=%2F+ 1")["ETag"] == etag
    complete(through, "big")
    assert s3_bucket.get("big") == BODY
    assert through.open_uploads("b") == []
    assert through.keys("a/") == ["a/ü=%2F+ 1"]
    through.delete("big")
    with pytest.raises(ClientError, match="404"):
        through.head("big")
    assert [each.operation for each in s3_proxy.requests] == [
        *["PutObject", "GetObject", "HeadObject"],
        *["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"],
        *["ListMultipartUploads", "ListObjectsV2", "DeleteObject", "HeadObject"],
    ]
    (listing,) = s3_proxy.seen("ListObjectsV2")
    assert (listing.bucket, listing.key, listing.query["prefix"]) == (s3_bucket.name, "", "a/")
    assert [each.operation for each in s3_proxy.seen(key="^a/")] == ["PutObject", "GetObject", "HeadObject"]


@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (403, "AccessDenied"), (200, "InternalError")]
)
def test_an_error_is_answered_as_often_as_wanted_and_nothing_is_done(
    through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy, status: int, code: str
) -> None:
    fault = Fault(How.ANSWER, "CompleteMultipartUpload", times=2, status=status, code=code)
    s3_proxy.add(fault)
    for _ in range(2):
        with pytest.raises(ClientError, match=code):
            complete(through, "k")
    assert s3_bucket.keys() == []
    complete(through, "k")
    assert s3_bucket.keys() == ["k"]
    assert fault.met == 2


def test_only_the_requests_that_fit_are_met(through: Bucket, s3_proxy: S3Proxy) -> None:
    fault = s3_proxy.add(Fault(How.ANSWER, "PutObject", key=r"^t/_dms/", skip=1))
    through.put("t/part.parquet")
    through.put("t/_dms/manifest.json")
    through.get("t/_dms/manifest.json")
    with pytest.raises(ClientError):
        through.put("t/_dms/manifest.json")
    through.put("t/_dms/manifest.json")
    assert fault.met == 1


def test_the_answer_to_a_request_that_was_done_gets_lost(through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy) -> None:
    s3_proxy.add(Fault(How.DROP_ANSWER, "PutObject"))
    with pytest.raises(ConnectionClosedError):
        through.put("k", BODY)
    assert s3_bucket.get("k") == BODY


def test_a_request_that_was_done_hangs_until_it_is_released(
    through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy
) -> None:
    fault = s3_proxy.add(Fault(How.HANG, "PutObject"))
    call = Call(lambda: through.put("k", BODY))
    call.start()
    assert fault.arrived()
    assert s3_bucket.get("k") == BODY
    assert call.is_alive()
    fault.release()
    call.join(20)
    assert isinstance(call.error, ConnectionClosedError)


def test_a_client_does_not_wait_longer_than_it_wants_to(s3_bucket: Bucket, s3_proxy: S3Proxy) -> None:
    s3_proxy.add(Fault(How.HANG, "GetObject"))
    s3_bucket.put("k")
    client = s3_proxy.server.client(timeout_s=0.3)
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.get_object(Bucket=s3_bucket.name, Key="k")
    assert time.monotonic() - started < 5
    client.close()


def test_a_held_request_reaches_the_server_when_it_is_released(
    through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy
) -> None:
    fault = s3_proxy.add(Fault(How.HOLD, "PutObject"))
    call = Call(lambda: through.put("k", b"late"))
    call.start()
    assert fault.arrived()
    assert s3_bucket.keys() == []
    s3_bucket.put("k", b"early")
    fault.release()
    call.join(20)
    assert call.error is None
    assert s3_bucket.get("k") == b"late"


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_a_body_that_is_cut_in_the_middle_leaves_nothing(
    through: Bucket, s3_bucket: Bucket, s3_proxy: S3Proxy, operation: str
) -> None:
    fault = s3_proxy.add(Fault(How.CUT_REQUEST, operation))
    with pytest.raises(BotoCoreError):
        through.put("k", BODY) if operation == "PutObject" else complete(through, "k")
    assert fault.met == 1
    assert s3_bucket.keys() == []


def test_an_answer_that_is_cut_in_the_middle_is_no_shorter_object(through: Bucket, s3_proxy: S3Proxy) -> None:
    through.put("k", BODY)
    s3_proxy.add(Fault(How.CUT_ANSWER, "GetObject"))
    with pytest.raises((ResponseStreamingError, ProtocolError)):
        through.get("k")
    assert through.get("k") == BODY


def test_a_wrong_secret_is_noticed_behind_the_proxy(s3_bucket: Bucket, s3_proxy: S3Proxy) -> None:
    wrong = Bucket(replace(s3_proxy.server, secret_access_key="wrong"), s3_bucket.name)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        wrong.put("k")
    wrong.client.close()


def test_clear_ends_every_fault(through: Bucket, s3_proxy: S3Proxy) -> None:
    s3_proxy.add(Fault(How.ANSWER, times=None, status=503, code="SlowDown"))
    for _ in range(3):
        with pytest.raises(ClientError):
            through.put("k")
    s3_proxy.clear()
    assert through.put("k")
