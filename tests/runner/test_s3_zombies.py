"""A run that was taken over while it wrote into a bucket, and wakes up afterwards, changes nothing there."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.faults import FaultPoint
from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import Command, Warm
from tests.runner.warm import WAKE

pytestmark = pytest.mark.slow

_FAILED = 1
_LEASE_S = 1.0
#: A run that learns nothing from the control database: it renews no lease, and looks for no operator's stop.
_UNAWARE = {
    "DMS_HEARTBEAT_S": 1000.0,
    "constants": {"migrations_app.runner._LOOK_FOR_OPERATOR_EVERY_S": 1000.0},
}


@pytest.fixture(scope="module")
def lasting_lake(
    warm: Warm, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server
) -> Iterator[Lake]:
    """One lake for all zombies, with a table that is partitioned and one that is dumped."""
    with new_lake(warm, tmp_path_factory.mktemp("lake"), postgres, s3) as lake:
        for each, mode in ((lake.of("syncing"), Mode.SYNCING), (lake.of("dumping"), Mode.DUMPING)):
            each.add_table()
            each.use(lake_table(mode, each.name, partitioned=True))
        yield lake


def _ready(lasting_lake: Lake, mapping_id: str) -> Lake:
    """The mapping with its table copied, and changes for the run that becomes a zombie."""
    lake = lasting_lake.of(mapping_id)
    if not lake.manifest()["parts"]:
        assert lake.migrate().code == 0
    _change(lake)
    return lake


def _change(lake: Lake) -> None:
    lake.insert()
    lake.update()
    lake.move()


def _blocked(lake: Lake, fault: str, **settings: Any) -> Command:
    """A run that stands at a fault point, its lease expired."""
    zombie = lake.start(fault=f"{fault}=block", DMS_LEASE_S=_LEASE_S, **settings)
    zombie.wait_for_fault()
    return zombie


def _assert_changes_nothing(lake: Lake, zombie: Command, numbers: list[signal.Signals]) -> None:
    """The zombie goes on, and ends without a trace."""
    assert zombie.is_running
    etags = lake.bucket.etags()
    states = lake.plane.runs("id", "state", "read", "reason")
    for number in numbers:
        zombie.send(number)
    assert zombie.wait() == _FAILED
    _assert_left_no_trace(lake, zombie)
    assert lake.bucket.etags() == etags
    assert lake.plane.runs("id", "state", "read", "reason") == states


def _assert_left_no_trace(lake: Lake, zombie: Command) -> None:
    assert "Traceback" not in zombie.err
    assert "lost" in zombie.err
    assert lake.plane.states()[-2:] == ["lost", "succeeded"]
    assert lake.bucket.open_uploads() == [], zombie.err


@pytest.mark.parametrize(
    "fault",
    [
        FaultPoint.AFTER_OPEN,
        FaultPoint.AFTER_SPOOL,
        FaultPoint.BEFORE_UPLOAD,
        FaultPoint.AFTER_UPLOAD,
        FaultPoint.BEFORE_DEST_COMMIT,
        f"{FaultPoint.DURING_PUBLISH}:1",
        f"{FaultPoint.DURING_PUBLISH}:4",
        FaultPoint.AFTER_PUBLISH,
    ],
)
def test_zombie_that_knows_nothing_of_its_end(lasting_lake: Lake, fault: str) -> None:
    lake = _ready(lasting_lake, "syncing")
    # It learns of its end from the bucket alone.
    zombie = _blocked(lake, fault, **_UNAWARE)
    _change(lake)
    time.sleep(_LEASE_S)

    assert lake.migrate().code == 0
    lake.assert_equal()

    _assert_changes_nothing(lake, zombie, [WAKE])
    lake.assert_equal()


@pytest.mark.parametrize("fault", [FaultPoint.BEFORE_UPLOAD, f"{FaultPoint.DURING_PUBLISH}:2"])
def test_zombie_that_is_told_of_its_end_does_not_wait_for_the_bucket(lasting_lake: Lake, fault: str) -> None:
    lake = _ready(lasting_lake, "syncing")
    zombie = _blocked(lake, fault, DMS_HEARTBEAT_S=0.3)
    zombie.send(signal.SIGSTOP)
    _change(lake)
    time.sleep(_LEASE_S + 0.3)
    assert lake.migrate().code == 0
    lake.assert_equal()

    # It stays at its fault point.
    zombie.send(signal.SIGCONT)

    assert zombie.wait() == _FAILED
    _assert_left_no_trace(lake, zombie)
    lake.assert_equal()


@pytest.mark.parametrize("fault", [FaultPoint.BEFORE_DEST_COMMIT, f"{FaultPoint.DURING_PUBLISH}:2"])
def test_frozen_process(lasting_lake: Lake, fault: str) -> None:
    lake = _ready(lasting_lake, "syncing")
    zombie = _blocked(lake, fault, DMS_HEARTBEAT_S=0.3)
    zombie.send(signal.SIGSTOP)
    _change(lake)
    time.sleep(_LEASE_S + 0.3)

    assert lake.migrate().code == 0
    lake.assert_equal()

    _assert_changes_nothing(lake, zombie, [WAKE, signal.SIGCONT])
    lake.assert_equal()


@pytest.mark.parametrize(
    "fault", [FaultPoint.BEFORE_UPLOAD, FaultPoint.BEFORE_DEST_COMMIT, f"{FaultPoint.DURING_PUBLISH}:2"]
)
def test_dump_of_a_zombie_is_there_as_a_whole_or_not_at_all(lasting_lake: Lake, fault: str) -> None:
    lake = _ready(lasting_lake, "dumping")
    before = lake.snapshots()
    dump = lake.expected()
    zombie = _blocked(lake, fault, **_UNAWARE)
    time.sleep(_LEASE_S)

    assert lake.migrate().code == 0

    committed = [dump] if FaultPoint.DURING_PUBLISH in fault else []
    assert lake.snapshots() == [*before, *committed, dump]
    _assert_changes_nothing(lake, zombie, [WAKE])
    lake.assert_clean()


def test_two_zombies_of_one_set(lasting_lake: Lake) -> None:
    lake = _ready(lasting_lake, "syncing")
    first = _blocked(lake, f"{FaultPoint.DURING_PUBLISH}:2", **_UNAWARE)
    time.sleep(_LEASE_S)
    # The second one stops while it carries out the set of the first.
    second = _blocked(lake, f"{FaultPoint.DURING_PUBLISH}:3", **_UNAWARE)
    time.sleep(_LEASE_S)

    assert lake.migrate().code == 0
    lake.assert_equal()

    _assert_changes_nothing(lake, second, [WAKE])
    _assert_changes_nothing(lake, first, [WAKE])
    lake.assert_equal()
