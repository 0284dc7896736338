"""A connection test ends in time and says in which step it was, whatever hangs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors import steps as module
from connectors.base import Options, Step
from connectors.destinations.pgsql.probe import probe as probe_destination
from connectors.destinations.s3.probe import probe as probe_bucket
from connectors.errors import SourceUnavailable
from connectors.mapping import MongoSource, PgsqlSource, S3Destination, parse_mapping
from connectors.postgres.errors import source_side
from connectors.postgres.probing import Probe
from connectors.registry import probe_source
from connectors.waiting import Overdue, within
from tests.buckets import Bucket
from tests.builders import make_mapping, make_table
from tests.databases import PgDatabase
from tests.destinations.support import SCHEMA, make_config
from tests.relay import run_relay
from tests.runner.plane import wait_until
from tests.s3_faults import Fault, How, S3Proxy

LIMIT_S = 3.0
#: What a busy machine may add; whatever hangs here would do so for longer, most of it for ever.
SLACK_S = 10.0


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEST_WITHIN_S", LIMIT_S)


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that takes connections and says nothing: its port."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


def timed(steps: Any) -> tuple[list[Step], float]:
    began = time.monotonic()
    return steps(), time.monotonic() - began


def test_whole_test_stays_below_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert module.TEST_WITHIN_S + module._CLEAR_AWAY_WITHIN_S < 30


def test_step_that_hangs_is_named_and_the_next_ones_are_not_done() -> None:
    left = threading.Event()
    steps, took_s = timed(
        lambda: module.take_steps(
            {
                "first": lambda: (module.OK, "fine"),
                "second": _sleeping,
                "third": _never,
            },
            [],
            leave=left.set,
        )
    )
    assert [(step.name, step.outcome) for step in steps] == [("first", "ok"), ("second", "failed")]
    assert "given up after 3 seconds in this step" in steps[-1].detail
    assert left.is_set()
    assert took_s < LIMIT_S + SLACK_S


def test_steps_are_told_as_they_begin_and_as_they_end() -> None:
    told: list[tuple[str, str]] = []
    steps: list[Step] = []

    def adding() -> module.Finding:
        assert told[-1] == ("second", "running")
        steps.append(Step("a part of it", "warning", "detail"))
        return module.FAILED, "detail"

    checks = {"first": lambda: (module.OK, "done"), "second": adding, "third": _never}
    module.take_steps(checks, steps, tell=lambda step: told.append((step.name, step.outcome)))
    assert told == [
        *(("first", "running"), ("first", "ok")),
        *(("second", "running"), ("a part of it", "warning"), ("second", "failed")),
    ]


def _sleeping() -> module.Finding:
    time.sleep(5)
    return module.OK, ""


def _never() -> module.Finding:
    message = "a step after one that failed"
    raise AssertionError(message)


def test_error_of_what_was_waited_for_is_raised_by_the_waiter() -> None:
    def refuse() -> None:
        message = "down"
        raise SourceUnavailable(message, connector="pgsql source", stream="shop")

    with pytest.raises(SourceUnavailable):
        within(5, refuse)
    with pytest.raises(Overdue):
        within(0.05, lambda: time.sleep(0.5))


@pytest.mark.parametrize(
    ("marker", "step"),
    [(b"pg_is_in_recovery", "role"), (b"pg_read_all_stats", "sight of transactions"), (b"clock_timestamp", "clock")],
)
def test_server_that_stops_answering_is_found_in_its_step(pg_database: PgDatabase, marker: bytes, step: str) -> None:
    # Those of a test before may still sleep.
    of_others = set(threading.enumerate())
    with run_relay(pg_database.server.host, pg_database.server.port) as relay:
        relay.hold(marker)
        raw = make_mapping(pg_database, pg_database, make_table("*"))
        raw["source"] |= {"url": "127.0.0.1", "port": relay.port}
        config = parse_mapping(raw).source
        steps, took_s = timed(lambda: probe_source(config, (), "shop", Options()))
    assert (steps[-1].name, steps[-1].outcome) == (step, "failed")
    assert took_s < LIMIT_S + SLACK_S
    # The session that hung was cut, not kept.
    wait_until(
        lambda: not any(each.name == "within" for each in set(threading.enumerate()) - of_others), "the session to end"
    )


def test_address_that_keeps_silent_does_not_stand_for_those_behind_it(pg_database: PgDatabase) -> None:
    """Of a host with several addresses, such as one of each kind, a run takes the first that answers."""
    port = pg_database.server.port
    config = parse_mapping(make_mapping(pg_database, pg_database, make_table("*"))).source
    assert isinstance(config, PgsqlSource)
    test = Probe(config, source_side("shop"), Options(connect_timeout_s=1), read_only=True)
    with socket.create_server(("127.0.0.2", port)):
        test.addresses = ["127.0.0.2", pg_database.server.host]
        assert "offers no TLS" in test.tls()[1]
        test.addresses = ["127.0.0.2"]
        assert "says nothing" in test.tls()[1]


def test_lock_at_the_destination_ends_in_time(pg_database: PgDatabase) -> None:
    """Another transaction makes the schema and does not end."""
    other = pg_database.connect()
    try:
        other.cursor().execute(f'CREATE SCHEMA "{SCHEMA}"')
        steps, took_s = timed(lambda: probe_destination(make_config(pg_database), SCHEMA, label="shop"))
    finally:
        other.close()
    assert (steps[-1].name, steps[-1].outcome) == ("write and delete", "failed")
    assert "locks" in steps[-1].detail
    assert took_s < LIMIT_S + SLACK_S


def test_lock_is_told_as_such_when_the_server_ends_the_wait(pg_database: PgDatabase) -> None:
    other = pg_database.connect()
    try:
        other.cursor().execute(f'CREATE SCHEMA "{SCHEMA}"')
        found = probe_destination(make_config(pg_database), SCHEMA, label="shop", options=Options(lock_timeout_s=1))
    finally:
        other.close()
    assert (found[-1].name, found[-1].outcome) == ("write and delete", "failed")
    assert "lock not available" in found[-1].detail


def test_silent_mongo_server_ends_in_time() -> None:
    with silent_server() as port:
        config = MongoSource.model_validate(
            {"source_type": "mongo", "url": f"mongodb://127.0.0.1:{port}", "db_name": "shop"}
        )
        steps, took_s = timed(lambda: probe_source(config, (), "shop", Options()))
    assert [step.name for step in steps] == ["resolve", "connect", "TLS", "sign in"]
    assert steps[-1].outcome == "failed"
    assert took_s < LIMIT_S + SLACK_S


def test_silent_store_ends_in_time() -> None:
    keys = {"access_key_id": "id", "secret_access_key": "key"}
    with silent_server() as port:
        config = S3Destination.model_validate(
            {"destination_type": "s3", "s3_bucket_name": "lake", "endpoint_url": f"http://127.0.0.1:{port}", **keys}
        )
        steps, took_s = timed(lambda: probe_bucket(config, ("sql", "shop"), label="shop"))
    assert [step.name for step in steps] == ["resolve", "connect", "TLS", "sign in"]
    assert steps[-1].outcome == "failed"
    assert took_s < LIMIT_S + SLACK_S


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("PutObject", "write"),
        ("CreateMultipartUpload", "multipart upload"),
        ("CompleteMultipartUpload", "multipart upload"),
    ],
)
def test_store_that_stops_answering_keeps_nothing_of_the_test(
    s3_bucket: Bucket, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, operation: str, step: str
) -> None:
    """The store does what it is asked for, and does not say so in time."""
    # The first client of a process alone may take a second or two to make.
    monkeypatch.setattr(module, "TEST_WITHIN_S", 3 * LIMIT_S)
    server = s3_proxy.server
    config = S3Destination.model_validate(
        {
            "destination_type": "s3",
            "s3_bucket_name": s3_bucket.name,
            "endpoint_url": server.endpoint_url,
            "region": server.region,
            "access_key_id": server.access_key_id,
            "secret_access_key": server.secret_access_key,
        }
    )
    fault = s3_proxy.add(Fault(How.HANG, operation))
    try:
        steps = probe_bucket(config, ("sql", "shop"), label="shop")
    finally:
        fault.release()

    assert (steps[-1].name, steps[-1].outcome) == (step, "failed")
    assert s3_bucket.keys() == []
    assert s3_bucket.open_uploads() == []
