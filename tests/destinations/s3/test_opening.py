"""Whose table it is, where it goes on, and what an operator is told when it cannot be opened."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from connectors.base import Options
from connectors.destinations.s3.errors import Side
from connectors.destinations.s3.failures import failure_of
from connectors.destinations.s3.manifest import MANIFEST_KEY, Manifest
from connectors.destinations.s3.pending import PENDING_KEY
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
    Fenced,
)
from tests.destinations.s3.store import AFTER, BEFORE, Shelf
from tests.s3_faults import Fault, How, S3Proxy

_OTHER = "stock_DMS_orders_main"


def test_first_open_creates_an_empty_table(one_shelf: Shelf) -> None:
    table = one_shelf.table()
    assert table.stored_manifest() is None
    assert table.stored_position() is None
    resume = table.open(4)
    assert (resume.epoch, resume.position) == (5, None)
    assert table.manifest == Manifest("shop_DMS_orders_main", 5)
    assert one_shelf.place.keys() == [MANIFEST_KEY, PENDING_KEY]


@pytest.mark.parametrize(("floor", "epoch"), [(0, 2), (1, 2), (7, 8)])
def test_epoch_rises_above_both_records(one_shelf: Shelf, floor: int, epoch: int) -> None:
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    resume = one_shelf.table().open(floor)
    assert (resume.epoch, resume.position) == (epoch, {"n": 1})


def test_another_streams_table_is_refused(one_shelf: Shelf) -> None:
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    other = one_shelf.table(_OTHER)
    for attempt in (lambda: other.open(0), lambda: other.reset({"n": 9})):
        with pytest.raises(ConfigError, match=r"belongs to another stream.*`s3_suffix`.*reset_checkpoint --release"):
            attempt()
    assert other.stored_position() is None
    assert not other.release()
    one_shelf.assert_holds(BEFORE, {"n": 1})


def test_released_table_can_be_taken_with_its_rows(one_shelf: Shelf) -> None:
    owner = one_shelf.opened()
    one_shelf.fill(owner, BEFORE, 1)
    assert one_shelf.table().release()
    with pytest.raises(Fenced):
        owner.record_position({"n": 9})
    assert not one_shelf.table().release()
    other = one_shelf.table(_OTHER)
    assert other.open(0).position is None
    assert not other.manifest.first_copy
    one_shelf.fill(other, AFTER, 2)
    one_shelf.assert_holds(AFTER, {"n": 2})


def test_release_of_nothing(one_shelf: Shelf) -> None:
    assert not one_shelf.table().release()
    assert one_shelf.place.keys() == []


@pytest.mark.parametrize("position", [None, {"n": 7}])
def test_reset_fences_and_is_where_the_next_run_goes_on(one_shelf: Shelf, position: Any) -> None:
    writer = one_shelf.opened()
    one_shelf.fill(writer, BEFORE, 1)
    one_shelf.table().reset(position)
    with pytest.raises(Fenced):
        writer.record_position({"n": 9})
    assert one_shelf.table().stored_position() == position
    again = one_shelf.table()
    assert again.open(0).position == position
    assert not again.manifest.first_copy
    assert len(again.manifest.parts) == len(BEFORE)


def test_reset_to_nothing_of_what_is_not_there_makes_nothing(one_shelf: Shelf) -> None:
    one_shelf.table().reset(None)
    assert one_shelf.place.keys() == []


@pytest.mark.parametrize("key", ["part.parquet", "x=1/part.parquet", PENDING_KEY, "_dms/other"])
def test_prefix_with_foreign_objects_is_refused(one_shelf: Shelf, key: str) -> None:
    one_shelf.place.put(key, b"foreign")
    with pytest.raises(ConfigError, match=r"holds objects, but no _dms/manifest.json.*s3_suffix.*manifest --rebuild"):
        one_shelf.table().open(0)
    assert one_shelf.place.keys() == [key]


def test_neighbours_do_not_count(one_shelf: Shelf) -> None:
    """`orders_items` and `orders2` beside `orders`."""
    bare = one_shelf.place
    for suffix in ("_items", "2", ".old"):
        neighbour = replace(bare, suffix=bare.suffix + suffix)
        neighbour.put("part.parquet", b"neighbour")
        neighbour.client.close()
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    one_shelf.assert_holds(BEFORE, {"n": 1})


@pytest.mark.parametrize("key", ["", "_dms/probe-1"])
def test_markers_and_left_over_probes_do_not_count(one_shelf: Shelf, key: str) -> None:
    one_shelf.place.put(key, b"")
    assert one_shelf.table().open(0).position is None


def test_uploads_that_a_fenced_writer_left_go_with_the_next_run(one_shelf: Shelf) -> None:
    place = one_shelf.place
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    for key in ("late.parquet", "_dms/probe-1-upload"):
        place.client.create_multipart_upload(Bucket=place.bucket, Key=place.prefix + key)
    one_shelf.opened()
    # A connection test may be at work beside the run.
    assert place.open_uploads() == ["_dms/probe-1-upload"]
    place.abort_uploads()
    one_shelf.assert_holds(BEFORE, {"n": 1})


@pytest.mark.parametrize("key", [MANIFEST_KEY, PENDING_KEY])
def test_state_that_cannot_be_read_is_an_error_with_a_remedy(one_shelf: Shelf, key: str) -> None:
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    one_shelf.place.put(key, b'{"secret row": 1}')
    with pytest.raises(DestinationError, match=rf"{key} cannot be used.*`manifest --rebuild`") as raised:
        one_shelf.table().open(0)
    assert "secret" not in str(raised.value)
    assert one_shelf.place.content() == BEFORE


def test_manifest_that_somebody_else_rewrites_is_no_newer_run(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.place.put(MANIFEST_KEY, table.manifest.dump("by hand"))
    with pytest.raises(DestinationError, match=r"something other than this stream changed.*manifest --check") as raised:
        table.record_position({"n": 1})
    assert not isinstance(raised.value, Fenced)


def _error(one: Shelf, **config: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        one.table(options=Options(connect_timeout_s=1, statement_timeout_s=1), **config)
    text = f"{raised.value} {raised.value!r} {raised.value.__cause__!r}"
    assert one.place.secret_access_key not in text
    return raised.value


@pytest.mark.usefixtures("_no_pauses")
def test_connections_that_fail(one_shelf: Shelf) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        free = listener.getsockname()[1]
    cases: list[tuple[type[ConnectorError], str, dict[str, Any]]] = [
        (DestinationUnavailable, "`endpoint_url`", {"endpoint_url": f"http://127.0.0.1:{free}"}),
        (DestinationUnavailable, "`endpoint_url`", {"endpoint_url": "http://no-such-host.invalid"}),
        (ConfigError, "`endpoint_url`", {"endpoint_url": "no address"}),
        (DestinationAuthFailed, "`secret_access_key`", {"secret_access_key": "wrong"}),
        (DestinationAuthFailed, "access key id", {"access_key_id": "nobody"}),
        (ConfigError, "`s3_bucket_name`", {"s3_bucket_name": "no-such-bucket"}),
        (ConfigError, "TLS", {"endpoint_url": one_shelf.place.endpoint_url.replace("http:", "https:")}),
    ]
    for kind, words, config in cases:
        error = _error(one_shelf, **config)
        assert type(error) is kind, config
        assert words in str(error)


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.destinations.s3.client._FIRST_PAUSE_S", 0.01)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", DestinationAuthFailed, "s3:GetObject"),
        (403, "RequestTimeTooSkewed", DestinationAuthFailed, "clock"),
        (400, "ExpiredToken", DestinationAuthFailed, "expired"),
        (400, "AuthorizationHeaderMalformed", ConfigError, "`region`"),
        (301, "PermanentRedirect", ConfigError, "`region`"),
        (400, "InvalidBucketName", ConfigError, "`s3_bucket_name`"),
        (501, "NotImplemented", DestinationError, "conditional writes"),
        (503, "SlowDown", DestinationUnavailable, "503 SlowDown"),
        (500, "", DestinationUnavailable, "500"),
    ],
)
def test_refusals(
    one_shelf: Shelf, s3_proxy: S3Proxy, status: int, code: str, kind: type[ConnectorError], words: str
) -> None:
    s3_proxy.add(Fault(How.ANSWER, operation="GetObject", times=None, status=status, code=code))
    error = _error(one_shelf, endpoint_url=s3_proxy.server.endpoint_url)
    assert type(error) is kind
    assert words in str(error)


def test_every_error_of_botocore_becomes_one_of_ours() -> None:
    import inspect

    from botocore import exceptions

    for name, kind in inspect.getmembers(exceptions, inspect.isclass):
        if not issubclass(kind, exceptions.BotoCoreError):
            continue
        made: Any = None
        try:
            made = kind()
        except (KeyError, TypeError):
            made = kind.__new__(kind)
        ours = failure_of(made, "read", "bucket").error(Side("s"))
        assert isinstance(ours, ConnectorError), name
        assert ";" in ours.message, name


def test_too_long_a_key_is_no_fault_of_the_store() -> None:
    from botocore import exceptions

    answer = {"Error": {"Code": "KeyTooLongError"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = exceptions.ClientError(answer, "CreateMultipartUpload")
    ours = failure_of(error, "begin an upload", "bucket").error(Side("s"))
    assert type(ours) is ConfigError
    assert "1,024 bytes; partition by other columns" in ours.message


def test_an_unknown_profile_is_named(one_shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    error = _error(one_shelf)
    assert type(error) is DestinationAuthFailed
    assert "AWS_PROFILE" in error.message


def test_what_is_no_s3_store_is_named_as_such(one_shelf: Shelf) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"<html><p>Nothing here</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        error = _error(one_shelf, endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert type(error) is ConfigError
    assert "`endpoint_url`" in str(error)


def test_boto_and_arrow_are_loaded_by_those_who_need_them() -> None:
    code = (
        "import sys, connectors.registry;"
        "print([name for name in ('boto3', 'botocore', 'pyarrow') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
