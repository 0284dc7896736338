"""A comparison finds every planted difference by its key, and says `equal` only when it is so."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import comparison as module
from connectors.comparison import Difference, Verdict
from connectors.errors import DestinationError
from connectors.positions import EMPTY_SNAPSHOT
from controlplane.sandbox import PostgresServer
from tests.builders import make_mapping, make_table, run_once
from tests.databases import CYRILLIC, PgDatabase, new_database
from tests.verbs.support import compare_once, named

Databases = tuple[PgDatabase, PgDatabase]

ITEMS = """
CREATE TABLE items (
    id bigint PRIMARY KEY, note text, amount numeric, ratio double precision, span interval, doc jsonb, tags text[],
    at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO items
SELECT n, 'note ' || n, 1.0, 0.0, '30 days', jsonb_build_object('n', n), ARRAY['a', NULL, n::text], now(), now()
  FROM generate_series(1, 2000) n;
"""
DUMP: dict[str, Any] = {"mode": "dumping", "bookmark": ..., "primary_key": ..., "primary_key_datatype": ...}


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(ITEMS)
    return two_databases


@pytest.fixture(params=["one range", "many ranges"])
def ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are one range; with small limits they are cut as large ones are."""
    if request.param == "many ranges":
        monkeypatch.setattr(module, "RANGE_ROWS", 300)
        monkeypatch.setattr(module, "_DRILLED_ROWS", 50)
        monkeypatch.setattr(module, "_MOST_PARTS", 4)


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("mode", ["syncing", "mirroring", "logging"])
def test_what_was_just_copied_is_equal(databases: Databases, mode: str) -> None:
    databases[0].execute("ANALYZE items")
    raw = make_mapping(*databases, make_table("items", mode=mode))
    run_once(raw)
    found = compare_once(raw)
    assert found.verdict is Verdict.EQUAL, found.reasons
    assert (found.source_rows, found.destination_rows, found.mismatches) == (2000, 2000, 0)
    assert found.differing == []
    assert found.reasons == []


@pytest.mark.usefixtures("ranges")
def test_each_planted_difference_is_named_by_its_key(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    source, destination = databases
    source.execute(
        "UPDATE items SET note = '' WHERE id = 10; UPDATE items SET note = NULL WHERE id = 11; ANALYZE items"
    )
    run_once(raw)
    destination.execute(
        "DELETE FROM arrived.items WHERE id IN (1, 777);"
        "INSERT INTO arrived.items (id, at, updated_at) VALUES (0, now(), now()), (5000, now(), now());"
        "UPDATE arrived.items SET note = 'changed' WHERE id = 2;"
        "UPDATE arrived.items SET note = NULL WHERE id = 10;"
        "UPDATE arrived.items SET note = '' WHERE id = 11;"
        "UPDATE arrived.items SET amount = 1.00 WHERE id = 12;"
        "UPDATE arrived.items SET ratio = '-0' WHERE id = 13;"
        "UPDATE arrived.items SET span = '1 mon' WHERE id = 14;"
        "UPDATE arrived.items SET tags = ARRAY['a', 'NULL', '15'] WHERE id = 15;"
        "UPDATE arrived.items SET at = at + interval '1 microsecond' WHERE id = 2000"
    )
    found = compare_once(raw, named_keys=100)
    assert found.verdict is Verdict.DIFFERENT
    changed = {(str(key),): Difference.CHANGED for key in (2, 10, 11, 12, 13, 14, 15, 2000)}
    assert named(found) == changed | {
        ("1",): Difference.MISSING,
        ("777",): Difference.MISSING,
        ("0",): Difference.EXTRA,
        ("5000",): Difference.EXTRA,
    }
    assert found.counts == {Difference.CHANGED: 8, Difference.MISSING: 2, Difference.EXTRA: 2}
    assert found.is_counted


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("mode", ["syncing", "logging"])
def test_rows_deleted_at_the_source_are_allowed_where_the_mode_keeps_them(databases: Databases, mode: str) -> None:
    raw = make_mapping(*databases, make_table("items", mode=mode))
    run_once(raw)
    databases[0].execute("DELETE FROM items WHERE id % 3 = 0; ANALYZE items")
    found = compare_once(raw)
    assert found.verdict is Verdict.EQUAL
    assert found.counts[Difference.EXTRA] == 666
    assert set(named(found).values()) == {Difference.EXTRA}
    databases[1].execute("UPDATE arrived.items SET note = 'changed' WHERE id = 1999")
    found = compare_once(raw)
    assert found.verdict is Verdict.DIFFERENT
    assert found.differing[0].key == ("1999",)
    assert found.counts == {Difference.EXTRA: 666, Difference.CHANGED: 1}


def test_mirroring_allows_no_extra_row(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    databases[0].execute("DELETE FROM items WHERE id = 5")
    found = compare_once(raw)
    assert (found.verdict, named(found)) == (Verdict.DIFFERENT, {("5",): Difference.EXTRA})


@pytest.mark.usefixtures("ranges")
def test_the_search_ends_when_enough_keys_are_named(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    databases[1].execute("UPDATE arrived.items SET note = 'changed'")
    found = compare_once(raw, named_keys=7)
    assert found.verdict is Verdict.DIFFERENT
    assert (len(found.differing), found.counts[Difference.CHANGED], found.is_counted) == (7, 7, False)
    assert "at least 7 rows differ" in found.reasons


@pytest.mark.usefixtures("ranges")
def test_an_emptied_source_and_an_emptied_destination_differ(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    source, destination = databases
    destination.execute("CREATE TABLE kept AS TABLE arrived.items; TRUNCATE arrived.items")
    found = compare_once(raw, named_keys=5000)
    assert (found.verdict, found.counts) == (Verdict.DIFFERENT, {Difference.MISSING: 2000})
    destination.execute("INSERT INTO arrived.items TABLE kept")
    source.execute("TRUNCATE items; ANALYZE items")
    found = compare_once(raw, named_keys=5000)
    assert (found.verdict, found.counts) == (Verdict.DIFFERENT, {Difference.EXTRA: 2000})


@pytest.mark.usefixtures("ranges")
def test_a_row_that_arrived_twice_is_found(databases: Databases) -> None:
    partitioned = make_table("items", mode="mirroring", partition_col="at", partition_col_format="datetime")
    raw = make_mapping(*databases, partitioned)
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    databases[1].execute("INSERT INTO arrived.items SELECT * FROM arrived.items WHERE id IN (3, 4)")
    found = compare_once(raw)
    assert found.verdict is Verdict.DIFFERENT
    assert named(found) == {("3",): Difference.REPEATED, ("4",): Difference.REPEATED}


@pytest.mark.usefixtures("ranges")
def test_text_and_composite_keys_are_found(two_databases: Databases) -> None:
    source, destination = two_databases
    source.execute(
        "CREATE TABLE words (word text, place int, note text, updated_at timestamptz DEFAULT now(),"
        " PRIMARY KEY (word, place));"
        "INSERT INTO words SELECT w || n, p, 'n' FROM unnest(ARRAY['a', 'B', 'ä', '_', 'Z', 'ß', '\"', '''', '%s']) w,"
        " generate_series(1, 40) n, generate_series(1, 3) p; ANALYZE words"
    )
    spec = make_table("words", mode="mirroring", primary_key=["word", "place"], primary_key_datatype=["str", "int"])
    raw = make_mapping(source, destination, spec)
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    destination.execute(
        "DELETE FROM arrived.words WHERE word = 'ä7' AND place = 2;"
        "UPDATE arrived.words SET note = 'x' WHERE word = '%s1' AND place = 3;"
        "INSERT INTO arrived.words VALUES ('zz', 9, 'n', now())"
    )
    assert named(compare_once(raw)) == {
        ("ä7", "2"): Difference.MISSING,
        ("%s1", "3"): Difference.CHANGED,
        ("zz", "9"): Difference.EXTRA,
    }


def test_a_key_listed_in_another_order_than_the_columns(two_databases: Databases) -> None:
    source, destination = two_databases
    source.execute(
        "CREATE TABLE pairs (a int, b int, updated_at timestamptz DEFAULT now(), PRIMARY KEY (b, a));"
        "INSERT INTO pairs SELECT n, 1000 - n FROM generate_series(1, 100) n"
    )
    raw = make_mapping(source, destination, make_table("pairs", primary_key=["b", "a"]))
    run_once(raw)
    destination.execute("DELETE FROM arrived.pairs WHERE a = 10")
    assert named(compare_once(raw)) == {("990", "10"): Difference.MISSING}


def test_renamed_and_masked_columns_are_compared_as_they_arrive(databases: Databases) -> None:
    spec = make_table("items", mode="mirroring", col_rename={"note": "remark"}, masking_columns=[["note", 2]])
    raw = make_mapping(*databases, spec)
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    databases[1].execute("UPDATE arrived.items SET remark = 'note 9' WHERE id = 9")
    assert named(compare_once(raw)) == {("9",): Difference.CHANGED}


def test_columns_that_only_the_destination_has_are_ignored_and_listed(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    databases[0].execute("ALTER TABLE items DROP COLUMN note")
    databases[1].execute("ALTER TABLE arrived.items ADD COLUMN mine text DEFAULT 'x'")
    found = compare_once(raw)
    assert found.verdict is Verdict.EQUAL
    assert found.ignored_columns == ("note", "mine")


def test_a_column_that_the_destination_lacks_is_a_difference(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    databases[0].execute("ALTER TABLE items ADD COLUMN fresh int DEFAULT 1")
    found = compare_once(raw)
    assert (found.verdict, found.absent_columns) == (Verdict.DIFFERENT, ("fresh",))


def test_without_a_key_at_the_destination_the_answer_is_unknown(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", mode="mirroring"))
    run_once(raw)
    databases[1].execute("ALTER TABLE arrived.items RENAME COLUMN id TO number")
    found = compare_once(raw)
    assert found.verdict is Verdict.UNKNOWN
    assert "key column id" in found.reasons[0]


def test_a_missing_table_is_an_error_and_not_equal(databases: Databases) -> None:
    with pytest.raises(DestinationError, match="run the stream first"):
        compare_once(make_mapping(*databases, make_table("items")))


@pytest.mark.usefixtures("ranges")
def test_a_dump_is_compared_with_its_latest_snapshot(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items", **DUMP))
    run_once(raw)
    databases[0].execute("DELETE FROM items WHERE id > 1500; ANALYZE items")
    run_once(raw)
    found = compare_once(raw)
    assert (found.verdict, found.source_rows, found.destination_rows) == (Verdict.EQUAL, 1500, 1500)
    databases[0].execute("UPDATE items SET note = 'later' WHERE id = 1500")
    assert named(compare_once(raw)) == {("1500",): Difference.CHANGED}


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("strict", [True, False])
def test_a_dump_is_compared_with_its_newest_snapshot_when_that_is_empty_too(
    databases: Databases, *, strict: bool
) -> None:
    raw = make_mapping(*databases, make_table("items", strict=strict, **DUMP))
    assert EMPTY_SNAPSHOT not in run_once(raw).report.warnings
    databases[0].execute("DELETE FROM items")
    assert EMPTY_SNAPSHOT in run_once(raw).report.warnings
    found = compare_once(raw)
    assert (found.verdict, found.source_rows, found.destination_rows) == (Verdict.EQUAL, 0, 0)
    databases[0].execute("INSERT INTO items (id) VALUES (7)")
    assert named(compare_once(raw)) == {("7",): Difference.MISSING}
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("encodings", [("WIN1251", "UTF8"), ("UTF8", "WIN1251"), ("SQL_ASCII", "SQL_ASCII")])
def test_texts_are_compared_whatever_encoding_a_database_keeps_them_in(
    postgres: PostgresServer, encodings: tuple[str, str]
) -> None:
    with (
        new_database(postgres, "source", encoding=encodings[0]) as source,
        new_database(postgres, "destination", encoding=encodings[1]) as destination,
    ):
        source.execute(CYRILLIC)
        raw = make_mapping(source, destination, make_table("items", primary_key_datatype="str"))
        run_once(raw)
        found = compare_once(raw)
        assert (found.verdict, found.source_rows, found.destination_rows) == (Verdict.EQUAL, 900, 900)
        source.execute("UPDATE items SET note = '\u044f' WHERE id IN ('\u04511', '\u0430104')")
        assert named(compare_once(raw)) == {("\u04511",): Difference.CHANGED, ("\u0430104",): Difference.CHANGED}


@pytest.mark.usefixtures("ranges")
def test_a_key_that_the_source_s_encoding_cannot_write_is_one_row_more_at_the_destination(
    postgres: PostgresServer,
) -> None:
    with new_database(postgres, "source", encoding="WIN1251") as source, new_database(postgres) as destination:
        source.execute(CYRILLIC)
        raw = make_mapping(source, destination, make_table("items", primary_key_datatype="str"))
        run_once(raw)
        destination.execute("INSERT INTO arrived.items SELECT '\u4e2d' || id, note, doc, updated_at FROM arrived.items")
        found = compare_once(raw)
        assert (found.verdict, found.counts) == (Verdict.EQUAL, {Difference.EXTRA: 900})
        source.execute("INSERT INTO items VALUES ('z')")
        assert named(compare_once(raw))["z",] is Difference.MISSING


def test_a_dump_without_a_key_is_compared_as_a_whole(two_databases: Databases) -> None:
    source, destination = two_databases
    source.execute("CREATE TABLE lines (line text); INSERT INTO lines VALUES ('a'), ('a'), ('b'), (NULL)")
    raw = make_mapping(source, destination, make_table("lines", **DUMP))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    source.execute("UPDATE lines SET line = 'c' WHERE line = 'b'")
    found = compare_once(raw)
    assert (found.verdict, found.key, found.differing) == (Verdict.DIFFERENT, (), [])
    assert "as many rows at both ends, but not the same ones" in found.reasons[0]


def test_a_dump_of_a_query_is_compared_with_the_query(databases: Databases) -> None:
    query = "SELECT id, note, count(*) AS n FROM items GROUP BY 1, 2"
    raw = make_mapping(*databases, make_table("items", **DUMP, fetch_data_query=query))
    run_once(raw)
    assert compare_once(raw).verdict is Verdict.EQUAL
    databases[0].execute("UPDATE items SET note = 'later' WHERE id = 1")
    assert compare_once(raw).verdict is Verdict.DIFFERENT


def test_the_result_as_json_names_the_keys(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table("items"))
    run_once(raw)
    databases[1].execute("DELETE FROM arrived.items WHERE id = 8")
    shown = compare_once(raw).as_dict()
    assert shown["verdict"] == "different"
    assert shown["differing_keys"] == [{"key": ["8"], "difference": "missing"}]
    assert (shown["missing"], shown["source_rows"], shown["destination_rows"]) == (1, 2000, 1999)
