"""A writer that was frozen wakes after its successor has written: it is fenced off, and nothing changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest

from connectors.base import Options
from connectors.destinations.s3.opening import TableState
from connectors.errors import ConnectorError, Fenced
from tests.destinations.s3.store import AFTER, BEFORE, SWEEPS, Place, Shelf, part_of
from tests.s3_faults import Fault, How, S3Proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_PATIENT = Options(connect_timeout_s=10, statement_timeout_s=60)
#: What successors write: a part of the zombie's set is replaced, one is deleted and one never was.
_LATER = {"x=1/a.parquet": b"a3", "c.parquet": b"c3", "x=9/e.parquet": b"e3"}
_LAST = {"c.parquet": b"c4", "x=9/f.parquet": b"f4"}


class _Writer(threading.Thread):
    """Changes a table to something, and keeps what came of it."""

    def __init__(self, one: Shelf, table: TableState, content: Mapping[str, bytes], position: int) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._one = one
        self._wanted = (table, content, position)
        self.start()

    def run(self) -> None:
        try:
            self._one.fill(*self._wanted)
        except ConnectorError as error:
            self.error = error

    def reaches(self, fault: Fault) -> bool:
        """Wait until the fault has met a request; False when the work ended before."""
        while self.is_alive():
            if fault.arrived(0.02):
                return True
        return fault.arrived(0)

    def end(self) -> BaseException | None:
        """Wait for the end."""
        self.join(30)
        assert not self.is_alive()
        return self.error


def _through(proxy: S3Proxy, place: Place) -> Place:
    return replace(place, endpoint_url=proxy.server.endpoint_url)


@pytest.mark.parametrize("step", SWEEPS)
def test_writer_frozen_at_any_request_is_fenced_when_it_wakes(one_shelf: Shelf, s3_proxy: S3Proxy, step: int) -> None:
    for nth in range(0, 100, step):
        one_shelf.fill(one_shelf.opened(), BEFORE, 1)
        zombie = one_shelf.opened(place=_through(s3_proxy, one_shelf.place), options=_PATIENT)
        held = s3_proxy.add(Fault(How.HOLD, skip=nth))
        writer = _Writer(one_shelf, zombie, AFTER, 2)
        if not writer.reaches(held):
            assert writer.end() is None
            break

        successor = one_shelf.opened()
        assert successor.manifest.position in ({"n": 1}, {"n": 2})
        one_shelf.fill(successor, _LATER, 3)
        one_shelf.fill(successor, _LAST, 4)
        held.release()

        assert isinstance(writer.end(), Fenced)
        one_shelf.assert_holds(_LAST, {"n": 4})
        one_shelf.fill(successor, BEFORE, 1)
        with pytest.raises(Fenced):
            zombie.record_position({"n": 9})
        with pytest.raises(Fenced):
            one_shelf.fill(zombie, AFTER, 9)
        one_shelf.assert_holds(BEFORE, {"n": 1})
        s3_proxy.clear()
    assert nth > 12


@pytest.mark.parametrize("step", SWEEPS)
def test_request_that_arrives_long_after_it_was_given_up_changes_nothing(
    one_shelf: Shelf, s3_proxy: S3Proxy, step: int
) -> None:
    hasty = Options(connect_timeout_s=2, statement_timeout_s=1)
    for nth in range(0, 100, step):
        table = one_shelf.opened(place=_through(s3_proxy, one_shelf.place), options=hasty)
        one_shelf.fill(table, BEFORE, 1)
        held = s3_proxy.add(Fault(How.HOLD, skip=nth))
        one_shelf.fill(table, AFTER, 2)
        if not held.met:
            break
        one_shelf.assert_holds(AFTER, {"n": 2})
        one_shelf.fill(table, _LATER, 3)

        s3_proxy.clear()
        s3_proxy.wait_until_quiet()

        assert one_shelf.place.content() == _LATER
        assert one_shelf.by_manifest() == (_LATER, {"n": 3})
        one_shelf.fill(table, _LAST, 4)
        assert one_shelf.place.content() == _LAST
        # An upload that the store began so late has no piece, and nobody knows of it.
        one_shelf.place.abort_uploads()
    assert nth > 12


def test_upload_that_is_begun_again_takes_none_of_a_successor_with_it(one_shelf: Shelf, s3_proxy: S3Proxy) -> None:
    """A part that is replaced keeps its key, so both of them upload under it."""
    one_shelf.fill(one_shelf.opened(), BEFORE, 1)
    zombie = one_shelf.opened(place=_through(s3_proxy, one_shelf.place), options=_PATIENT)
    s3_proxy.add(Fault(How.DROP_ANSWER, "CreateMultipartUpload", r"c\.parquet$"))
    held = s3_proxy.add(Fault(How.HOLD, "CreateMultipartUpload", r"c\.parquet$"))
    writer = _Writer(one_shelf, zombie, {**BEFORE, "c.parquet": b"c2"}, 2)
    assert held.arrived()

    successor = one_shelf.opened()
    with successor.publish() as publication:
        path = one_shelf.file(b"c3")
        publication.add(path, one_shelf.new("c.parquet", 2), replaces=part_of(successor, "c.parquet"))
        one_shelf.wait_until_gone(path)
        held.release()
        assert isinstance(writer.end(), Fenced)
        publication.commit(position={"n": 3})

    one_shelf.assert_holds({**BEFORE, "c.parquet": b"c3"}, {"n": 3})


def test_position_of_a_frozen_writer_is_fenced(one_shelf: Shelf, s3_proxy: S3Proxy) -> None:
    zombie = one_shelf.opened(place=_through(s3_proxy, one_shelf.place), options=_PATIENT)
    held = s3_proxy.add(Fault(How.HOLD, operation="PutObject"))
    errors: list[BaseException] = []

    def work() -> None:
        try:
            zombie.record_position({"n": 1})
        except ConnectorError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert held.arrived()
    successor = one_shelf.opened()
    successor.record_position({"n": 2})
    held.release()
    thread.join()
    assert [type(error) for error in errors] == [Fenced]
    assert one_shelf.by_manifest() == ({}, {"n": 2})


def test_opener_frozen_at_any_request_is_fenced_or_wins(one_shelf: Shelf, s3_proxy: S3Proxy) -> None:
    """A run that hangs while it opens, and is overtaken, must not undo what the overtaker has begun."""
    for nth in range(100):
        one_shelf.fill(one_shelf.opened(), BEFORE, 1)
        slow = one_shelf.table(place=_through(s3_proxy, one_shelf.place), options=_PATIENT)
        held = s3_proxy.add(Fault(How.HOLD, skip=nth))
        outcome: list[int | Fenced] = []

        def work(slow: TableState = slow, outcome: list[int | Fenced] = outcome) -> None:
            try:
                outcome.append(slow.open(0).epoch)
            except Fenced as error:
                outcome.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive() and not held.arrived(0.02):
            pass
        if not held.arrived(0):
            break
        quick = one_shelf.opened()
        with quick.publish() as publication:
            path = one_shelf.file(b"d2")
            publication.add(path, one_shelf.new("x=2/d.parquet", 2))
            one_shelf.wait_until_gone(path)
            held.release()
            thread.join()
            (end,) = outcome
            if isinstance(end, Fenced):
                publication.commit(position={"n": 2})
            else:
                # The slow one had not yet read the manifest, so it is the newer one.
                assert end > quick.epoch
                with pytest.raises(Fenced):
                    publication.commit(position={"n": 2})
        is_quick = isinstance(end, Fenced)
        one_shelf.assert_holds({**BEFORE, "x=2/d.parquet": b"d2"} if is_quick else BEFORE, {"n": 1 + is_quick})
        s3_proxy.clear()
    assert nth >= 4


def test_two_first_runs_that_open_at_once_take_nothing_of_each_other_for_foreign(
    one_shelf: Shelf, s3_proxy: S3Proxy
) -> None:
    slow = one_shelf.table(place=_through(s3_proxy, one_shelf.place), options=_PATIENT)
    held = s3_proxy.add(Fault(How.HOLD, operation="ListObjectsV2"))
    thread = threading.Thread(target=slow.open, args=[0])
    thread.start()
    assert held.arrived()
    quick = one_shelf.opened()
    one_shelf.fill(quick, BEFORE, 1)
    held.release()
    thread.join()
    assert slow.epoch > quick.epoch
    with pytest.raises(Fenced):
        one_shelf.fill(quick, AFTER, 2)
    one_shelf.assert_holds(BEFORE, {"n": 1})


def test_many_open_at_once_and_one_can_write(one_shelf: Shelf) -> None:
    tables = [one_shelf.table() for _ in range(6)]
    barrier = threading.Barrier(len(tables))
    opened: list[TableState] = []

    def work(table: TableState) -> None:
        barrier.wait()
        try:
            table.open(0)
        except Fenced:
            return
        opened.append(table)

    threads = [threading.Thread(target=work, args=[table]) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    epochs = [table.epoch for table in opened]
    assert len(set(epochs)) == len(epochs)
    newest = max(opened, key=lambda table: table.epoch)
    assert newest.epoch == max(table.epoch for table in tables)
    for table in opened:
        if table is not newest:
            with pytest.raises(Fenced):
                one_shelf.fill(table, AFTER, 9)
    one_shelf.fill(newest, BEFORE, 1)
    one_shelf.assert_holds(BEFORE, {"n": 1})
