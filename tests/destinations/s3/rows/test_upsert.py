"""Upserts and inserts: only parts that hold changed rows are rewritten, and each row is there once."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import Options, Write
from connectors.errors import SourceError
from tests.destinations.s3.rows.tables import SMALL, Table, schema_of

NAN = float("nan")


def numbered(count: int, start: int = 0, word: str = "row") -> list[tuple[int, str]]:
    """Rows with an id and a text."""
    return [(n, f"{word} {n}") for n in range(start, start + count)]


def test_changed_rows_are_updated_and_new_ones_inserted(table: Table) -> None:
    table.copy(numbered(10))
    done = table.upsert([(3, "changed"), (4, "row 4"), (10, "new")])
    assert (done.inserted, done.updated) == (1, 1)
    rows = dict(numbered(10)) | {3: "changed", 10: "new"}
    assert table.content() == sorted(rows.items())


def test_only_parts_with_changed_rows_are_rewritten(table: Table) -> None:
    table.sizes = SMALL
    table.copy(numbered(5000))
    before = table.parts
    assert len(before) == 5
    done = table.upsert([(2500, "changed"), *numbered(700, 3000)])
    assert (done.inserted, done.updated) == (0, 1)
    after = table.parts
    assert after.keys() == before.keys()
    changed = [key for key in after if after[key] != before[key]]
    assert len(changed) == 1
    assert dict(table.content())[2500] == "changed"


def test_equal_images_are_no_updates(table: Table) -> None:
    """NULL equals NULL, NaN equals NaN, and 0 is not -0."""
    types = {"id": "bigint", "f": "double precision", "g": "real", "n": "numeric(9,2)", "t": "text", "b": "bytea"}
    table.schema = schema_of({**types, "at": "timestamp without time zone", "flag": "boolean"})
    rows: list[tuple[Any, ...]] = [
        (1, NAN, NAN, Decimal("1.50"), "", b"", dt.datetime(2024, 1, 1), True),
        (2, -0.0, 0.0, None, None, None, None, None),
        (3, math.inf, -math.inf, Decimal("-0.01"), "\u00fc", b"\x00\xff", dt.datetime(1, 1, 1), False),
    ]
    table.copy(rows)
    before = table.parts
    done = table.upsert(rows)
    assert (done.inserted, done.updated) == (0, 0)
    assert table.parts == before
    changes: list[tuple[Any, ...]] = [
        (1, NAN, 0.0, Decimal("1.50"), None, b"", dt.datetime(2024, 1, 1), True),
        (2, 0.0, 0.0, None, None, None, None, None),
        (3, math.inf, -math.inf, Decimal("-0.01"), "\u00fc", b"\x00\xff", dt.datetime(1, 1, 1), None),
    ]
    assert table.upsert(changes).updated == 3
    assert table.parts != before
    second, third = table.content("id, f, flag")[1:3]
    assert math.copysign(1, second[1]) == 1
    assert third[2] is None


def test_insert_never_touches_a_row_that_is_there(table: Table) -> None:
    table.copy(numbered(3))
    done = table.upsert([(1, "changed"), (3, "new")], write=Write.INSERT)
    assert (done.inserted, done.updated) == (1, 0)
    assert table.content() == [*numbered(3), (3, "new")]


def test_of_two_chunks_the_later_counts(table: Table) -> None:
    """The buffer pass reads rows again in a later snapshot, within one commit."""
    table.copy(numbered(3))
    first = table.chunk([(1, "first"), (7, "first")], position={"n": 2})
    second = table.chunk([(7, "second"), (1, "second")], position={"n": 3})
    done = table.run(first, second)
    assert [commit.position for commit in done.commits] == [{"n": 3}]
    assert table.content() == [(0, "row 0"), (1, "second"), (2, "row 2"), (7, "second")]
    assert (done.inserted, done.updated, done.commits[0].read) == (1, 1, 4)


def test_chunks_are_grouped_up_to_a_number_of_bytes(table: Table) -> None:
    table.copy(numbered(3))
    table.options = Options(connect_timeout_s=5, commit_bytes=1)
    chunks = [table.chunk([(n, "new")], position={"n": n}) for n in range(3, 6)]
    assert [commit.position for commit in table.run(*chunks).commits] == [{"n": 3}, {"n": 4}, {"n": 5}]


def test_one_key_twice_in_a_chunk_is_refused(table: Table) -> None:
    table.schema = schema_of({"id": "bigint", "name": "text"}, key_is_unique=False)
    table.copy(numbered(3))
    before = table.parts
    with pytest.raises(SourceError, match=r"1 keys \(id\) stand in more than one row"):
        table.upsert([(5, "a"), (6, "b"), (5, "c")])
    with pytest.raises(SourceError, match="1 rows have NULL in the key"):
        table.upsert([(5, "a"), (None, "b")])
    assert table.parts == before


def test_rows_without_some_columns_leave_those_alone(table: Table) -> None:
    table.schema = schema_of({"id": "bigint", "name": "text", "note": "text"})
    table.copy([(1, "a", "kept"), (2, "b", "kept")])
    table.run(table.chunk([(1, "changed"), (3, "new")], columns=["id", "name"]))
    assert table.content() == [(1, "changed", "kept"), (2, "b", "kept"), (3, "new", None)]


@pytest.mark.parametrize(
    ("types", "keys"),
    [
        ({"id": "uuid"}, ["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ({"id": "text"}, ["", "a", "A", "\u00e4", "z" * 300, "\U0001f600"]),
        ({"id": "timestamp without time zone"}, [dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 0, 1)]),
        ({"id": "date"}, [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(9999, 12, 31)]),
        ({"id": "numeric(12,2)"}, [Decimal("-10.00"), Decimal("-9.99"), Decimal("0.00"), Decimal("9.99")]),
        ({"id": "numeric"}, [Decimal("-1E+20"), Decimal("0.000000001")]),
        ({"id": "bytea"}, [b"", b"\x00", b"\x00\x00", b"\xff" * 100]),
        ({"id": "double precision"}, [-math.inf, -1.5, 0.0, 1e300]),
        ({"id": "smallint"}, [-32768, 0, 32767]),
        ({"id": "boolean"}, [False, True]),
    ],
    ids=lambda value: value["id"] if isinstance(value, dict) else "",
)
def test_keys_of_every_type(table: Table, types: dict[str, str], keys: list[Any]) -> None:
    table.schema = schema_of({**types, "name": "text"})
    table.copy([(key, "old") for key in keys[:-1]])
    assert table.upsert([(key, "old") for key in keys[:-1]]).updated == 0
    done = table.upsert([(key, "new") for key in keys])
    assert (done.inserted, done.updated) == (1, len(keys) - 1)
    assert sorted(table.arrow().column("id").to_pylist()) == sorted(keys)
    assert {name for (name,) in table.content("name")} == {"new"}


def test_composite_keys(table: Table) -> None:
    """Also where one key's text is the beginning of another's."""
    table.schema = schema_of({"a": "text", "b": "integer", "c": "text", "v": "text"}, key=("a", "b", "c"))
    keys = [("x", 1, ""), ("x", 1, "y"), ("x", -1, "y"), ("", 1, "xy"), ("xy", 1, "")]
    table.copy([(*key, "old") for key in keys])
    done = table.upsert([(*keys[2], "new"), ("xy", 1, "z", "new"), (*keys[0], "old")])
    assert (done.inserted, done.updated) == (1, 1)
    assert table.content("a, b, c", "v, a, b, c")[:2] == [("x", -1, "y"), ("xy", 1, "z")]
    assert len(table.content()) == 6


def test_keys_that_the_table_lacks_are_named(table: Table) -> None:
    table.schema = schema_of({"id": "timestamp without time zone", "n": "numeric(5,2)"}, key=("id", "n"))
    at = dt.datetime(2024, 1, 2, 3, 4, 5, 6)
    table.copy([(at, Decimal("1.00"))])
    with table.opened() as (destination, _, _):
        asked = table.rows((at, Decimal("1.00")), (at, Decimal("2.50")))
        assert destination.missing_keys(asked) == [("2024-01-02 03:04:05.000006", "2.5")]


def test_question_for_missing_keys_sees_what_was_yielded_before(table: Table) -> None:
    table.copy(numbered(3))
    with table.opened() as (destination, _, _):
        answers = []

        def chunks() -> Any:
            yield table.chunk([(10, "new")], position={"n": 2})
            answers.append(destination.missing_keys(table.rows((10,), (11,), columns=["id"])))
            yield table.chunk([(11, "new")], position={"n": 3})

        commits = list(destination.write(chunks()))
    assert answers == [[("11",)]]
    assert [commit.position for commit in commits] == [{"n": 2}, {"n": 3}]


def test_empty_sync_writes_the_manifest_and_nothing_else(table: Table) -> None:
    table.copy(numbered(3))
    with table.opened() as (destination, _, _):
        before = table.bucket.etags(table.place.prefix)
        (commit,) = destination.write([table.chunk([], position={"n": 9})])
        destination.finish()
        after = table.bucket.etags(table.place.prefix)
    assert commit.position == {"n": 9}
    changed = [key.removeprefix(table.place.prefix) for key in after if after[key] != before.get(key)]
    assert changed == ["_dms/manifest.json"]


def test_new_rows_join_the_last_part_while_it_is_small(table: Table) -> None:
    table.sizes = SMALL
    table.copy(numbered(1400))
    table.upsert(numbered(100, 1400))
    assert [part.rows for part in table.manifest().parts] == [1000, 500]
    table.upsert(numbered(700, 1500))
    assert [part.rows for part in table.manifest().parts] == [1000, 1000, 200]
    assert table.content() == numbered(2200)


def test_full_comparison_of_many_rows(table: Table) -> None:
    """Every row of every part is staged, in another order than it lies, and some have changed."""
    table.sizes = SMALL
    rows = dict(numbered(3000))
    table.copy(list(rows.items()))
    changed = dict.fromkeys(range(0, 3000, 7), "changed")
    staged = sorted((rows | changed).items(), key=lambda row: (row[0] * 7919) % 3001)
    done = table.upsert(staged)
    assert (done.inserted, done.updated) == (0, len(changed))
    assert table.content() == sorted((rows | changed).items())
