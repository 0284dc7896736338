"""Rows and plan of a mapping before it is saved, from real servers, with nothing written anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from connectors.errors import ConfigError
from migrations_app import mapping_io, settings_io
from migrations_app.models import AuditEntry, Checkpoint, Mapping, Stream
from tests.admin.editing import address, editor, page, rows, spec, store_ends
from tests.admin.people import staff
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_mapping, make_table, run_once
from tests.collections import Docs
from tests.controlplane.builders import raw_settings
from tests.databases import PgDatabase

pytestmark = pytest.mark.django_db

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, card varchar(20), doc jsonb, updated_at timestamptz NOT NULL);"
        "INSERT INTO orders SELECT n, '1234-5678', '{\"a\": 1}', '2024-01-01 12:00+05:30'"
        " FROM generate_series(1, 50) n; ANALYZE orders"
    )
    return two_databases


def ask(client: Client, name: str, form: dict[str, Any]) -> str:
    answer = client.post(address(name), form, headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.content
    return " ".join(unescape(answer.content.decode()).split())


def has_nothing(destination: PgDatabase) -> bool:
    return bool(destination.value("SELECT to_regnamespace('arrived') IS NULL"))


@pytest.fixture
def nothing_stored() -> Callable[[], None]:
    def check() -> None:
        assert [model.objects.count() for model in (Mapping, Stream, Checkpoint, AuditEntry)] == [0, 0, 0, 0]

    return check


def test_rows_of_an_unsaved_mapping_stand_with_both_types(
    databases: Databases, nothing_stored: Callable[[], None]
) -> None:
    store_ends(make_mapping(*databases, make_table()))
    form = page(spec(masking_columns='[["card", 4]]', col_rename='{"card": "number"}'))

    html = ask(editor(), "draft_preview", form)

    assert "20 rows as they would arrive" in html
    assert html.count("1234-XXXX") == 40  # once to be read, once as its title
    assert "1234-5678" not in html
    assert "card: character varying(20)" in html
    assert "masked" in html
    for types in ("jsonb", "timestamp with time zone", "</span> text", "</span> timestamp without time zone"):
        assert types in html
    assert has_nothing(databases[1])
    nothing_stored()


def test_types_are_those_of_the_bucket(databases: Databases, s3_bucket: Bucket) -> None:
    store_ends(make_bucket_mapping(databases[0], s3_bucket, make_table()))

    html = ask(editor(), "draft_preview", page(spec()))

    for type_name in ("int64", "string", "timestamp[us]"):
        assert f"</span> {type_name}" in html
    assert s3_bucket.keys("") == []


def test_a_plan_says_what_would_be_read_and_made(databases: Databases, nothing_stored: Callable[[], None]) -> None:
    store_ends(make_mapping(*databases, make_table()))

    html = ask(editor(), "draft_plan", page(spec()))

    assert "orders to dest" in html
    assert "about 50" in html
    assert "first copy in chunks" in html
    assert 'CREATE TABLE "arrived"."orders"' in html
    assert "no run starts before the service settings are in order" in html
    assert has_nothing(databases[1])
    nothing_stored()


def test_a_plan_names_the_rights_that_the_users_lack(databases: Databases) -> None:
    source, destination = databases
    role = f"{source.name}_nobody"
    source.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    login = {"username": role, "password": "x"}
    mapping = make_mapping(*databases, make_table())
    mapping["source"] |= login
    mapping["destination"]["dest"] |= login
    try:
        store_ends(mapping)
        client = editor()
        refused = ask(client, "draft_plan", page(spec()))
        source.execute(f"GRANT SELECT ON orders TO {role}")
        warned = ask(client, "draft_plan", page(spec()))
    finally:
        source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert f"the user may not read public.orders; run GRANT SELECT ON orders TO {role}" in refused
    assert "a run would fail: the schema arrived is missing and the user may not create it" in warned
    assert f"GRANT CREATE ON DATABASE {destination.name} TO {role}" in warned
    assert 'CREATE TABLE "arrived"."orders"' in warned


def test_a_plan_into_a_bucket_names_its_files(
    databases: Databases, s3_bucket: Bucket, nothing_stored: Callable[[], None]
) -> None:
    store_ends(make_bucket_mapping(databases[0], s3_bucket, make_table()))

    html = ask(editor(), "draft_plan", page(spec()))

    assert f"PUT s3://{s3_bucket.name}/" in html
    assert s3_bucket.keys("") == []
    nothing_stored()


def test_a_plan_speaks_of_times_in_the_zone_of_the_settings_to_the_second(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    mapping_io.save_mapping("test", mapping_io.parse(raw))
    settings_io.save_settings(settings_io.parse_settings(raw_settings(timezone="Asia/Kathmandu")))
    run_once(raw)

    html = ask(staff("view_mapping", "run_mapping", "view_checkpoint"), "draft_plan", {"object_id": "test"})

    words, _, queries = html.partition("Queries at the source")
    assert re.search(r"changes up to watermark \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\+05:45,", words)
    assert re.search(r"watermark now: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\+05:45<", words)
    assert "+00" not in words
    assert re.search(r"\d\d:\d\d:\d\d\.\d+\+00", queries), "a query is shown as it would be sent"


def test_a_plan_says_that_the_table_belongs_to_another_stream(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    run_once(raw)
    owner = databases[1].value("SELECT stream FROM arrived._dms_state")
    databases[1].execute("UPDATE arrived._dms_state SET stream = 'shop_DMS_orders_main'")
    store_ends(raw)
    client = editor()

    html = ask(client, "draft_plan", page(spec()))

    assert "a run would be refused: the table arrived.orders belongs to shop_DMS_orders_main (see _dms_state)" in html
    with pytest.raises(ConfigError) as refused:
        run_once(raw)
    assert refused.value.message in html
    databases[1].execute(f"UPDATE arrived._dms_state SET stream = '{owner}'")
    assert "would be refused" not in ask(client, "draft_plan", page(spec(), id="test"))


def test_a_plan_into_a_bucket_says_that_the_place_belongs_to_another_stream(
    databases: Databases, s3_bucket: Bucket
) -> None:
    raw = make_bucket_mapping(databases[0], s3_bucket, make_table())
    run_once(raw)
    before = s3_bucket.keys("")
    store_ends(raw)

    html = ask(editor(), "draft_plan", page(spec()))

    assert f"in bucket {s3_bucket.name} belongs to another stream (see _dms/manifest.json)" in html
    assert s3_bucket.keys("") == before


def test_a_plan_into_a_bucket_says_that_other_objects_are_in_the_way(databases: Databases, s3_bucket: Bucket) -> None:
    raw = make_bucket_mapping(databases[0], s3_bucket, make_table())
    run_once(raw)
    (manifest,) = (key for key in s3_bucket.keys("") if key.endswith("_dms/manifest.json"))
    s3_bucket.client.delete_object(Bucket=s3_bucket.name, Key=manifest)
    store_ends(raw)

    html = ask(editor(), "draft_plan", page(spec()))

    assert "holds objects, but no _dms/manifest.json that says what they are" in html


def test_a_collection_is_previewed_and_planned(
    docs: Docs, pg_database: PgDatabase, nothing_stored: Callable[[], None]
) -> None:
    docs.collection.insert_many([{"_id": n, "amount": n * 1.5, "name": f"n{n}"} for n in range(5)])
    store_ends(docs.to_pgsql(pg_database))
    form = page(
        spec(key="collection_name", time_delay="0", fields='{"amount": "float"}', mode="dumping", bookmark=None),
        noun="collections",
    )

    client = editor()
    preview, plan = ask(client, "draft_preview", form), ask(client, "draft_plan", form)

    assert "5 rows" in preview
    assert "double precision" in preview
    assert "orders to dest" in plan
    assert has_nothing(pg_database)
    nothing_stored()


def test_an_end_that_cannot_be_reached_is_named_with_what_to_do(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    raw["destination"]["dest"] |= {"db_name": "not_there"}
    store_ends(raw)

    html = ask(editor(), "draft_plan", page(spec()))

    assert "<strong>destination dest</strong>" in html
    assert databases[0].server.password not in html


def test_a_table_that_is_not_there_is_the_matter_of_the_source(databases: Databases) -> None:
    store_ends(make_mapping(*databases, make_table()))

    html = ask(editor(), "draft_preview", page(spec("nothing")))

    assert "<strong>source</strong>: `table_name` nothing does not exist" in html


def test_an_unfinished_mapping_says_what_is_missing_and_asks_nobody(databases: Databases) -> None:
    store_ends(make_mapping(*databases, make_table()))
    client = editor()

    for name in ("draft_preview", "draft_plan"):
        html = ask(client, name, page(spec(bookmark="")))
        assert "<code>tables[0].bookmark</code>" in html
        assert "not complete" in html


def test_a_stored_mapping_says_what_the_change_means(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    mapping = mapping_io.save_mapping("shop", mapping_io.parse(raw))
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    run_once(raw)
    Checkpoint.objects.create(stream=mapping.streams.get(), position={}, epoch=1)
    (table,), (named,) = mapping.tables.all(), mapping.named_destinations.all()
    destination = {"id": named.pk, "name": "dest", "destination": named.destination_id, "position": 0}
    form = {"id": "shop", "enabled": "on", "source": mapping.source_id, "object_id": "shop"}
    form |= rows("named_destinations", [destination], 1)
    form |= rows("tables", [spec(mode="mirroring") | {"id": table.pk}], 1)

    html = ask(editor(), "draft_plan", form)

    assert "Reaches as far as: <strong>rows at the destination, which may be deleted</strong>" in html
    assert "<code>tables[0].mode</code>" in html
    assert "no run starts" not in html
    assert mapping_io.load_contract(Mapping.objects.get()) == mapping_io.parse(raw)


def test_positions_and_queries_are_for_who_may_see_them(databases: Databases) -> None:
    mapping_io.save_mapping("shop", mapping_io.parse(make_mapping(*databases, make_table())))
    client = staff("view_mapping", "run_mapping")

    html = ask(client, "draft_plan", {"object_id": "shop"})

    assert "which your role does not see" in html
    assert "SELECT" not in html
    assert "CREATE TABLE" in html


def test_who_may_not_write_cannot_have_a_query_of_his_own_run(databases: Databases) -> None:
    mapping_io.save_mapping("shop", mapping_io.parse(make_mapping(*databases, make_table())))
    client = staff("view_mapping", "preview_data", "run_mapping")
    dump = spec(mode="dumping", fetch_data_query="SELECT 'smuggled' AS x", bookmark=None)

    html = ask(client, "draft_preview", page(dump) | {"object_id": "shop"})

    assert "smuggled" not in html
    assert "20 rows" in html
    assert client.post(address("draft_preview"), page(dump)).status_code == 403


@pytest.mark.parametrize(
    ("name", "permissions"), [("draft_preview", ("view_mapping", "run_mapping")), ("draft_plan", ("view_mapping",))]
)
def test_rows_and_plans_are_for_those_who_may(databases: Databases, name: str, permissions: tuple[str, ...]) -> None:
    mapping_io.save_mapping("shop", mapping_io.parse(make_mapping(*databases, make_table())))

    assert staff(*permissions).post(address(name), {"object_id": "shop"}).status_code == 403


def test_every_table_is_planned_one_by_one(databases: Databases) -> None:
    databases[0].execute("CREATE TABLE b (id int PRIMARY KEY)")
    store_ends(make_mapping(*databases, make_table()))
    every = spec("*", mode="dumping", bookmark=None, primary_key=None, primary_key_datatype=None)
    client = editor()

    plan = ask(client, "draft_plan", page(every))
    preview = ask(client, "draft_preview", page(every) | {"table": "b"})

    assert "orders to dest" in plan
    assert "b to dest" in plan
    assert "There are no rows yet" in preview
