"""masking_columns: texts lose their last characters, whole numbers their last digits, others are refused."""

from __future__ import annotations

import pytest

from connectors.errors import ConfigError, StreamNotFound
from tests.databases import PgDatabase
from tests.shapes.support import copy, rows


def test_texts_and_numbers(pg_database: PgDatabase) -> None:
    database = pg_database
    database.execute("""
        CREATE EXTENSION citext;
        CREATE TABLE people (id int PRIMARY KEY, t text, v varchar(5), c char(4), ci citext, n name,
                             i int, s smallint, b bigint);
        INSERT INTO people VALUES
            (1, 'abcdef', 'abcde', 'abcd', 'AbCdE', 'abcde', 12345, 999, 1234567890123),
            (2, 'ab', 'ab', 'ab', 'ab', 'ab', 7, 7, 7),
            (3, '', '', '', '', '', 0, 0, 0),
            (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
            (5, '\u00e9\u4f60\U0001f600xyz', '\u4f60\u597d\U0001f600', 'x', '\u00e9', '\u00e9\u00e9\u00e9\u00e9',
             -12345, -32768, -9223372036854775808)
    """)
    masks = [*([column, 3] for column in ("t", "v", "c", "ci", "n", "i", "s")), ["b", 18]]
    copy(database, "people", masking_columns=masks)
    assert rows(database, "arrived.people", "id, t, v, ci::text, n::text, i, s, b") == [
        (1, "abcXXX", "abXXX", "AbXXX", "abXXX", 12000, 0, 0),
        (2, "XX", "XX", "XX", "XX", 0, 0, 0),
        (3, "", "", "", "", 0, 0, 0),
        (4, None, None, None, None, None, None, None),
        (5, "\u00e9\u4f60\U0001f600XXX", "XXX", "X", "\u00e9XXX", -13000, -32000, -9000000000000000000),
    ]


def test_only_what_is_masked_changes_and_types_stay(pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE TABLE people (id int PRIMARY KEY, phone varchar(12), note text);"
        "INSERT INTO people VALUES (1, '+49301234567', 'x'); CREATE INDEX ON people (phone)"
    )
    copy(pg_database, "people", masking_columns=[["phone", 4]], col_rename={"phone": "tel"}, mode="mirroring")
    assert rows(pg_database, "arrived.people", "id, tel, note") == [(1, "+4930123XXXX", "x")]
    pg_database.execute("UPDATE people SET phone = '+49301239999'")
    # The masked value is the same, so nothing arrives.
    assert (
        copy(
            pg_database, "people", masking_columns=[["phone", 4]], col_rename={"phone": "tel"}, mode="mirroring"
        ).updated
        == 0
    )


@pytest.mark.parametrize("type_text", ["numeric", "real", "date", "uuid", "bytea", "json", "boolean", "text[]", "inet"])
def test_other_types_are_refused(pg_database: PgDatabase, type_text: str) -> None:
    pg_database.execute(f"CREATE TABLE people (id int PRIMARY KEY, secret {type_text})")
    with pytest.raises(ConfigError, match="`masking_columns` names column secret of type") as caught:
        copy(pg_database, "people", masking_columns=[["secret", 2]])
    assert "view" in str(caught.value)
    assert pg_database.value("SELECT to_regclass('arrived.people')") is None


def test_missing_column(pg_database: PgDatabase) -> None:
    pg_database.execute("CREATE TABLE people (id int PRIMARY KEY, secret text)")
    with pytest.raises(StreamNotFound, match=r"`masking_columns` names column secrets.*did you mean secret"):
        copy(pg_database, "people", masking_columns=[["secrets", 2]])
