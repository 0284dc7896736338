"""Values that are equal to PostgreSQL and yet not the same: an update that changes only such a value arrives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane.sandbox import PostgresServer
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase, new_database
from tests.types.support import differing

PAIRS = {
    "interval": ("30 days", "1 mon"),
    "citext": ("Name", "nAME"),
    "numeric": ("1.0", "1.00"),
    "double precision": ("-0", "0"),
    "real": ("0", "-0"),
    "json": ('{"a":1}', '{"a": 1}'),
    "jsonb": ("1.0", "1.00"),
    "point": ("(0,0)", "(-0,0)"),
    "box": ("(1,1),(0,0)", "(1,1),(-0,0)"),
    "circle": ("<(0,0),1>", "<(1e-7,0),1>"),
    "time with time zone": ("12:00:00+00", "13:00:00+01"),
    "numeric[]": ("{1.0}", "{1.00}"),
    "integer[]": ("{1,2}", "[0:1]={1,2}"),
    "numrange": ("[1.0,2]", "[1.00,2]"),
    "text": ("a", "a "),
    "character varying": ("\u00e9", "e\u0301"),
}
KEYS = ("interval", "citext", "numeric", "double precision", "jsonb", "numeric[]", "numrange")


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PgDatabase]:
    """One for all; each type has a table of its own."""
    with new_database(postgres) as made:
        made.execute("CREATE EXTENSION citext")
        yield made


@pytest.mark.parametrize("partitioned", [False, True], ids=["plain", "partitioned"])
def test_update_that_equality_does_not_see(database: PgDatabase, partitioned: bool) -> None:
    """Row n changes in the column of the n-th type only."""
    name = f"seen{partitioned:d}"
    columns = [f"c{place}" for place in range(len(PAIRS))]
    definitions = ", ".join(f"{column} {type_text}" for column, type_text in zip(columns, PAIRS, strict=True))
    database.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, created_at timestamp DEFAULT '2024-01-01', {definitions});"
    )
    first = [before for before, _ in PAIRS.values()]
    for row in range(len(PAIRS) + 1):
        database.execute(
            f"INSERT INTO {name} (id, {', '.join(columns)}) VALUES ({', '.join(['%s'] * (1 + len(columns)))})",
            [row, *first],
        )
    spec = {"partition_col": "created_at", "partition_col_format": "datetime"} if partitioned else {}
    raw = make_mapping(database, database, make_table(name, bookmark=False, strict=True, **spec))
    run_once(raw)
    assert run_once(raw).updated == 0
    for row, (_, after) in enumerate(PAIRS.values()):
        database.execute(f"UPDATE {name} SET c{row} = %s WHERE id = %s", [after, row])
    result = run_once(raw)
    assert differing(database, ["id", "created_at", *columns], name) == []
    assert (result.inserted, result.updated) == (0, len(PAIRS))
    assert run_once(raw).updated == 0


@pytest.mark.parametrize(("type_text", "partitioned"), [*((key, False) for key in KEYS), ("citext", True)])
def test_key_that_changes_to_an_equal_one(database: PgDatabase, type_text: str, partitioned: bool) -> None:
    name = f"key{KEYS.index(type_text)}{partitioned:d}"
    before, after = PAIRS[type_text]
    database.execute(
        f"CREATE TABLE {name} (k {type_text} PRIMARY KEY, created_at timestamp, updated_at timestamptz DEFAULT now());"
        f"INSERT INTO {name} VALUES ('{before}', '2024-01-01')"
    )
    spec = {"partition_col": "created_at", "partition_col_format": "datetime"} if partitioned else {}
    keys = {"mode": "mirroring", "primary_key": "k", "primary_key_datatype": "str", "strict": True}
    raw = make_mapping(database, database, make_table(name, **keys, **spec))
    run_once(raw)
    database.execute(f"UPDATE {name} SET k = '{after}', updated_at = clock_timestamp()")
    result = run_once(raw)
    assert (result.inserted, result.updated, result.deleted) == (0, 1, 0)
    assert differing(database, ["k"], name, key="k") == []
    assert run_once(raw).updated == 0


def test_key_alone_changes_to_an_equal_one_and_the_table_has_no_other_column(database: PgDatabase) -> None:
    database.execute("CREATE TABLE only_key (k citext PRIMARY KEY); INSERT INTO only_key VALUES ('Name')")
    spec = {"primary_key": "k", "primary_key_datatype": "str", "bookmark": False}
    raw = make_mapping(database, database, make_table("only_key", **spec))
    run_once(raw)
    database.execute("UPDATE only_key SET k = 'NAME'")
    assert run_once(raw).updated == 1
    assert database.rows("SELECT k FROM arrived.only_key") == [("NAME",)]
