"""A store that fails, hangs, cuts off or refuses: a run gets through, or ends with the remedy and leaves nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from controlplane.sandbox.process import LOOPBACK
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import OPTIONS, Command, Warm
from tests.s3_faults import Fault, How, S3Proxy, run_proxy

pytestmark = pytest.mark.slow

_FAILED = 1
#: Every kind of request of a run that goes on, by operation and key.
_KINDS = [
    ("GetObject", "manifest"),
    ("PutObject", "manifest"),
    ("PutObject", "pending"),
    ("CreateMultipartUpload", ""),
    ("UploadPart", ""),
    ("CompleteMultipartUpload", ""),
    ("DeleteObject", ""),
    ("GetObject", "parquet"),
]


@pytest.fixture(scope="module")
def proxy(s3: S3Server) -> Iterator[S3Proxy]:
    """Stands between the runs and the store; the tests look at the store itself."""
    with run_proxy(s3) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_lake(
    warm: Warm, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server, proxy: S3Proxy
) -> Iterator[Lake]:
    """One lake for all faults; its mapping reaches the store by the proxy."""
    with new_lake(warm, tmp_path_factory.mktemp("lake"), postgres, s3) as lake:
        each = lake.of("syncing")
        each.use(lake_table(Mode.SYNCING, "syncing", partitioned=True), endpoint_url=proxy.server.endpoint_url)
        yield each


@pytest.fixture
def lake(lasting_lake: Lake, proxy: S3Proxy) -> Iterator[Lake]:
    """The lake with its table copied, and changes that need every kind of request."""
    proxy.clear()
    if not lasting_lake.manifest()["parts"]:
        lasting_lake.add_table()
        lasting_lake.source.execute(f"UPDATE {lasting_lake.name} SET placed = '2000-01-01' WHERE id = 1")
        assert lasting_lake.migrate().code == 0
    _change(lasting_lake)
    yield lasting_lake
    proxy.clear()


def _change(lake: Lake) -> None:
    """Rows come and change; the only row of a partition moves, so that its part is deleted."""
    lake.insert()
    lake.update()
    lake.source.execute(f"UPDATE {lake.name} SET placed = placed + 1, updated_at = now() WHERE id = 1")


def _assert_through(lake: Lake, run: Command) -> None:
    assert (run.code, run.err) == (0, "")
    assert lake.plane.states()[-1] == "succeeded"
    lake.assert_equal()


def _reason(lake: Lake) -> str:
    ((state, reason),) = lake.plane.runs("state", "reason")[-1:]
    assert state == "failed"
    return str(reason)


@pytest.mark.parametrize(("operation", "key"), _KINDS)
def test_answer_that_is_lost_after_the_request_was_carried_out(
    lake: Lake, proxy: S3Proxy, operation: str, key: str
) -> None:
    faults = [proxy.add(Fault(How.DROP_ANSWER, operation, key, skip=skip)) for skip in (0, 1)]

    _assert_through(lake, lake.migrate())

    assert faults[0].met == 1


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        (How.ANSWER, 500, "InternalError"),
        (How.ANSWER, 503, "SlowDown"),
        (How.DROP_ANSWER, 0, ""),
        (How.CUT_REQUEST, 0, ""),
        (How.CUT_ANSWER, 0, ""),
    ],
)
def test_every_kind_of_request_fails_at_first(lake: Lake, proxy: S3Proxy, how: How, status: int, code: str) -> None:
    faults = [proxy.add(Fault(how, operation, key, status=status, code=code)) for operation, key in _KINDS]

    run = lake.migrate()

    _assert_through(lake, run)
    assert [fault.met for fault in faults] == [1] * len(_KINDS)
    assert "were repeated" in run.out


def test_store_that_hangs_is_asked_again(lake: Lake, proxy: S3Proxy) -> None:
    kinds = [each for each in _KINDS if each[0] in {"PutObject", "UploadPart", "CompleteMultipartUpload"}]
    faults = [proxy.add(Fault(How.HANG, operation, key)) for operation, key in kinds]

    _assert_through(lake, lake.migrate(DMS_OPTIONS={**OPTIONS, "statement_timeout_s": 1}))

    assert [fault.met for fault in faults] == [1] * len(kinds)


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_store_that_stays_away_ends_the_run(lake: Lake, proxy: S3Proxy, operation: str) -> None:
    proxy.add(Fault(How.ANSWER, operation, times=None, status=503, code="SlowDown"))
    before = lake.by_prefix()

    run = lake.migrate(DMS_RECONNECTS=0)

    assert run.code == _FAILED
    assert "Traceback" not in run.err
    assert "503 SlowDown" in _reason(lake)
    assert "tried again" in _reason(lake)
    assert lake.by_prefix() == before
    if operation == "UploadPart":
        lake.assert_clean()
    proxy.clear()
    _assert_through(lake, lake.migrate())


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_run_goes_on_when_the_store_is_back(lake: Lake, proxy: S3Proxy, operation: str) -> None:
    proxy.add(Fault(How.ANSWER, operation, times=6, status=500))

    _assert_through(lake, lake.migrate())


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_right_that_is_taken_away_in_the_middle(lake: Lake, proxy: S3Proxy, operation: str) -> None:
    proxy.add(Fault(How.ANSWER, operation, times=None, skip=1, status=403, code="AccessDenied"))

    assert lake.migrate().code == _FAILED

    assert "grant the user the right" in _reason(lake)
    if operation != "CompleteMultipartUpload":
        lake.assert_clean()
    proxy.clear()
    _assert_through(lake, lake.migrate())


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"secret_access_key": "wrong"}, ("the secret access key", "`secret_access_key`")),
        ({"access_key_id": "nobody"}, ("does not know the access key", "`access_key_id`")),
        ({"s3_bucket_name": "no-such-bucket"}, ("no-such-bucket does not exist", "`s3_bucket_name`")),
        ({"endpoint_url": "http://store.invalid"}, ("cannot be reached", "`endpoint_url`")),
        ({"endpoint_url": "PORT"}, ("cannot be reached", "`endpoint_url`")),
    ],
    ids=["secret", "key", "bucket", "host", "port"],
)
def test_what_cannot_be_reached_or_is_refused(
    lasting_lake: Lake, target: dict[str, str], words: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    lake = lasting_lake.of(f"wrong_{request.node.callspec.id}")
    lake.add_table()
    if target.get("endpoint_url") == "PORT":
        target = {"endpoint_url": f"http://{LOOPBACK}:{_unused_port()}"}
    lake.use(lake_table(Mode.SYNCING, lake.name), **target)

    run = lake.migrate()

    assert run.code == _FAILED
    assert "Traceback" not in run.err
    for each in words:
        assert each in _reason(lake)
    assert "wrong" not in _reason(lake).replace(lake.mapping_id, "")
    assert lake.bucket.keys(lake.prefix) == []
