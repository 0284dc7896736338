"""A writer is killed at every request and every fault point: what is found afterwards is all of its set or nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.faults import OBJECT_STORE_POINTS, FaultPoint
from tests.destinations.s3.mortal import KILLED, Mortals, mortals
from tests.destinations.s3.store import AFTER, BEFORE, SWEEPS, Shelf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_BEFORE_THE_COMMIT = {
    FaultPoint.AFTER_SPOOL,
    FaultPoint.BEFORE_UPLOAD,
    FaultPoint.AFTER_UPLOAD,
    FaultPoint.BEFORE_DEST_COMMIT,
}


@pytest.fixture(scope="module")
def killer() -> Iterator[Mortals]:
    """Gives writers that die."""
    with mortals() as made:
        yield made


@pytest.fixture
def filled(one_shelf: Shelf) -> Shelf:
    """A table with content, whose next run is to be killed."""
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    return one_shelf


def _reset(one: Shelf) -> None:
    one.fill(one.opened(), BEFORE, 1)


def _assert_whole(one: Shelf) -> bool:
    """The next run finds one of the two states and no third. Returns whether the set had been committed."""
    position = one.table().open(0).position
    is_after = position == {"n": 2}
    one.assert_holds(*((AFTER, {"n": 2}) if is_after else (BEFORE, {"n": 1})))
    return is_after


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", SWEEPS)
def test_writer_killed_at_every_request(filled: Shelf, killer: Mortals, when: str, step: int) -> None:
    commits = []
    for nth in range(1, 100, step):
        ended = killer.run(filled.place, kill=when, nth=nth)
        commits.append(_assert_whole(filled))
        if ended.status == 0:
            break
        assert ended.status == KILLED
        if commits[-1]:
            _reset(filled)
    assert len(commits) > 12 // step
    assert commits[-1]
    # Once the set is committed, no later death undoes it.
    assert commits == sorted(commits)
    assert commits.count(True) > 5 // step


@pytest.mark.parametrize("point", sorted(OBJECT_STORE_POINTS | {FaultPoint.BEFORE_DEST_COMMIT}))
@pytest.mark.parametrize("nth", [1, 3])
def test_writer_killed_at_every_fault_point(filled: Shelf, killer: Mortals, point: FaultPoint, nth: int) -> None:
    ended = killer.run(filled.place, fault=f"{point}:{nth}=exit")
    if ended.status == 0:
        # Points that are passed once a set.
        assert nth == 3
        return
    assert ended.status == KILLED
    assert _assert_whole(filled) == (point not in _BEFORE_THE_COMMIT)


@pytest.mark.parametrize(("at", "when"), [("before_dest_commit", "after"), ("during_publish:2", "before")])
@pytest.mark.parametrize("step", SWEEPS)
def test_run_that_makes_good_is_killed_too(filled: Shelf, killer: Mortals, when: str, at: str, step: int) -> None:
    is_committed = at.startswith("during")
    for nth in range(1, 60, step):
        assert killer.run(filled.place, fault=f"{at}=exit").status == KILLED
        ended = killer.run(filled.place, does="open", kill=when, nth=nth)
        assert _assert_whole(filled) == is_committed
        if ended.status == 0:
            break
        assert ended.status == KILLED
        if is_committed:
            _reset(filled)
    assert nth > 5


def test_reader_sees_old_or_new_objects_never_halves(filled: Shelf, killer: Mortals) -> None:
    for nth in range(1, 5):
        assert killer.run(filled.place, fault=f"during_publish:{nth}=exit").status == KILLED
        found = filled.place.content()
        for key, body in found.items():
            assert body in {BEFORE.get(key), AFTER.get(key)}
        # The part that gains moved rows comes first; nothing is deleted before all is there.
        if "x=2/d.parquet" in found or found["x=1/b.parquet"] == b"b2":
            assert found["x=1/a.parquet"] == b"a2"
        if "c.parquet" not in found:
            assert found == AFTER
        _assert_whole(filled)
        _reset(filled)
