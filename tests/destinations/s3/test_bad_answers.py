"""A store that errs, is busy, falls silent or hangs: requests are repeated, or the set leaves nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import Options, RunReport
from connectors.destinations.s3.opening import TableState
from connectors.errors import ConnectorError, DestinationAuthFailed, DestinationUnavailable, Recovery, Stopped
from tests.destinations.s3.store import AFTER, BEFORE, Place, Shelf, part_of
from tests.s3_faults import Fault, How, S3Proxy

_HASTY = Options(connect_timeout_s=2, statement_timeout_s=1)
_WRITES = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "DeleteObject", "PutObject"]


@pytest.fixture
def behind(one_shelf: Shelf, s3_proxy: S3Proxy) -> Place:
    """The table's place as seen through the proxy."""
    return replace(one_shelf.place, endpoint_url=s3_proxy.server.endpoint_url)


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.destinations.s3.client._FIRST_PAUSE_S", 0.01)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(
    ("fault", "step"),
    [
        (Fault(How.ANSWER), 3),
        (Fault(How.ANSWER, status=503, code="SlowDown", times=3), 4),
        (Fault(How.DROP_ANSWER), 3),
        pytest.param(Fault(How.DROP_ANSWER), 1, marks=pytest.mark.stress),
        (Fault(How.CUT_REQUEST), 3),
        (Fault(How.CUT_ANSWER), 3),
        (Fault(How.ANSWER, operation="PutObject", status=409, code="ConditionalRequestConflict"), 2),
        # Completing an upload can fail after its answer has begun.
        (Fault(How.ANSWER, operation="CompleteMultipartUpload", status=200, code="InternalError"), 1),
    ],
    ids=[
        "500",
        "slow-down",
        "done-unanswered",
        "each-done-unanswered",
        "cut-request",
        "cut-answer",
        "conflict",
        "late-failure",
    ],
)
def test_any_request_that_fails_is_repeated(
    one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy, fault: Fault, step: int
) -> None:
    contents = [BEFORE, AFTER]
    one_shelf.fill(one_shelf.opened(), contents[1], 1)
    for nth in range(0, 100, step):
        report = RunReport()
        armed = s3_proxy.add(replace(fault, skip=nth, _arrived=threading.Event(), _released=threading.Event()))
        table = one_shelf.opened(place=behind, report=report)
        one_shelf.fill(table, contents[nth % 2], nth)
        s3_proxy.clear()
        one_shelf.assert_holds(contents[nth % 2], {"n": nth})
        if not armed.met:
            break
        # An answer without a body cannot be cut.
        assert report.counts["requests_repeated"] == armed.met or fault.how is How.CUT_ANSWER
        assert bool(report.warnings) == bool(report.counts)
    assert nth > (2 if fault.operation else 15)


@pytest.mark.parametrize("operation", _WRITES)
def test_request_that_times_out_after_success_is_not_done_twice(
    one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy, operation: str
) -> None:
    table = one_shelf.opened(place=behind, options=_HASTY)
    one_shelf.fill(table, BEFORE, 1)
    hanging = s3_proxy.add(Fault(How.HANG, operation=operation))
    one_shelf.fill(table, AFTER, 2)
    assert hanging.met == 1
    one_shelf.assert_holds(AFTER, {"n": 2})


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("operation", _WRITES)
@pytest.mark.parametrize("how", [How.ANSWER, How.DROP_ANSWER])
def test_store_that_goes_on_failing_leaves_all_or_nothing(
    one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy, operation: str, how: How
) -> None:
    table = one_shelf.opened(place=behind)
    one_shelf.fill(table, BEFORE, 1)
    s3_proxy.add(Fault(how, operation=operation, times=None))
    with pytest.raises(DestinationUnavailable) as raised:
        one_shelf.fill(table, AFTER, 2)
    assert raised.value.recovery is Recovery.RETRY
    s3_proxy.clear()
    position = one_shelf.opened(place=behind).manifest.position
    # Publishing is what comes after the commit.
    is_after = operation in {"CompleteMultipartUpload", "DeleteObject"}
    assert position == {"n": 2 if is_after else 1}
    one_shelf.assert_holds(AFTER if is_after else BEFORE, position)


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject", "CompleteMultipartUpload"])
def test_credentials_that_expire_in_between_end_the_run(
    one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy, operation: str
) -> None:
    table = one_shelf.opened(place=behind)
    one_shelf.fill(table, BEFORE, 1)
    refused = s3_proxy.add(Fault(How.ANSWER, operation=operation, times=None, status=403, code="ExpiredToken"))
    began = time.monotonic()
    with pytest.raises(DestinationAuthFailed, match="the session token has expired; check `access_key_id`"):
        one_shelf.fill(table, AFTER, 2)
    assert time.monotonic() - began < 5
    assert refused.met < 10
    s3_proxy.clear()
    is_after = one_shelf.opened().manifest.position == {"n": 2}
    assert is_after == (operation == "CompleteMultipartUpload")
    one_shelf.assert_holds(AFTER if is_after else BEFORE, {"n": 1 + is_after})


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("how", [How.ANSWER, How.DROP_ANSWER, How.CUT_ANSWER])
def test_reading_is_repeated(one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy, how: How, tmp_path: Path) -> None:
    body = bytes(range(256)) * 80_000
    table = one_shelf.opened(place=behind)
    one_shelf.fill(table, {"a.parquet": body}, 1)
    s3_proxy.add(Fault(how, operation="GetObject", key=r"a\.parquet$", times=4))
    part = part_of(table, "a.parquet")
    assert table.objects.open_input(part).read() == body
    table.objects.download(part, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == body


def _write(one: Shelf, table: TableState, _: Path) -> None:
    one.fill(table, AFTER, 2)


def _read(_: Shelf, table: TableState, directory: Path) -> None:
    table.objects.download(part_of(table, "c.parquet"), directory / "copy")


def _open(_: Shelf, table: TableState, __: Path) -> None:
    table.open(0)


@pytest.mark.parametrize(
    ("operation", "work"),
    [*[(name, _write) for name in _WRITES], ("GetObject", _read), ("GetObject", _open), ("PutObject", _open)],
)
def test_stop_does_not_wait_for_a_store_that_hangs(
    one_shelf: Shelf,
    behind: Place,
    s3_proxy: S3Proxy,
    tmp_path: Path,
    operation: str,
    work: Callable[[Shelf, TableState, Path], None],
) -> None:
    table = one_shelf.opened(place=behind, options=Options(connect_timeout_s=30, statement_timeout_s=30))
    one_shelf.fill(table, BEFORE, 1)
    hanging = s3_proxy.add(Fault(How.HANG, operation=operation, times=None))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work(one_shelf, table, tmp_path)
        except ConnectorError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert hanging.arrived()
    began = time.monotonic()
    table.cancel()
    thread.join(20)
    # 0.7 s of silence tell a hanging store from a slow one.
    assert time.monotonic() - began < 5
    assert [type(error) for error in errors] == [Stopped]
    s3_proxy.clear()
    s3_proxy.wait_until_quiet()
    position = one_shelf.opened().manifest.position
    one_shelf.assert_holds(AFTER if position == {"n": 2} else BEFORE, position)


def test_stop_leaves_nothing_when_the_store_answers(one_shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine it may not do so at once.
    monkeypatch.setattr("connectors.destinations.s3.workers._SILENCE_S", 20.0)
    monkeypatch.setattr("connectors.destinations.s3.workers._GRACE_S", 20.0)
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    path = one_shelf.file(b"d2")
    with pytest.raises(Stopped), table.publish() as publication:  # noqa: PT012 - the stop comes in between
        publication.add(path, one_shelf.new("x=2/d.parquet", 2))
        one_shelf.wait_until_gone(path)
        table.cancel()
        publication.commit(position={"n": 2})
    # Without another run.
    one_shelf.assert_holds(BEFORE, {"n": 1})


def test_stop_before_the_start_keeps_from_starting(one_shelf: Shelf) -> None:
    table = one_shelf.table()
    table.cancel()
    with pytest.raises(Stopped):
        table.open(0)
    assert one_shelf.place.keys() == []


def test_nothing_outside_the_prefix_is_listed_read_or_written(
    one_shelf: Shelf, behind: Place, s3_proxy: S3Proxy
) -> None:
    table = one_shelf.opened(place=behind)
    one_shelf.fill(table, BEFORE, 1)
    one_shelf.fill(table, AFTER, 2)
    with table.publish() as publication:
        publication.add(one_shelf.file(b"x"), one_shelf.new("e.parquet", 1))
    one_shelf.opened(place=behind)
    prefix = one_shelf.place.prefix
    assert s3_proxy.requests
    for request in s3_proxy.requests:
        assert (request.key or request.query["prefix"]).startswith(prefix)
    # Only to see that nothing foreign is there, before the first manifest.
    assert len(s3_proxy.seen("ListObjectsV2")) == 1
    # What an earlier run may have left, once for each of the two that were opened.
    assert len(s3_proxy.seen("ListMultipartUploads")) == 2
