"""Single requests to the bucket, repeated while that can help. Imports boto3: imported by runs that need it only."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import exceptions as boto
from botocore.config import Config as ClientConfig
from botocore.loaders import Loader

from connectors import egress
from connectors.base import Options
from connectors.destinations.s3.errors import Side
from connectors.destinations.s3.failures import ERRORS, failure_of
from connectors.errors import ConfigError, DestinationAuthFailed
from connectors.mapping import S3Destination as Config

T = TypeVar("T")

_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
#: At most, for each wait on the store's next bytes: no query of hours stands behind them.
_READ_TIMEOUT_S = 60
_DEFAULT_REGION = "us-east-1"
#: Name of the metadata that tells which set an object belongs to.
_SET = "dms-set"


@dataclass(frozen=True, slots=True)
class Body:
    """A whole object."""

    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Head:
    """What the store says of an object: its etag, its size, and the set that it was uploaded by."""

    etag: str
    byte_count: int
    set_id: str


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str


class Client:
    """Requests to one bucket. Every method may be called from any thread, and waits for its answer.

    Args:
        config: Where the bucket is, and the credentials.
        options: Timeouts.
        side: Of errors.
        stopping: Ends the pauses between attempts.
        on_repeat: Called each time a request is repeated.

    Raises:
        ConfigError: The address or region is none, or the store lies where this installation does not connect to.
    """

    def __init__(
        self,
        config: Config,
        options: Options,
        side: Side,
        stopping: threading.Event,
        on_repeat: Callable[[], None],
        connections: int,
    ) -> None:
        self._bucket = config.s3_bucket_name
        self._side = side
        self._stopping = stopping
        self._on_repeat = on_repeat
        try:
            self._s3 = _boto_client(config, options, connections)
        except boto.ProfileNotFound as error:
            raise failure_of(error, "connect", self._bucket).error(side) from None
        except (*ERRORS, ValueError) as error:
            message = f"the store's address cannot be used ({type(error).__name__}); check `endpoint_url` and `region`"
            raise side.error(ConfigError, message) from None
        try:
            egress.check(self._s3.meta.endpoint_url)
        except egress.ConnectionForbidden as refusal:
            raise side.error(ConfigError, str(refusal)) from None
        self.endpoint_url: str = self._s3.meta.endpoint_url
        self.is_encrypted = urlsplit(self.endpoint_url).scheme == "https"

    def close(self) -> None:
        """Close the connections that are idle."""
        self._s3.close()

    def get(self, key: str) -> Body:
        """A whole object."""

        def request() -> Body:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            return Body(_read(answer), answer["ETag"])

        return self._send("read", request)

    def get_range(self, key: str, etag: str, start: int, length: int) -> bytes:
        """Bytes of an object, provided that it is still the one of that etag."""

        def request() -> bytes:
            wanted = f"bytes={start}-{start + length - 1}"
            return _read(self._s3.get_object(Bucket=self._bucket, Key=key, Range=wanted, IfMatch=etag))

        return self._send("read a part", request)

    def probe(self, key: str) -> None:
        """Read the first byte of an object: what a missing bucket or refused credentials answer says why."""

        def request() -> None:
            _read(self._s3.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0"))

        self._send("read", request)

    def head(self, key: str) -> Head:
        """What an object is."""

        def request() -> Head:
            answer = self._s3.head_object(Bucket=self._bucket, Key=key)
            return Head(answer["ETag"], answer["ContentLength"], answer["Metadata"].get(_SET, ""))

        return self._send("look at an object", request)

    def put(self, key: str, body: bytes, etag: str | None) -> str:
        """Write an object where it has that etag, or with None where there is none yet. Returns the new etag."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        checksum = self._checksum(body)

        def request() -> str:
            answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, **condition, **checksum)
            return str(answer["ETag"])

        return self._send("write the table's state", request)

    def create_upload(self, key: str, set_id: str, is_only_writer: Callable[[], bool]) -> str:
        """Begin a multipart upload and return its id.

        Args:
            key: Of the object.
            set_id: Goes into the object's metadata.
            is_only_writer: True when nobody else can have begun an upload of that key before it was asked.
        """
        attempts = 0

        def request() -> str:
            nonlocal attempts
            attempts += 1
            answer = self._s3.create_multipart_upload(Bucket=self._bucket, Key=key, Metadata={_SET: set_id})
            return str(answer["UploadId"])

        upload_id = self._send("begin an upload", request)
        if attempts > 1:
            # An attempt whose answer was lost may have begun one too. A newer run looks for such itself, and what is
            # found here may be its own. Whoever may not list uploads leaves it to the bucket's own rule.
            with suppress(DestinationAuthFailed):
                found = self.list_uploads(key)
                others = [each for each in found if each.key == key and each.upload_id != upload_id]
                if others and is_only_writer():
                    for other in others:
                        self.abort_upload(key, other.upload_id)
        return upload_id

    def upload_piece(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """Upload one piece of a multipart upload and return its etag."""
        checksum = self._checksum(body)

        def request() -> str:
            answer = self._s3.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body, **checksum
            )
            return str(answer["ETag"])

        return self._send("upload a part", request)

    def complete_upload(self, key: str, upload_id: str, etags: tuple[str, ...], replaces: str | None) -> str:
        """Make the upload the object of that key, where it has the etag `replaces`. Returns the new etag."""
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        pieces = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]

        def request() -> str:
            answer = self._s3.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": pieces}, **condition
            )
            return str(answer["ETag"])

        return self._send("complete an upload", request)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Give a multipart upload up."""

        def request() -> None:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

        self._send("abort an upload", request)

    def delete(self, key: str, etag: str) -> None:
        """Delete an object, provided that it is the one of that etag."""

        def request() -> None:
            self._s3.delete_object(Bucket=self._bucket, Key=key, IfMatch=etag)

        self._send("delete a part", request)

    def list_page(self, prefix: str, after: str = "", limit: int = 1000) -> list[dict[str, Any]]:
        """Up to `limit` objects (Key, ETag, Size) in order of their keys, those above `after`."""

        def request() -> list[dict[str, Any]]:
            start = {"StartAfter": after} if after else {}
            answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, **start)
            return list(answer.get("Contents", []))

        return self._send("list the table's objects", request)

    def clock(self, prefix: str) -> datetime | None:
        """The store's clock, to the second; None when it does not tell. Lists one object."""

        def request() -> datetime | None:
            answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
            told = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
            try:
                moment = parsedate_to_datetime(told)
            except ValueError:
                return None
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

        return self._send("list the table's objects", request)

    def list_uploads(self, prefix: str) -> list[OpenUpload]:
        """The open multipart uploads of all keys that begin so."""

        def pages() -> Iterator[dict[str, Any]]:
            paginator = self._s3.get_paginator("list_multipart_uploads")
            yield from paginator.paginate(Bucket=self._bucket, Prefix=prefix)

        def request() -> list[OpenUpload]:
            return [OpenUpload(each["Key"], each["UploadId"]) for page in pages() for each in page.get("Uploads", [])]

        return self._send("list the table's uploads", request)

    def _checksum(self, body: bytes) -> dict[str, str]:
        """What lets the store notice a body that changed on its way. Unencrypted, the signature covers the body."""
        if not self.is_encrypted:
            return {}
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}

    def _send(self, operation: str, request: Callable[[], T]) -> T:
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return request()
            except ERRORS as error:
                failure = failure_of(error, operation, self._bucket)
            is_last = attempt == _ATTEMPTS or self._stopping.is_set()
            if is_last or not failure.is_transient:
                break
            # Many writers that were slowed down at once must not come back at once.
            self._stopping.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._on_repeat()
        raise failure.error(self._side)


def _description_of_s3() -> Loader:
    """What botocore reads for each client anew, a tenth of a second: read once, before runs are timed or forked."""
    loader = Loader()
    loader.list_available_services("service-2")
    for name in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        loader.load_service_model("s3", name)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    return loader


_LOADER = _description_of_s3()


def _boto_client(config: Config, options: Options, connections: int) -> Any:
    described = botocore.session.Session()
    described.register_component("data_loader", _LOADER)
    session = boto3.session.Session(
        botocore_session=described,
        aws_access_key_id=config.access_key_id.get_secret_value() or None,
        aws_secret_access_key=config.secret_access_key.get_secret_value() or None,
        aws_session_token=config.session_token.get_secret_value() or None,
        region_name=config.region or None,
    )

    def client(addressing: str) -> Any:
        return session.client(
            "s3",
            endpoint_url=config.endpoint_url or None,
            region_name=session.region_name or _DEFAULT_REGION,
            config=ClientConfig(
                connect_timeout=options.connect_timeout_s,
                read_timeout=min(options.statement_timeout_s or _READ_TIMEOUT_S, _READ_TIMEOUT_S),
                max_pool_connections=connections,
                # `_send` repeats: it tells the caller, can be stopped, and knows when an outcome is unknown.
                retries={"total_max_attempts": 1},
                # Stores other than AWS do not all know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": addressing},
            ),
        )

    if config.endpoint_url:
        return client("path")
    found = client("auto")
    # The address can come from the standard environment too.
    host = urlsplit(found.meta.endpoint_url).hostname or ""
    return found if ".amazonaws.com" in host else client("path")


def _read(answer: dict[str, Any]) -> bytes:
    body = answer["Body"]
    try:
        # Not `with`: that gives the stream below, which raises errors of another library.
        return bytes(body.read())
    finally:
        body.close()
