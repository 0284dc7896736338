"""Manifest and pending set: what is written is what is read, and 20,000 parts stay usable."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.destinations.s3.manifest import Change, Manifest, Part, StoredColumn
from connectors.destinations.s3.pending import Deletion, Pending, PendingState, Upload

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_COUNT = st.integers(0, 2**63)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_OBJECT = st.dictionaries(_TEXT, _JSON, max_size=3)
_COLUMNS = st.lists(st.builds(StoredColumn, _TEXT, _TEXT, _TEXT, st.none() | _TEXT), max_size=3).map(tuple)
_NAMES = st.lists(_TEXT, max_size=3).map(tuple)
_MAYBE = st.none() | _TEXT
_BYTES = st.none() | _COUNT
_PART = st.builds(Part, _TEXT, _COUNT, _TEXT, _MAYBE, _MAYBE, _MAYBE, _COUNT, _TEXT, arrow_bytes=_BYTES)
_PARTS = st.lists(_PART, max_size=3).map(tuple)
_FLAG = st.none() | st.booleans()
_MANIFESTS = st.builds(
    Manifest,
    stream=_TEXT,
    epoch=_COUNT,
    sequence=_COUNT,
    set_id=_TEXT,
    position=st.none() | _OBJECT,
    first_copy=st.booleans(),
    columns=_COLUMNS,
    key=_NAMES,
    facts=_OBJECT,
    parts=_PARTS,
)
_CHANGES = st.builds(
    Change,
    _COUNT,
    position=st.none() | _OBJECT,
    columns=st.none() | _COLUMNS,
    key=st.none() | _NAMES,
    facts=st.none() | _OBJECT,
    first_copy=_FLAG,
    added=_PARTS,
    removed=_NAMES,
)
_PENDING = st.builds(
    Pending,
    epoch=_COUNT,
    set_id=_TEXT,
    state=st.sampled_from(PendingState),
    uploads=st.lists(st.builds(Upload, _TEXT, _TEXT, _NAMES, _MAYBE, st.booleans()), max_size=3).map(tuple),
    deletes=st.lists(st.builds(Deletion, _TEXT, _TEXT), max_size=3).map(tuple),
    change=st.none() | _CHANGES,
)


@given(_MANIFESTS)
def test_manifest_reads_back_as_written(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.dump("n")) == manifest


@given(_PENDING)
def test_pending_set_reads_back_as_written(pending: Pending) -> None:
    assert Pending.parse(pending.dump("n")) == pending


@given(_MANIFESTS)
def test_manifest_of_parts_without_their_bytes_in_memory_is_read(manifest: Manifest) -> None:
    raw = json.loads(manifest.dump("n"))
    raw["parts"] = [values[:8] for values in raw["parts"]]
    parts = tuple(replace(part, arrow_bytes=None) for part in manifest.parts)
    assert Manifest.parse(json.dumps(raw).encode()) == replace(manifest, parts=parts)


def test_no_two_writes_are_equal() -> None:
    manifest = Manifest("s", 1)
    assert manifest.dump("a") != manifest.dump("b")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"stream": "s"}', b"\xff"])
@pytest.mark.parametrize("kind", [Manifest, Pending])
def test_what_is_no_document_is_refused_without_quoting_it(kind: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON, or something in it is missing") as raised:
        kind.parse(body)
    assert raised.value.__cause__ is None


def test_document_of_a_newer_release_is_refused() -> None:
    raw = json.loads(Manifest("s", 1).dump("n")) | {"version": 2}
    with pytest.raises(ValueError, match="format version 2, this release reads 1"):
        Manifest.parse(json.dumps(raw).encode())


def test_document_that_lacks_something_is_refused() -> None:
    raw = json.loads(Manifest("s", 1).dump("n"))
    del raw["parts"]
    with pytest.raises(ValueError, match="missing"):
        Manifest.parse(json.dumps(raw).encode())


def test_position_that_json_cannot_hold_is_refused_rather_than_changed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Manifest("s", 1, position={"x": float("nan")}).dump("n")


def test_change_replaces_in_place_removes_and_appends() -> None:
    parts = tuple(Part(key, 1, etag=key.upper()) for key in ("a", "b", "c"))
    manifest = Manifest("s", 3, sequence=4, set_id="old", position={"n": 1}, first_copy=True, parts=parts)
    change = Change(5, position={"n": 2}, added=(Part("d", 4), Part("b", 2)), removed=("a",))

    changed = change.applied_to(manifest, "new", {"b": "B2", "d": "D"})

    assert [(part.key, part.rows, part.etag) for part in changed.parts] == [
        ("b", 2, "B2"),
        ("c", 1, "C"),
        ("d", 4, "D"),
    ]
    assert (changed.position, changed.sequence, changed.set_id) == ({"n": 2}, 5, "new")
    assert (changed.first_copy, changed.epoch, changed.stream) == (True, 3, "s")


def test_change_without_a_position_keeps_it() -> None:
    manifest = Manifest("s", 1, position={"n": 1}, facts={"f": 1})
    changed = Change(1, facts={"f": 2}, first_copy=False).applied_to(manifest, "set", {})
    assert (changed.position, changed.facts, changed.first_copy) == ({"n": 1}, {"f": 2}, False)


def test_manifest_of_20000_parts_is_small_and_fast() -> None:
    parts = tuple(
        Part(
            f"day_year=2024/day_month=1/day_day=5/part-{n:06d}-000001-00001.parquet",
            200_000,
            "day_year=2024/day_month=1/day_day=5",
            f"{n:020d}",
            f"{n + 1:020d}",
            None,
            130_000_000,
            f'"{n:032x}-16"',
            arrow_bytes=130_000_000,
        )
        for n in range(20_000)
    )
    manifest = Manifest("shop_DMS_orders_main", 7, parts=parts)
    began = time.process_time()
    body = manifest.dump("n")
    assert Manifest.parse(body) == manifest
    # Measured 0.2 s with an idle machine; the bound is for a busy one.
    assert time.process_time() - began < 1.5
    assert len(body) < 6_000_000
