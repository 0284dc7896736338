"""A run into a bucket is killed at every boundary and run again: nothing lost, doubled, partial or left over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from _pytest.mark.structures import ParameterSet

from connectors.faults import OBJECT_STORE_POINTS, FaultPoint
from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import Warm

pytestmark = pytest.mark.slow

_KILLED = 137
_POINTS = list(FaultPoint)
#: Where the destination is at work.
_WRITING = [
    FaultPoint.AFTER_OPEN,
    FaultPoint.AFTER_STAGE_COPY,
    *sorted(OBJECT_STORE_POINTS),
    FaultPoint.BEFORE_DEST_COMMIT,
    FaultPoint.AFTER_DEST_COMMIT,
    FaultPoint.AFTER_CHECKPOINT,
    FaultPoint.BEFORE_FINISH,
    FaultPoint.AFTER_FINISH,
]
_PUBLISHING = [*sorted(OBJECT_STORE_POINTS), FaultPoint.BEFORE_DEST_COMMIT]
#: Passed at least once a chunk: killed in the second one, so that a part of the copy is there.
_IN_CHUNKS = set(_WRITING[1:9]) | {FaultPoint.BEFORE_CHECKPOINT}
#: Behind these the outcome is on record already.
_AFTER_OUTCOME = {FaultPoint.BEFORE_MIRROR, FaultPoint.BEFORE_NOTIFY}
#: A dump whose process dies here was not committed, and never will be.
_NO_DUMP = {
    FaultPoint.AFTER_CLAIM,
    FaultPoint.AFTER_PLAN,
    FaultPoint.AFTER_OPEN,
    FaultPoint.AFTER_PREPARE,
    FaultPoint.AFTER_STAGE_COPY,
    FaultPoint.AFTER_SPOOL,
    FaultPoint.BEFORE_UPLOAD,
    FaultPoint.AFTER_UPLOAD,
    FaultPoint.BEFORE_DEST_COMMIT,
}
#: Here it was, and is carried out by the next run.
_DUMP_TO_BE_CARRIED_OUT = {FaultPoint.DURING_PUBLISH, FaultPoint.AFTER_PUBLISH}

_MAPPINGS = {
    "dumping": lake_table(Mode.DUMPING, "dumping"),
    "logging": lake_table(Mode.LOGGING, "logging"),
    "syncing": lake_table(Mode.SYNCING, "syncing"),
    "dumping_days": lake_table(Mode.DUMPING, "dumping_days", partitioned=True),
    "logging_days": lake_table(Mode.LOGGING, "logging_days", partitioned=True),
    "syncing_days": lake_table(Mode.SYNCING, "syncing_days", partitioned=True),
}


@pytest.fixture(scope="module")
def lasting_lake(
    warm: Warm, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server
) -> Iterator[Lake]:
    """One lake for all crashes: each mapping has a table of its own at both ends."""
    with new_lake(warm, tmp_path_factory.mktemp("lake"), postgres, s3) as lake:
        for name, spec in _MAPPINGS.items():
            each = lake.of(name)
            each.add_table()
            each.use(spec)
        yield lake


@pytest.fixture
def empty(lasting_lake: Lake) -> Callable[[str], Lake]:
    """Gives a mapping whose table is not in the bucket yet."""

    def give(mapping_id: str) -> Lake:
        lake = lasting_lake.of(mapping_id)
        lake.clear()
        return lake

    return give


@pytest.fixture
def copied(lasting_lake: Lake) -> Callable[[str], Lake]:
    """Gives a mapping whose table was copied."""

    def give(mapping_id: str) -> Lake:
        lake = lasting_lake.of(mapping_id)
        if not lake.manifest()["parts"]:
            assert lake.migrate().code == 0
        return lake

    return give


def _if_asked_for(mapping_id: str, point: str) -> ParameterSet:
    """A case whose parts are published by the same code as syncing's."""
    return pytest.param(mapping_id, point, marks=pytest.mark.stress)


def _change(lake: Lake) -> None:
    """Change what the mode carries over."""
    lake.insert()
    if not lake.name.startswith("logging"):
        lake.update()
        lake.move()


def _assert_recovered(lake: Lake, point: FaultPoint) -> None:
    """The run after the killed one did all of it, at once."""
    again = lake.migrate()
    assert (again.code, again.err) == (0, "")
    killed, last = lake.plane.states()[-2:]
    assert killed == ("succeeded" if point in _AFTER_OUTCOME else "lost")
    assert last == "succeeded"


@pytest.mark.parametrize(
    ("mapping_id", "point"),
    [
        *(("syncing", point) for point in _POINTS),
        *(_if_asked_for("logging", point) for point in _PUBLISHING),
        ("syncing_days", FaultPoint.DURING_PUBLISH),
        ("logging_days", FaultPoint.AFTER_PUBLISH),
    ],
)
def test_first_copy_killed(empty: Callable[[str], Lake], mapping_id: str, point: FaultPoint) -> None:
    lake = empty(mapping_id)
    nth = 2 if point in _IN_CHUNKS else 1

    assert lake.migrate(fault=f"{point}:{nth}=exit").code == _KILLED

    _assert_recovered(lake, point)
    lake.assert_equal()


@pytest.mark.parametrize(
    ("mapping_id", "fault"),
    [
        *(("syncing", str(point)) for point in _WRITING),
        *(_if_asked_for("logging", str(point)) for point in _PUBLISHING),
        *(("syncing_days", f"{FaultPoint.DURING_PUBLISH}:{nth}") for nth in range(1, 6)),
        *(("syncing_days", str(point)) for point in (FaultPoint.AFTER_UPLOAD, FaultPoint.AFTER_PUBLISH)),
        ("logging_days", f"{FaultPoint.DURING_PUBLISH}:3"),
    ],
)
def test_follow_run_killed(copied: Callable[[str], Lake], mapping_id: str, fault: str) -> None:
    lake = copied(mapping_id)
    _change(lake)

    assert lake.migrate(fault=f"{fault}=exit").code == _KILLED
    if lake.name.startswith("syncing"):
        # What was copied by the killed run changes again before the next.
        lake.source.execute(f"UPDATE {lake.name} SET amount = amount - 1, updated_at = now() WHERE id % 50 = 1")

    _assert_recovered(lake, FaultPoint.AFTER_OPEN)
    lake.assert_equal()


@pytest.mark.parametrize(
    ("mapping_id", "point", "nth"),
    [
        *(("dumping", point, 1) for point in _POINTS),
        ("dumping_days", FaultPoint.BEFORE_UPLOAD, 1),
        ("dumping_days", FaultPoint.DURING_PUBLISH, 3),
        ("dumping_days", FaultPoint.AFTER_PUBLISH, 1),
    ],
)
def test_killed_dump_is_there_as_a_whole_or_not_at_all(
    copied: Callable[[str], Lake], mapping_id: str, point: FaultPoint, nth: int
) -> None:
    lake = copied(mapping_id)
    before = lake.snapshots()
    lake.update()
    dump = lake.expected()

    assert lake.migrate(fault=f"{point}:{nth}=exit").code == _KILLED

    killed = [] if point in _NO_DUMP else [dump]
    if point not in _DUMP_TO_BE_CARRIED_OUT:
        assert lake.snapshots() == [*before, *killed]
    _assert_recovered(lake, point)
    assert lake.snapshots() == [*before, *killed, dump]
    lake.assert_clean()


@pytest.mark.parametrize("point", _PUBLISHING)
def test_first_dump_killed(empty: Callable[[str], Lake], point: FaultPoint) -> None:
    lake = empty("dumping")
    dump = lake.expected()

    assert lake.migrate(fault=f"{point}=exit").code == _KILLED

    _assert_recovered(lake, point)
    assert lake.snapshots() == [dump] * (1 if point in _NO_DUMP else 2)
    lake.assert_clean()
