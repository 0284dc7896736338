"""A stop ends a run into a bucket within seconds, at its last commit and without remains; the next goes on there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import Command, Warm, wait_until
from tests.runner.shop import ROWS
from tests.s3_faults import Fault, How, S3Proxy

pytestmark = pytest.mark.slow

_STOPPED = 4
#: Within which a stopped process ends.
_SOON_S = 5.0
#: Leaves a store that answers slowly more time than a stop that is in a hurry does.
_PATIENT = {"connectors.destinations.s3.workers._SILENCE_S": 3.0}
#: Rows come at 60 a 0.9 s, which is a chunk.
_SLOW = 0.015


@pytest.fixture
def lake(warm: Warm, tmp_path: Path, postgres: PostgresServer, s3: S3Server) -> Iterator[Lake]:
    """A lake with a table, and no mapping yet."""
    with new_lake(warm, tmp_path, postgres, s3) as made:
        made.add_table()
        yield made


def _slow_down(lake: Lake) -> None:
    """Put a view in the table's place that takes its time."""
    lake.source.execute(
        "CREATE FUNCTION slowly(text, float) RETURNS text STABLE LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep($2); RETURN $1; END $$;"
        f"ALTER TABLE {lake.name} RENAME TO behind; CREATE VIEW {lake.name} AS"
        f" SELECT id, slowly(name, {_SLOW}) AS name, amount, placed, updated_at FROM behind"
    )


def _speed_up(lake: Lake) -> None:
    lake.source.execute(f"CREATE OR REPLACE VIEW {lake.name} AS SELECT * FROM behind")


def _wait_for_commit(lake: Lake, command: Command) -> None:
    wait_until(lambda: any(read for (read,) in lake.plane.runs("read")), f"a commit; {command.err}")
    assert command.is_running


def _stop(command: Command) -> None:
    command.send(signal.SIGTERM)
    assert command.wait(_SOON_S) == _STOPPED
    assert "Traceback" not in command.err


@pytest.mark.parametrize("is_partitioned", [False, True])
def test_stopped_copy_goes_on_where_it_was(lake: Lake, is_partitioned: bool) -> None:
    lake.use(lake_table(Mode.SYNCING, lake.name, partitioned=is_partitioned))
    _slow_down(lake)
    command = lake.start(constants=_PATIENT)
    _wait_for_commit(lake, command)

    _stop(command)

    lake.assert_clean()
    arrived = len(lake.by_prefix())
    assert 0 < arrived < ROWS
    assert lake.plane.runs("state", "stop_reason", "inserted") == [("stopped", "sigterm", arrived)]
    _speed_up(lake)
    assert lake.migrate().code == 0
    ((inserted,),) = lake.plane.runs("inserted")[-1:]
    assert inserted == ROWS - arrived
    lake.assert_equal()


def test_stopped_dump_leaves_nothing(lake: Lake) -> None:
    lake.use(lake_table(Mode.DUMPING, lake.name))
    _slow_down(lake)
    command = lake.start(constants=_PATIENT)
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    wait_until(lambda: bool(lake.source.value(asleep)), "the dump to run")

    _stop(command)

    assert lake.by_prefix() == []
    lake.assert_clean()
    _speed_up(lake)
    assert lake.migrate().code == 0
    assert lake.snapshots() == [lake.expected()]


@pytest.mark.parametrize(
    ("how", "operation", "key"),
    [
        (How.HANG, "PutObject", "manifest"),
        (How.HANG, "PutObject", "pending"),
        (How.HANG, "CreateMultipartUpload", ""),
        (How.HANG, "UploadPart", ""),
        (How.HANG, "CompleteMultipartUpload", ""),
        (How.HANG, "GetObject", "parquet"),
        # Carried out after the run has ended: a store begins the upload then, or brings it back.
        (How.HOLD, "CreateMultipartUpload", ""),
        (How.HOLD, "UploadPart", ""),
    ],
)
def test_store_that_hangs_does_not_hold_a_stopped_run(
    lake: Lake, s3_proxy: S3Proxy, how: How, operation: str, key: str
) -> None:
    lake.use(lake_table(Mode.SYNCING, lake.name, partitioned=True), endpoint_url=s3_proxy.server.endpoint_url)
    assert lake.migrate().code == 0
    lake.insert()
    lake.move()
    hanging = s3_proxy.add(Fault(how, operation, key, times=None))
    command = lake.start()
    assert hanging.arrived()

    _stop(command)

    s3_proxy.clear()
    s3_proxy.wait_until_left()
    assert lake.migrate().code == 0
    lake.assert_equal()
