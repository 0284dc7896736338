"""Narrow rows that become wide ones: of what replaces the rows of one row group, only a slice is in memory."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from connectors.destinations.s3.buckets import Buckets
from tests.destinations.s3.rows.tables import SMALL, Table, schema_of
from tests.destinations.s3.rows.test_upsert import numbered

GROUP_BYTES = 20_000
WIDTH = 700
WIDEST = 10 * WIDTH * len("500x")
SIZES = replace(SMALL, group_bytes=GROUP_BYTES)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was loaded at once."""
    sizes: list[int] = []
    table = Buckets.table

    def watched(buckets: Buckets, number: int) -> pa.Table:
        found = table(buckets, number)
        sizes.append(found.nbytes)
        return found

    monkeypatch.setattr(Buckets, "table", watched)
    return sizes


def widened(numbers: range, word: str = "x") -> list[tuple[int, str]]:
    """The rows in another order than they lie in; one of them is wider than a row group."""
    ordered = sorted(numbers, key=lambda n: (n * 7919) % 3001)
    return [(n, f"{n}{word}" * (WIDTH if n != 500 else 10 * WIDTH)) for n in ordered]


def test_rows_that_become_wide_are_rewritten_in_slices(table: Table, loaded: list[int]) -> None:
    table.sizes = SIZES
    table.copy(numbered(1500))
    wide = widened(range(0, 1500, 2))
    assert table.upsert(wide).updated == 750
    assert table.content() == sorted((dict(numbered(1500)) | dict(wide)).items())
    assert table.upsert(wide).updated == 0
    again = widened(range(0, 1500, 2), "y")
    assert table.upsert(again).updated == 750
    assert table.content() == sorted((dict(numbered(1500)) | dict(again)).items())
    assert len(loaded) > 100
    assert max(loaded) < GROUP_BYTES + WIDEST + 1000


def test_rows_become_wide_while_others_leave_their_part(table: Table) -> None:
    table.schema = schema_of({"id": "bigint", "country": "text", "name": "text"})
    table.spec, table.sizes = {"partition_col": "country"}, SIZES
    rows = {n: (n, "de", f"row {n}") for n in range(900)}
    table.copy(list(rows.values()))
    changed = {n: (n, ("de", "fr")[n % 3 == 0], text) for n, text in widened(range(0, 900, 2))}
    done = table.upsert(list(changed.values()))
    assert (done.inserted, done.updated) == (0, 450)
    assert table.content() == sorted((rows | changed).values())
    assert {part.partition: part.rows for part in table.manifest().parts} == {"country=de": 750, "country=fr": 150}
