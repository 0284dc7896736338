"""The connection test of a destination: step by step, so that the first failing one says what to change."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from connectors import steps as tests
from connectors.base import Options, Step
from connectors.destinations.s3.client import Client
from connectors.destinations.s3.errors import ObjectChanged, ObjectMissing, Side
from connectors.destinations.s3.failures import LACKS_RIGHT
from connectors.destinations.s3.target import STATE_DIRECTORY, encoded
from connectors.errors import ConnectorError, DestinationAuthFailed, DestinationError
from connectors.mapping import S3Destination as Config
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, tell_nobody

_WAIT_S = 10
_CLOCK_TOLERANCE_S = 60
_PORTS = {"http": 80, "https": 443}
#: Where objects are tried while no mapping says where rows would go.
_ANY_PLACE = ("sql", "connection_test")


def probe(
    config: Config,
    place: tuple[str, str] | None,
    *,
    label: str,
    options: Options | None = None,
    tell: Tell = tell_nobody,
) -> list[Step]:
    """Test a destination; ends with the first step that fails.

    Args:
        config: Resolved: without references.
        place: Kind (sql, mongo, kafka or api) and database of the source; None while no mapping says them.
        label: Who asks, for errors: a stream's or mapping's id.
        options: Timeouts; every request ends within ten seconds at the latest.
        tell: Told of the steps while they are taken.
    """
    run = _Probe(config, place, Side(label), options or Options())
    return run.run(tell)


class _Probe:
    def __init__(self, config: Config, place: tuple[str, str] | None, side: Side, options: Options) -> None:
        kind, db_name = place or _ANY_PLACE
        prefix = f"{encoded(kind)}/{encoded(db_name)}/"
        self._config = config
        self._is_known_place = place is not None
        self._prefix = prefix
        self._side = side
        self._options = Options(
            connect_timeout_s=options.connect_timeout_s,
            statement_timeout_s=min(options.statement_timeout_s or _WAIT_S, _WAIT_S),
        )
        self._made: Client | None = None
        self._stopping = threading.Event()
        self._addresses: list[str] = []
        self._may_be_written = False
        # A name of its own, in the place where a table of that name would keep its state: no reader takes it for rows.
        self._key = f"{prefix}{STATE_DIRECTORY}probe-{uuid.uuid4().hex[:12]}"
        self._upload_key = f"{self._key}-upload"

    def run(self, tell: Tell) -> list[Step]:
        checks: dict[str, Callable[[], Finding]] = {
            "resolve": self._resolve,
            "connect": self._connect,
            "TLS": self._tls,
            "sign in": partial(self._permitted, self._sign_in),
            "list": partial(self._permitted, self._list),
            "write": partial(self._permitted, self._write),
            "multipart upload": partial(self._permitted, self._upload),
            "delete": partial(self._permitted, self._delete),
            "clock": self._clock,
        }
        try:
            return tests.take_steps(checks, [], leave=self._stopping.set, tell=tell)
        finally:
            if self._made is not None:
                made = self._made
                tests.clear_away(lambda: self._clean_up(made))
                made.close()

    def _permitted(self, check: Callable[[], Finding]) -> Finding:
        """A step that needs rights; what is refused in a place that no mapping means says so."""
        try:
            return check()
        except DestinationAuthFailed as error:
            if self._is_known_place or not error.message.startswith(LACKS_RIGHT):
                raise
            return FAILED, (
                f"{error.message}. No mapping uses this destination yet, so {self._prefix} was tried: where the user"
                " has its rights below other prefixes alone, test again once a mapping does"
            )

    def _clean_up(self, client: Client) -> None:
        """Delete what a failed step left, or may have: a store that refused the step may refuse this too."""
        if not self._may_be_written:
            return
        for key in (self._key, self._upload_key):
            with suppress(ConnectorError):
                client.delete(key, client.head(key).etag)
        with suppress(ConnectorError):
            for each in client.list_uploads(self._upload_key):
                client.abort_upload(each.key, each.upload_id)

    @property
    def _client(self) -> Client:
        if self._stopping.is_set():
            # A step that was left behind would write after all was deleted.
            raise self._side.error(DestinationError, "the test was given up")
        if self._made is None:
            self._made = Client(self._config, self._options, self._side, self._stopping, lambda: None, 2)
        return self._made

    def _resolve(self) -> Finding:
        found, self._addresses = tests.resolve(*self._address(), "check `endpoint_url` and `region`")
        return found

    def _connect(self) -> Finding:
        host, port = self._address()
        timeout_s = self._options.connect_timeout_s
        return tests.connect(host, port, self._addresses, timeout_s, "check `endpoint_url` and firewalls")

    def _sign_in(self) -> Finding:
        bucket = self._config.s3_bucket_name
        try:
            self._client.probe(self._key)
        except ObjectMissing:
            return OK, f"signed in, and the bucket {bucket} is there"
        return OK, f"signed in to the bucket {bucket}"

    def _tls(self) -> Finding:
        if self._client.is_encrypted:
            return OK, "the connection is encrypted, and the store's certificate is checked"
        return WARNING, "the connection is not encrypted; use an `endpoint_url` with https where others can listen"

    def _list(self) -> Finding:
        found = len(self._client.list_page(self._prefix, limit=1))
        if not self._is_known_place:
            return OK, "the bucket can be listed"
        return OK, f"{self._prefix} can be listed and {'holds objects' if found else 'is empty'}"

    def _write(self) -> Finding:
        # Before: a store may write and not say so in time.
        self._may_be_written = True
        etag = self._client.put(self._key, b"probe", None)
        for condition, words in ((None, "that there is none yet"), ('"0"', "the content that was read")):
            try:
                self._client.put(self._key, b"other", condition)
            except (ObjectChanged, ObjectMissing):
                continue
            return FAILED, (
                f"the store ignores the condition of a write ({words}), so two runs could overwrite each other's state;"
                " use a store with conditional writes (If-Match and If-None-Match)"
            )
        if self._client.put(self._key, b"probe", etag) and self._client.get(self._key).content != b"probe":
            return FAILED, "an object that was written reads back as another; use a store that is consistent"
        where = f" under {self._prefix}" if self._is_known_place else ""
        return OK, f"an object{where} was written, replaced and read, with conditions"

    def _upload(self) -> Finding:
        key = self._upload_key
        upload_id = self._client.create_upload(key, "probe", lambda: True)
        etag = self._client.upload_piece(key, upload_id, 1, b"probe")
        self._client.complete_upload(key, upload_id, (etag,), None)
        head = self._client.head(key)
        self._client.delete(key, head.etag)
        if head.set_id != "probe":
            return FAILED, "the store does not keep the metadata of uploads, which tells them apart; use another store"
        self._client.abort_upload(key, self._client.create_upload(key, "probe", lambda: True))
        return self._uploads_can_be_listed()

    def _uploads_can_be_listed(self) -> Finding:
        try:
            self._client.list_uploads(self._key)
        except ConnectorError:
            return WARNING, (
                "uploads work but cannot be listed, so those that a killed run began may be left over; grant"
                " s3:ListBucketMultipartUploads, or set a lifecycle rule that aborts old uploads"
            )
        return OK, "an object was uploaded in pieces, and an upload was aborted"

    def _delete(self) -> Finding:
        self._client.delete(self._key, self._client.head(self._key).etag)
        self._may_be_written = False
        return OK, "the objects of this test were deleted"

    def _clock(self) -> Finding:
        told = self._client.clock(self._prefix)
        if told is None:
            return OK, "the store does not tell its clock, by which nothing goes"
        # It is told to the second.
        difference = max(0.0, abs((datetime.now(UTC) - told).total_seconds()) - 1)
        detail = f"the store's clock differs from this host's by {difference:.0f} s"
        if difference > _CLOCK_TOLERANCE_S:
            return WARNING, f"{detail}; from 15 minutes on a store refuses what is signed here; set the clocks"
        return OK, detail

    def _address(self) -> tuple[str, int]:
        parts = urlsplit(self._client.endpoint_url)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
