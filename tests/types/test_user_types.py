"""Enums, domains, composites, ranges and extension types: made at the destination when they are missing there."""

from __future__ import annotations

import pytest

from connectors.errors import SchemaMismatch
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase

Databases = tuple[PgDatabase, PgDatabase]

TYPES = """
CREATE SCHEMA "Other Schema";
CREATE TYPE "Other Schema"."Mood's %s" AS ENUM ('', 'sad', 'it''s ok', 'per%cent', 'tab\t', '{"q"}');
CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> 'bad');
CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0);
CREATE DOMAIN feeling AS "Other Schema"."Mood's %s" CHECK (VALUE <> '');
CREATE DOMAIN prices AS numeric(10,2)[];
CREATE TYPE inner_pair AS (a int, "b c" text[], f feeling);
CREATE TYPE pair AS (one inner_pair, many inner_pair[], price price);
CREATE TYPE floats AS RANGE (SUBTYPE = float8, MULTIRANGE_TYPE_NAME = many_floats);
CREATE TYPE moods AS RANGE (SUBTYPE = "Other Schema"."Mood's %s");
CREATE TABLE everything (
    id int PRIMARY KEY, updated_at timestamptz DEFAULT now(),
    mood "Other Schema"."Mood's %s", mood_array "Other Schema"."Mood's %s"[],
    short short, short_array short[], price price, feeling feeling, feeling_array feeling[], prices prices,
    pair pair, pair_array pair[], floats floats, floats_array floats[], many many_floats, many_array many_floats[],
    moods moods
);
INSERT INTO everything VALUES
    (0, now(), 'it''s ok', '{"",NULL,"{\\"q\\"}"}', 'a''b\\c', '{"a,b",NULL,""}',
     1.00, 'sad', '{sad,NULL}', '{1.00,NULL}',
     ROW(ROW(1, '{"x,y",NULL}', 'sad'), ARRAY[ROW(NULL, '{}', NULL), NULL]::inner_pair[], 2.50),
     ARRAY[NULL, ROW(NULL, NULL, NULL)]::pair[],
     '[1,2.5)', '{"[1,2]",NULL,empty}', '{[1,2),[3,)}', '{"{[1,2)}",NULL}',
     '[sad,per%cent)'),
    (1, now(), 'per%cent', '{}', '', '{}', 0.01, 'per%cent', '{}', '{}', NULL, '{}',
     'empty', '{}', '{}', '{}', 'empty'),
    (2, now(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""
COLUMNS = ["mood", "mood_array", "short", "short_array", "price", "feeling", "feeling_array", "prices"]
COLUMNS += ["pair", "pair_array", "floats", "floats_array", "many", "many_array", "moods"]


def texts(database: PgDatabase, table: str) -> list[tuple[object, ...]]:
    return database.rows(f"SELECT id, {', '.join(f'{name}::text' for name in COLUMNS)} FROM {table} ORDER BY id")


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(TYPES)
    return two_databases


@pytest.mark.parametrize("strict", [True, False])
def test_user_types_arrive_in_another_database(databases: Databases, strict: bool) -> None:
    source, destination = databases
    raw = make_mapping(*databases, make_table("everything", strict=strict))
    run_once(raw)
    assert texts(destination, "arrived.everything") == texts(source, "everything")
    types = dict(
        destination.rows(
            "SELECT attname, atttypid::regtype::text FROM pg_attribute"
            " WHERE attrelid = 'arrived.everything'::regclass AND attnum > 0"
        )
    )
    assert types["mood"] == 'arrived."Mood\'s %s"'
    assert types["many_array"] == "arrived.many_floats[]"
    assert types["prices"] == "arrived.prices"


def test_changed_and_new_rows_of_user_types_arrive(databases: Databases) -> None:
    source, destination = databases
    raw = make_mapping(*databases, make_table("everything"))
    run_once(raw)
    source.execute(
        "UPDATE everything e SET updated_at = now(), (mood, pair, many, prices) = (SELECT mood, pair, many, prices"
        " FROM everything o WHERE o.id = (e.id + 1) % 3);"
        "INSERT INTO everything SELECT id + 10 FROM everything"
    )
    result = run_once(raw)
    assert (result.updated, result.inserted) == (3, 3)
    assert texts(destination, "arrived.everything") == texts(source, "everything")
    assert run_once(raw).updated == 0


def test_label_added_later_arrives_where_it_stands(databases: Databases) -> None:
    source, destination = databases
    raw = make_mapping(*databases, make_table("everything"))
    run_once(raw)
    source.execute("""ALTER TYPE "Other Schema"."Mood's %s" ADD VALUE 'so-so' BEFORE 'it''s ok'""")
    source.execute("UPDATE everything SET mood = 'so-so', updated_at = now() WHERE id = 2")
    run_once(raw)
    assert texts(destination, "arrived.everything") == texts(source, "everything")
    labels = "SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum"
    assert destination.value(labels) == source.value(labels)


def test_domain_rules_are_the_sources_to_keep(databases: Databases) -> None:
    source, destination = databases
    source.execute("ALTER DOMAIN short DROP CONSTRAINT short_check; UPDATE everything SET short = 'bad' WHERE id = 0")
    run_once(make_mapping(*databases, make_table("everything")))
    assert destination.value("SELECT short::text FROM arrived.everything WHERE id = 0") == "bad"


def test_type_of_the_same_name_made_of_something_else_is_refused(databases: Databases) -> None:
    destination = databases[1]
    destination.execute("CREATE SCHEMA arrived; CREATE DOMAIN arrived.price AS numeric(12,2)")
    with pytest.raises(SchemaMismatch, match="domain type price is made of other types"):
        run_once(make_mapping(*databases, make_table("everything")))
    assert destination.value("SELECT to_regclass('arrived.everything')") is None


def test_enum_of_another_schema_as_key(databases: Databases) -> None:
    source, destination = databases
    source.execute("""
        CREATE TABLE "Other Schema".states (mood "Other Schema"."Mood's %s" PRIMARY KEY, note text,
            updated_at timestamptz DEFAULT now());
        INSERT INTO "Other Schema".states SELECT unnest(enum_range(NULL::"Other Schema"."Mood's %s")), 'first'
    """)
    table = make_table(
        "Other Schema.states", mode="mirroring", primary_key="mood", primary_key_datatype="str", batch_size=1
    )
    raw = make_mapping(*databases, table)
    run_once(raw, chunk_bytes=1)
    source.execute("""
        DELETE FROM "Other Schema".states WHERE mood = 'sad';
        UPDATE "Other Schema".states SET note = 'second', updated_at = now() WHERE mood = ''
    """)
    result = run_once(raw)
    assert (result.updated, result.deleted) == (1, 1)
    query = "SELECT mood::text, note FROM {}.states ORDER BY mood"
    assert destination.rows(query.format("arrived")) == source.rows(query.format('"Other Schema"'))


EXTENSIONS = {
    "citext": ("citext", "CaSe"),
    "hstore": ("hstore", '"a"=>NULL, "b c"=>"d,e"'),
    "ltree": ("ltree", "a.b.c"),
    "lquery": ("ltree", "a.*{1,2}.!b"),
    "cube": ("cube", "(1,2),(3,4)"),
    "seg": ("seg", "1.0 .. 2.00"),
    "isbn13": ("isn", "978-0-393-04002-9"),
    "vector(3)": ("vector", "[1,2.5,-0]"),
    "query_int": ("intarray", "1&!(2|3)"),
}


@pytest.mark.parametrize("type_text", EXTENSIONS)
def test_extension_types(two_databases: Databases, type_text: str) -> None:
    extension, value = EXTENSIONS[type_text]
    for place, database in enumerate(two_databases):
        database.execute(f"CREATE SCHEMA ext{place}; CREATE EXTENSION {extension} SCHEMA ext{place}")
    source, destination = two_databases
    source.execute(
        f"CREATE TABLE things (id int PRIMARY KEY, value ext0.{type_text}, many ext0.{type_text}[],"
        " updated_at timestamptz);"
        f"INSERT INTO things VALUES (1, '{value}', ARRAY['{value}', NULL]::ext0.{type_text}[], now()),"
        " (2, NULL, '{}', now())"
    )
    raw = make_mapping(*two_databases, make_table("things"))
    run_once(raw)
    source.execute("UPDATE things a SET updated_at = now(), value = (SELECT value FROM things b WHERE b.id = 3 - a.id)")
    assert run_once(raw).updated == 2
    query = "SELECT id, value::text, many::text FROM {}things ORDER BY id"
    assert destination.rows(query.format("arrived.")) == source.rows(query.format(""))
    assert run_once(raw).updated == 0


def test_missing_extension_is_named_with_its_remedy(two_databases: Databases) -> None:
    source, destination = two_databases
    source.execute(
        "CREATE EXTENSION citext; CREATE TABLE things (id int PRIMARY KEY, value citext, updated_at timestamptz)"
    )
    with pytest.raises(SchemaMismatch, match="CREATE EXTENSION") as caught:
        run_once(make_mapping(*two_databases, make_table("things")))
    assert "pgsql destination" in str(caught.value)
    assert destination.value("SELECT to_regclass('arrived.things')") is None
