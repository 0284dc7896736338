"""The sample shop: its tables, its rows, a day of changes, and a transaction that takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane.demo.place import SHOP, Place

_FOLDER = Path(__file__).resolve().parent
_LATE = """
INSERT INTO public.events (happened_at, kind, payload)
SELECT now(), 'late', jsonb_build_object('n', n) FROM generate_series(1, 300) n
"""


def load(place: Place, rows: int) -> int:
    """Make the shop with about so many rows and return how many there are."""
    _run(place, "shop_tables.sql", rows)
    _run(place, "shop_rows.sql", rows)
    connection = place.connect(SHOP)
    try:
        with connection.cursor() as cursor:
            # ANALYZE has just counted; a partitioned table counts its partitions too.
            cursor.execute(
                "SELECT sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace IN"
                " ('public'::regnamespace, 'sales'::regnamespace)"
            )
            row = cursor.fetchone()
            return int(row[0]) if row else 0
    finally:
        connection.close()


def change(place: Place) -> None:
    """Let a day pass: inserts, updates, deletions, a new column."""
    _run(place, "shop_changes.sql", 0)


@contextmanager
def late_transaction(place: Place) -> Iterator[None]:
    """Insert events in a transaction that is committed at the end, with the time of its beginning on every row."""
    connection = place.connect(SHOP)
    try:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute(_LATE)
        yield
        connection.commit()
    finally:
        connection.close()


def _run(place: Place, name: str, rows: int) -> None:
    connection = place.connect(SHOP)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('demo.rows', %s, false)", [str(rows)])
            cursor.execute((_FOLDER / name).read_text(encoding="utf-8"))
    finally:
        connection.close()
