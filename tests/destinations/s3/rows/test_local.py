"""What happens to rows on local disk, without a store: keys, buckets, images and files."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.destinations.s3.buckets import Buckets
from connectors.destinations.s3.keys import KeyForm, deduplicate
from connectors.destinations.s3.parts import LocalPart, PartWriter, Sizes
from connectors.destinations.s3.rewriting import differ
from connectors.destinations.s3.target import encoded

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80)
_BYTES = st.binary(max_size=80)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_MONEY = st.decimals(-(10**28), 10**28, places=2, allow_nan=False)
_FLOAT = st.floats(allow_nan=False).filter(lambda value: value != 0 or math.copysign(1, value) == 1)
_TIME = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))

_KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), _INT64),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.string(), _TEXT),
    (pa.binary(), _BYTES),
    (pa.decimal128(38, 2), _MONEY),
    (pa.float64(), _FLOAT),
    (pa.timestamp("us"), _TIME),
    (pa.date32(), st.dates()),
    (pa.bool_(), st.booleans()),
]


def order_of(value: Any) -> Any:
    """How PostgreSQL orders it: texts by their bytes, as COLLATE "C" does."""
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("type_", "values"), _KINDS, ids=lambda kind: str(kind) if isinstance(kind, pa.DataType) else ""
)
def test_encoded_keys_keep_order_and_identity(type_: pa.DataType, values: st.SearchStrategy[Any]) -> None:
    @given(st.lists(values, unique=True, min_size=1, max_size=20))
    def holds(keys: list[Any]) -> None:
        batch = pa.record_batch({"k": pa.array([keys[-1], *keys], type_)}).slice(1)
        form = KeyForm.of(["k"], batch.schema)
        array = form.encode(batch)
        assert [keys[n] for n in np.argsort(np.array(array.to_pylist(), object))] == sorted(keys, key=order_of)
        bounds = form.bounds(array)
        assert bounds is not None
        low, high = (form.bound(form.bound_text(each, is_upper=n == 1)) for n, each in enumerate(bounds))
        assert deduplicate(array, [0]).keys.between(low, high) == (0, len(keys))

    holds()


@given(st.lists(st.tuples(st.integers(-5, 5), _TEXT, _BYTES, _TEXT), unique=True, min_size=1, max_size=20))
def test_encoded_composite_keys_keep_order_and_identity(keys: list[tuple[Any, ...]]) -> None:
    columns = dict(zip("abcd", (list(each) for each in zip(*keys, strict=True)), strict=True))
    schema = pa.schema([("a", pa.int32()), ("b", pa.string()), ("c", pa.binary()), ("d", pa.string())])
    batch = pa.RecordBatch.from_pydict(columns, schema)
    texts = KeyForm.of(["a", "b", "c", "d"], schema).encode(batch).to_pylist()
    expected = sorted(keys, key=lambda key: tuple(map(order_of, key)))
    assert [key for _, key in sorted(zip(texts, keys, strict=True), key=lambda pair: pair[0])] == expected


@given(st.lists(st.lists(st.integers(0, 8), max_size=6), max_size=6), st.sampled_from([pa.int64(), pa.binary()]))
def test_of_equal_keys_the_last_counts(chunks: list[list[int]], type_: pa.DataType) -> None:
    flat = [key for chunk in chunks for key in chunk]
    starts = [sum(map(len, chunks[:n])) for n in range(len(chunks))]
    values: Sequence[Any] = flat if pa.types.is_int64(type_) else [bytes([key]) for key in flat]
    found = deduplicate(pa.array(values, type_), starts)
    last = {key: row for row, key in enumerate(flat)}
    assert found.rows.tolist() == [last[key] for key in sorted(last)]
    assert (found.doubled > 0) == any(len(set(chunk)) < len(chunk) for chunk in chunks)


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.lists(st.integers(0, 30), max_size=20),
    st.sampled_from([pa.int64(), pa.binary()]),
)
def test_keys_are_matched_whichever_are_more(ours: list[int], theirs: list[int], type_: pa.DataType) -> None:
    def array(keys: list[int]) -> pa.Array:
        return pa.array(keys if pa.types.is_int64(type_) else [bytes([key]) for key in keys], type_)

    rows, positions = deduplicate(array(ours), [0]).keys.match(array(theirs))
    place = {key: number for number, key in enumerate(sorted(ours))}
    expected = [(row, place[key]) for row, key in enumerate(theirs) if key in place]
    assert list(zip(rows.tolist(), positions.tolist(), strict=True)) == expected


@given(st.lists(st.lists(st.integers(0, 5), max_size=20), max_size=8), st.sampled_from([1, 200, 10**6]))
def test_buckets_give_back_each_row_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], run_bytes: int
) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    buckets = Buckets(tmp_path_factory.mktemp("buckets") / "spill", schema, run_bytes)
    expected: dict[int, list[int]] = defaultdict(list)
    row = 0
    for numbers in batches:
        ids = list(range(row, row + len(numbers)))
        row += len(numbers)
        for number, each in zip(numbers, ids, strict=True):
            expected[number].append(each)
        batch = pa.record_batch([pa.array(ids, pa.int64()), pa.array(["x" * each for each in numbers])], schema=schema)
        buckets.add(batch, np.array(numbers, np.int64))
    assert buckets.numbers() == sorted(expected)
    for number, ids in expected.items():
        assert buckets.table(number).column("id").to_pylist() == ids
        assert buckets.rows_of(number) == len(ids)
    buckets.close()


def test_wide_rows_go_to_their_buckets_too(tmp_path: Path) -> None:
    schema = pa.schema([("text", pa.string())])
    buckets = Buckets(tmp_path / "spill", schema, 10**9)
    texts = [str(n) * 40_000 for n in range(6)]
    buckets.add(pa.record_batch([pa.array(texts)], schema=schema), np.array([1, 0, 0, 1, 2, 1]))
    assert buckets.table(1).column("text").to_pylist() == [texts[0], texts[3], texts[5]]
    buckets.close()
    assert list(tmp_path.iterdir()) == []


def test_images_differ_where_their_bits_do() -> None:
    nan = math.nan
    old = pa.array([0.0, -0.0, nan, None, None, 1.0, nan])
    new = pa.array([-0.0, -0.0, nan, None, 0.0, None, 1.0])
    assert differ(old, new).tolist() == [True, False, False, False, True, True, True]
    assert differ(pa.array(["a", None, ""]), pa.array(["a", "", None])).tolist() == [False, True, True]
    one, other = pa.array([Decimal("1.50")]), pa.array([Decimal("1.51")])
    assert differ(one, other).tolist() == [True]


def test_files_are_cut_by_rows_and_by_bytes(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    made: list[LocalPart] = []
    numbers = iter(range(100))
    sizes = Sizes(part_rows=1000, group_rows=400, part_bytes=200_000, group_bytes=40_000)
    form = KeyForm.of(["id"], schema)
    writer = PartWriter(lambda: tmp_path / str(next(numbers)), schema, form, sizes, made.append)
    ids = pa.array(range(2100))
    writer.write(pa.record_batch([ids, pa.repeat("x", 2100)], schema=schema))
    writer.write(pa.record_batch([pa.array(range(50)), pa.repeat("x" * 10_000, 50)], schema=schema))
    writer.close()
    assert sum(part.rows for part in made) == 2150
    assert [part.rows for part in made[:2]] == [1000, 1000]
    assert len(made) > 4
    for part in made:
        metadata = pq.ParquetFile(part.path).metadata
        assert max(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)) <= 400
    assert (made[1].key_min, made[1].key_max) == ("1000", "1999")


def test_names_of_directories_stay_within_one_level() -> None:
    assert [encoded(text) for text in ("a/b", "..", "%", "\u00fc", "a b")] == [
        "a%2Fb",
        "%2E%2E",
        "%25",
        "\u00fc",
        "a b",
    ]
