"""Sets of parts on a real store: what is committed is there at once, what is not leaves nothing."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.base import RunReport
from connectors.destinations.s3.manifest import NewPart, StoredColumn
from connectors.destinations.s3.objects import PIECE_BYTES
from connectors.destinations.s3.pending import PENDING_KEY
from connectors.errors import DestinationError, Fenced, Stopped
from tests.builders import dying_at
from tests.destinations.s3.store import AFTER, BEFORE, Shelf, part_of
from tests.runner.plane import wait_until
from tests.s3_faults import Fault, How, S3Proxy


def test_set_is_invisible_until_it_is_committed(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    with table.publish() as publication:
        path = one_shelf.file(b"rows")
        publication.add(path, NewPart("a.parquet", 4))
        one_shelf.wait_until_gone(path)
        assert one_shelf.place.content() == {}
        assert one_shelf.place.open_uploads() == ["a.parquet"]
        manifest = publication.commit(position={"n": 1})
    assert manifest is table.manifest
    one_shelf.assert_holds({"a.parquet": b"rows"}, {"n": 1})


def test_set_adds_replaces_and_removes(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    one_shelf.fill(table, AFTER, 2)
    one_shelf.assert_holds(AFTER, {"n": 2})
    assert [part.key for part in table.manifest.parts] == list(AFTER)
    assert table.manifest.sequence == 2


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7])
def test_part_of_any_size_arrives_whole(one_shelf: Shelf, size: int, tmp_path: Path) -> None:
    body = os.urandom(size)
    table = one_shelf.opened()
    with table.publish() as publication:
        publication.add(one_shelf.file(body), NewPart("a.parquet", 1))
        publication.commit(position={"n": 1})
    part = part_of(table, "a.parquet")
    assert part.byte_count == size
    assert one_shelf.place.content() == {"a.parquet": body}
    table.objects.download(part, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == body


def test_all_that_a_set_says_is_in_the_manifest(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    column = StoredColumn("id", "int64", "bigint", "id")
    new = NewPart("x=1/a.parquet", 7, "x=1", "1", "9", "2024-01-01")
    with table.publish() as publication:
        publication.add(one_shelf.file(b"rows"), new)
        publication.commit(position={"n": 1}, columns=(column,), key=("id",), facts={"by": ["x"]}, first_copy=False)
    stored = one_shelf.table().stored_manifest()
    assert stored == table.manifest
    assert (stored.columns, stored.key, stored.facts, stored.first_copy) == ((column,), ("id",), {"by": ["x"]}, False)
    (part,) = stored.parts
    assert (part.rows, part.partition, part.key_min, part.key_max, part.snapshot) == (7, "x=1", "1", "9", "2024-01-01")


def test_set_without_a_position_keeps_it(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    with table.publish() as publication:
        publication.remove(part_of(table, "c.parquet"))
        publication.commit()
    one_shelf.assert_holds({key: body for key, body in BEFORE.items() if key != "c.parquet"}, {"n": 1})


def test_position_alone_is_one_write(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    pending = one_shelf.place.etag(PENDING_KEY)
    table.record_position({"n": 2})
    with table.publish() as publication:
        publication.commit(position={"n": 3})
    assert one_shelf.place.etag(PENDING_KEY) == pending
    one_shelf.assert_holds(BEFORE, {"n": 3})


def test_set_that_is_not_committed_leaves_nothing(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    paths = [one_shelf.file(bytes(20_000_000)), one_shelf.file(b"small")]
    with table.publish() as publication:
        publication.add(paths[0], NewPart("d.parquet", 1))
        publication.add(paths[1], NewPart("c.parquet", 1), replaces=part_of(table, "c.parquet"))
    one_shelf.assert_holds(BEFORE, {"n": 1})
    assert not any(path.exists() for path in paths)
    one_shelf.fill(table, AFTER, 2)
    one_shelf.assert_holds(AFTER, {"n": 2})


def test_file_whose_upload_is_being_begun_goes_with_its_set(one_shelf: Shelf, s3_proxy: S3Proxy) -> None:
    table = one_shelf.opened(place=replace(one_shelf.place, endpoint_url=s3_proxy.server.endpoint_url))
    path = one_shelf.file(b"rows")
    held = s3_proxy.add(Fault(How.HOLD, "CreateMultipartUpload"))
    with table.publish() as publication:
        publication.add(path, NewPart("a.parquet", 4))
        assert held.arrived()
        threading.Timer(0.2, held.release).start()
    assert not path.exists()
    assert one_shelf.place.open_uploads() == []


def _aborts(proxy: S3Proxy) -> int:
    return len(proxy.seen("AbortMultipartUpload"))


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_stop_waits_for_what_is_on_its_way_to_the_store(
    one_shelf: Shelf, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr("connectors.destinations.s3.workers._SILENCE_S", 20.0)
    monkeypatch.setattr("connectors.destinations.s3.workers._GRACE_S", 20.0)
    table = one_shelf.opened(place=replace(one_shelf.place, endpoint_url=s3_proxy.server.endpoint_url))
    held = s3_proxy.add(Fault(How.HOLD, operation))
    with pytest.raises(Stopped), table.publish() as publication:  # noqa: PT012 - the stop comes in between
        publication.add(one_shelf.file(b"rows"), NewPart("a.parquet", 4))
        assert held.arrived()
        table.cancel()
        threading.Timer(0.2, held.release).start()
        publication.commit()
    assert _aborts(s3_proxy) == 1
    assert one_shelf.place.open_uploads() == []


@pytest.mark.parametrize("is_stopped", [True, False])
def test_piece_that_hangs_keeps_no_other_upload_from_being_aborted(
    one_shelf: Shelf, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    monkeypatch.setattr("connectors.destinations.s3.publication._ABORT_SILENCE_S", 3.0)
    monkeypatch.setattr("connectors.destinations.s3.workers._SILENCE_S", 3.0)
    table = one_shelf.opened(place=replace(one_shelf.place, endpoint_url=s3_proxy.server.endpoint_url))
    path = one_shelf.file(b"rows")
    held = s3_proxy.add(Fault(How.HOLD, "UploadPart", "b.parquet"))
    with table.publish() as publication:
        publication.add(path, NewPart("a.parquet", 4))
        one_shelf.wait_until_gone(path)
        publication.add(one_shelf.file(b"rows"), NewPart("b.parquet", 4))
        assert held.arrived()
        if is_stopped:
            table.cancel()
    assert one_shelf.place.open_uploads() == []
    held.release()
    s3_proxy.wait_until_quiet()


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_answer_that_comes_after_the_set_was_aborted_leaves_no_upload(
    one_shelf: Shelf, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr("connectors.destinations.s3.workers._SILENCE_S", 0.1)
    table = one_shelf.opened(place=replace(one_shelf.place, endpoint_url=s3_proxy.server.endpoint_url))
    held = s3_proxy.add(Fault(How.HOLD, operation))
    with pytest.raises(Stopped), table.publish() as publication:  # noqa: PT012 - the stop comes in between
        publication.add(one_shelf.file(b"rows"), NewPart("a.parquet", 4))
        assert held.arrived()
        table.cancel()
        publication.commit()
    before = _aborts(s3_proxy)
    held.release()
    wait_until(lambda: _aborts(s3_proxy) > before, "the late upload to be aborted")
    wait_until(lambda: one_shelf.place.open_uploads() == [], "no upload to be open")


@pytest.mark.parametrize("point", ["after_spool", "before_upload", "after_upload", "before_dest_commit"])
def test_failure_before_the_commit_leaves_nothing_and_the_table_usable(one_shelf: Shelf, point: str) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    with dying_at(point):
        one_shelf.fill(table, AFTER, 2)
    one_shelf.assert_holds(BEFORE, {"n": 1})
    one_shelf.fill(table, AFTER, 2)
    one_shelf.assert_holds(AFTER, {"n": 2})


@pytest.mark.parametrize("point", ["during_publish:1", "during_publish:3", "after_publish"])
@pytest.mark.parametrize("again", ["same writer", "next run"])
def test_failure_after_the_commit_is_made_good(one_shelf: Shelf, point: str, again: str) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    with dying_at(point):
        one_shelf.fill(table, AFTER, 2)
    assert table.stored_position() == {"n": 2}
    if again == "next run":
        assert one_shelf.table().open(0).position == {"n": 2}
        one_shelf.assert_holds(AFTER, {"n": 2})
        with pytest.raises(Fenced):
            table.record_position({"n": 9})
        return
    table.record_position({"n": 3})
    one_shelf.assert_holds(AFTER, {"n": 3})


def test_parts_that_lose_rows_are_published_after_those_that_gain_them(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    with table.publish() as publication:
        publication.add(one_shelf.file(b"loses"), NewPart("c.parquet", 1), replaces=part_of(table, "c.parquet"))
        publication.add(one_shelf.file(b"gains"), NewPart("z.parquet", 1), gains_moved_rows=True)
        with dying_at("during_publish:2"):
            publication.commit(position={"n": 2})
    assert one_shelf.place.content() == {**BEFORE, "z.parquet": b"gains"}


def test_many_parts_are_published_together(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    content = {f"p={n}/part.parquet": str(n).encode() for n in range(60)}
    one_shelf.fill(table, content, 1)
    one_shelf.assert_holds(content, {"n": 1})


def test_who_produces_faster_than_the_store_takes_waits(one_shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.destinations.s3.publication._WAITING_BYTES", 1_000_000)
    table = one_shelf.opened()
    with table.publish() as publication:
        for number in range(5):
            publication.add(one_shelf.file(bytes(800_000)), NewPart(f"{number}.parquet", 1))
            assert sum(path.stat().st_size for path in one_shelf.directory.iterdir()) <= 1_600_000
        publication.commit(position={"n": 1})
    assert len(one_shelf.place.content()) == 5


def test_key_twice_in_a_set_is_refused(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    with table.publish() as publication:
        publication.add(one_shelf.file(b"1"), NewPart("a.parquet", 1))
        with pytest.raises(ValueError, match="in this set already"):
            publication.add(one_shelf.file(b"2"), NewPart("a.parquet", 1))


def test_new_part_never_overwrites_what_is_there(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    one_shelf.place.put("a.parquet", b"foreign")
    with pytest.raises(DestinationError, match="manifest --check"):
        one_shelf.fill(table, {"a.parquet": b"ours"}, 1)
    assert one_shelf.place.content() == {"a.parquet": b"foreign"}


def test_part_that_somebody_changed_is_not_overwritten_read_or_deleted(one_shelf: Shelf, tmp_path: Path) -> None:
    report = RunReport()
    table = one_shelf.opened(report=report)
    one_shelf.fill(table, BEFORE, 1)
    one_shelf.place.put("c.parquet", b"foreign")
    changed = part_of(table, "c.parquet")
    for read in (
        lambda: table.objects.open_input(changed).read(1),
        lambda: table.objects.download(changed, tmp_path / "c"),
    ):
        with pytest.raises(DestinationError, match=r"was changed by something other .* `manifest --check`"):
            read()
    with table.publish() as publication:
        publication.remove(changed)
        publication.commit(position={"n": 2})
    assert one_shelf.place.content()["c.parquet"] == b"foreign"
    one_shelf.place.delete("x=1/a.parquet")
    with pytest.raises(DestinationError, match=r"is missing, though .* `manifest --check`"):
        table.objects.open_input(part_of(table, "x=1/a.parquet")).read()


def test_part_is_read_by_pyarrow_in_ranges(one_shelf: Shelf, tmp_path: Path) -> None:
    rows = pa.table({"id": range(100_000), "name": [f"name {n}" for n in range(100_000)]})
    pq.write_table(rows, tmp_path / "local.parquet", row_group_size=10_000)
    table = one_shelf.opened()
    with table.publish() as publication:
        publication.add(tmp_path / "local.parquet", NewPart("a.parquet", rows.num_rows))
        publication.commit(position={"n": 1})
    source = table.objects.open_input(part_of(table, "a.parquet"))
    file = pq.ParquetFile(source, pre_buffer=True)
    assert file.read_row_group(3, columns=["id"])["id"].to_pylist() == list(range(30_000, 40_000))
    assert pq.read_table(table.objects.open_input(part_of(table, "a.parquet"))) == rows


def test_uploads_go_on_while_parts_are_produced(one_shelf: Shelf) -> None:
    table = one_shelf.opened()
    with table.publish() as publication:
        path = one_shelf.file(bytes(10_000_000))
        publication.add(path, NewPart("a.parquet", 1))
        one_shelf.wait_until_gone(path)
        publication.add(one_shelf.file(b"b"), NewPart("b.parquet", 1))
        publication.commit(position={"n": 1})
    assert len(one_shelf.place.content()) == 2


def test_no_thread_is_left(one_shelf: Shelf) -> None:
    # Those of a test before may still wait for a store that hung.
    of_others = set(threading.enumerate())
    table = one_shelf.opened()
    one_shelf.fill(table, BEFORE, 1)
    with table.publish() as publication:
        publication.add(one_shelf.file(b"b"), NewPart("b.parquet", 1))
    table.close()

    def own() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name.startswith("dms-s3")} - of_others

    wait_until(lambda: not own(), "the threads to end")
