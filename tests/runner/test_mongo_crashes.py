"""A run from a collection is killed at every boundary, in every mode and to each destination, and run again."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.faults import OBJECT_STORE_POINTS, FaultPoint
from connectors.mapping import Mode
from controlplane.sandbox import MongoServer, PostgresServer, S3Server
from tests.runner.archive import Archive, new_archive
from tests.runner.plane import Warm, wait_until

pytestmark = pytest.mark.slow

_KILLED = 137
_STOPPED = 4
_STOPPED_WITHIN_S = 5.0
_MODES = (Mode.SYNCING, Mode.LOGGING)
#: Passed at least once a chunk: killed in the second one, so that a part of the copy is there.
_IN_CHUNKS = {FaultPoint.AFTER_STAGE_COPY, FaultPoint.BEFORE_DEST_COMMIT, FaultPoint.AFTER_DEST_COMMIT}
_IN_CHUNKS |= {FaultPoint.BEFORE_CHECKPOINT, FaultPoint.AFTER_CHECKPOINT} | OBJECT_STORE_POINTS
_OWN = {FaultPoint.BEFORE_DEST_COMMIT, FaultPoint.AFTER_DEST_COMMIT}
_AFTER_OUTCOME = {FaultPoint.BEFORE_MIRROR, FaultPoint.BEFORE_NOTIFY}
#: A dump whose process dies here was not committed.
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


def _points(kind: str) -> list[FaultPoint]:
    return [point for point in FaultPoint if kind == "s3" or point not in OBJECT_STORE_POINTS]


def _cells(*modes: Mode) -> list[Any]:
    """Every point of both destinations; those of the control plane, which knows no source, when they are asked for."""
    found = []
    for kind in ("pgsql", "s3"):
        for mode in modes:
            for point in _points(kind):
                marks = [] if point in _OWN else [pytest.mark.stress]
                found.append(pytest.param(kind, mode, point, marks=marks))
    return found


@pytest.fixture(scope="module")
def lasting(
    warm: Warm,
    tmp_path_factory: pytest.TempPathFactory,
    mongo: MongoServer,
    postgres: PostgresServer,
    s3: S3Server,
) -> Iterator[Archive]:
    """One archive for all crashes: a collection and a mapping for each mode and destination."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with new_archive(warm, tmp_path_factory.mktemp("archive"), mongo, name, postgres, s3) as archive:
        for kind in ("pgsql", "s3"):
            for mode in (*_MODES, Mode.DUMPING):
                archive.of(kind, mode).use(mode)
        yield archive


@pytest.fixture
def fresh(lasting: Archive) -> Callable[[str, Mode], Archive]:
    """Gives a mapping whose collection is as new and was not copied."""

    def give(kind: str, mode: Mode) -> Archive:
        archive = lasting.of(kind, mode)
        archive.renew()
        return archive

    return give


def _assert_recovered(archive: Archive, point: FaultPoint) -> None:
    """The run after the killed one did all of it, at once."""
    again = archive.migrate()
    assert (again.code, again.err) == (0, "")
    killed, last = archive.plane.states()[-2:]
    assert killed == ("succeeded" if point in _AFTER_OUTCOME else "lost")
    assert last == "succeeded"


@pytest.mark.parametrize(("kind", "mode", "point"), _cells(*_MODES))
def test_first_copy_killed(fresh: Callable[[str, Mode], Archive], kind: str, mode: Mode, point: FaultPoint) -> None:
    archive = fresh(kind, mode)
    nth = 2 if point in _IN_CHUNKS else 1

    assert archive.migrate(fault=f"{point}:{nth}=exit").code == _KILLED
    if mode is Mode.SYNCING:
        # Behind the back of what is copied already.
        archive.change()

    _assert_recovered(archive, point)
    archive.assert_equal()


@pytest.mark.parametrize(("kind", "mode", "point"), _cells(*_MODES))
def test_follow_run_killed(fresh: Callable[[str, Mode], Archive], kind: str, mode: Mode, point: FaultPoint) -> None:
    archive = fresh(kind, mode)
    assert archive.migrate().code == 0
    archive.insert()
    if mode is Mode.SYNCING:
        archive.change()

    assert archive.migrate(fault=f"{point}=exit").code == _KILLED
    if mode is Mode.SYNCING:
        archive.change()

    _assert_recovered(archive, point)
    archive.assert_equal()


@pytest.mark.parametrize(("kind", "mode", "point"), _cells(Mode.DUMPING))
def test_killed_dump_is_there_as_a_whole_or_not_at_all(
    fresh: Callable[[str, Mode], Archive], kind: str, mode: Mode, point: FaultPoint
) -> None:
    archive = fresh(kind, mode)
    assert archive.migrate().code == 0
    before = archive.snapshots()
    archive.insert()
    dump = archive.expected()

    assert archive.migrate(fault=f"{point}=exit").code == _KILLED

    killed = [] if point in _NO_DUMP else [dump]
    _assert_recovered(archive, point)
    assert archive.snapshots() == [*before, *killed, dump]


@pytest.mark.parametrize("kind", ["pgsql", "s3"])
@pytest.mark.parametrize("fault", ["before_dest_commit:2=block", "after_dest_commit:2=block"])
def test_sigkill_while_it_works(fresh: Callable[[str, Mode], Archive], kind: str, fault: str) -> None:
    archive = fresh(kind, Mode.SYNCING)
    command = archive.start(fault=fault)
    command.wait_for_fault()

    command.send(signal.SIGKILL)

    assert command.wait() == -signal.SIGKILL
    _assert_recovered(archive, FaultPoint.AFTER_OPEN)
    archive.assert_equal()


@pytest.mark.parametrize("kind", ["pgsql", "s3"])
def test_sigterm_ends_a_run_that_waits_between_batches(fresh: Callable[[str, Mode], Archive], kind: str) -> None:
    archive = fresh(kind, Mode.SYNCING)
    archive.use(Mode.SYNCING, time_delay=3)
    try:
        before = len(archive.plane.states())
        command = archive.start()
        wait_until(lambda: any(read for (read,) in archive.plane.runs("read")[before:]), "a commit")
        asked = time.monotonic()
        command.send(signal.SIGTERM)
        assert command.wait() == _STOPPED
        assert time.monotonic() - asked < _STOPPED_WITHIN_S
    finally:
        archive.use(Mode.SYNCING)
    assert 0 < len(archive.arrived()) < len(archive.expected())
    assert archive.migrate().code == 0
    archive.assert_equal()
