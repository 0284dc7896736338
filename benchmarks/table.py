"""The bench table: 13 columns of the types that people have."""

from __future__ import annotations

COLUMNS = """
    id bigint NOT NULL PRIMARY KEY,
    token uuid NOT NULL,
    note text,
    amount numeric(14, 4),
    ratio double precision,
    is_active boolean,
    code varchar(40),
    payload jsonb,
    tags text[],
    day date,
    updated_at timestamptz NOT NULL,
    created_at timestamp,
    quantity integer
"""


def create(name: str) -> str:
    """DDL of an empty bench table."""
    return f"CREATE TABLE {name} ({COLUMNS})"


def fill(name: str, rows: int) -> str:
    """Rows whose bookmarks spread over the two years before last week, in key order."""
    return f"""
    INSERT INTO {name} SELECT
        n, md5(n::text)::uuid, 'note ' || md5((n * 7)::text), (n % 1000000) / 7.0, n / 3.0, n % 3 = 0,
        CASE WHEN n % 5 > 0 THEN 'code-' || n % 1000 END,
        jsonb_build_object('n', n, 'kind', n % 10, 'name', 'item ' || n % 500),
        ARRAY['a' || n % 10, 'b' || n % 7], date '2020-01-01' + (n % 2000)::int,
        now() - interval '7 days' - make_interval(secs => (n::bigint * 7919) % 63072000),
        timestamp '2021-01-01' + make_interval(secs => n), (n % 1000)::int
    FROM generate_series(1, {rows}) n
    """


def change_one_percent(name: str, number: int) -> str:
    """Touch every hundredth row, other ones for each number."""
    return _touch(name, number, f"id % 100 = {number}")


def change_one_percent_together(name: str, number: int, rows: int) -> str:
    """Touch one percent of the rows whose keys lie side by side, other ones for each number."""
    span = rows // 100
    return _touch(name, number, f"id > {number * span} AND id <= {(number + 1) * span}")


def _touch(name: str, number: int, which: str) -> str:
    return f"UPDATE {name} SET note = 'changed {number}', updated_at = now() WHERE {which}"
