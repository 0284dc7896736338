"""The way from a source's tables to a mapping: seen, searched, ticked, and opened in the editor unsaved."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from migrations_app import mapping_io
from migrations_app.admin import found
from migrations_app.models import AuditEntry, Destination, Mapping, Source
from migrations_app.verbs import registering
from tests.admin.ends import destination_form, do, person, see, shown_by, source_form
from tests.collections import Docs
from tests.databases import PgDatabase

pytestmark = pytest.mark.django_db

SHOP = """
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL UNIQUE, note text,
                           updated_at timestamptz);
CREATE TABLE customers (id uuid PRIMARY KEY, updated_at timestamptz NOT NULL);
CREATE TABLE loose (note text);
CREATE TABLE orders (id int PRIMARY KEY);
CREATE VIEW names AS SELECT id FROM customers;
INSERT INTO sales.orders (code, updated_at) SELECT n, CASE WHEN n > 25 THEN now() END FROM generate_series(1, 100) n;
ANALYZE;
"""


@pytest.fixture
def source(admin_client: Client, pg_database: PgDatabase) -> Source:
    """A stored source with some tables."""
    pg_database.execute(SHOP)
    admin_client.post(reverse("admin:migrations_app_source_add"), source_form(pg_database))
    return Source.objects.get()


@pytest.fixture
def warehouse(admin_client: Client, pg_database: PgDatabase) -> Destination:
    """A stored destination."""
    admin_client.post(reverse("admin:migrations_app_destination_add"), destination_form(pg_database))
    return Destination.objects.get()


def choices(*names: str, schemas: tuple[str, ...] = (), without: tuple[str, ...] = (), **chosen: Any) -> str:
    """What the page sends."""
    tables = {name: chosen if name == names[0] else {} for name in names}
    return json.dumps({"tables": tables, "schemas": schemas, "except": without})


def draft_of(client: Client, answer: Any) -> dict[str, Any]:
    """The draft that an answer leads to."""
    assert answer.status_code == 200, answer
    address, _, key = answer.headers["HX-Redirect"].partition("?draft=")
    assert address == reverse("admin:migrations_app_mapping_add")
    return dict(client.session[f"dms_draft:{key}"])


def test_page_asks_by_a_request_of_its_own(admin_client: Client, source: Source) -> None:
    source.config |= {"url": "no-such-host.invalid"}
    source.save()
    page = admin_client.get(see("source", "discover", source.pk))
    assert page.status_code == 200
    assert see("source", "found", source.pk) in page.content.decode()


def test_tree_shows_what_is_known_of_each_table(admin_client: Client, source: Source) -> None:
    answer = admin_client.get(see("source", "found", source.pk))
    schemas = shown_by(answer)["schemas"]
    assert [(schema.name, [row.name for row in schema.rows]) for schema in schemas] == [
        ("public", ["customers", "loose", "names", "orders"]),
        ("sales", ["sales.orders"]),
    ]
    page = " ".join(answer.content.decode().split())
    assert "100 rows" in page
    assert "timestamptz, no index, 25% empty" in page
    assert "no key: only whole snapshots can be copied" in page
    assert "a view: its rows come from elsewhere" in page
    (orders,) = schemas[1].rows
    assert orders.keys == [('["id"]', "id (int)"), ('["code"]', "code (str)")]


def test_search_finds_by_every_word_of_it(admin_client: Client, source: Source) -> None:
    address = see("source", "found", source.pk)
    answer = shown_by(admin_client.get(address, {"q": "SALES ord"}))
    assert [row.name for schema in answer["schemas"] for row in schema.rows] == ["sales.orders"]
    assert "No name has &lt;b&gt; in it." in admin_client.get(address, {"q": "<b>"}).content.decode()


def test_empty_source_is_asked_again_at_the_next_look(admin_client: Client, pg_database: PgDatabase) -> None:
    admin_client.post(reverse("admin:migrations_app_source_add"), source_form(pg_database))
    address = see("source", "found", Source.objects.get().pk)
    assert "There is nothing to copy in this database" in admin_client.get(address).content.decode()
    pg_database.execute("CREATE TABLE first_one (id int PRIMARY KEY)")
    assert "first_one" in admin_client.get(address).content.decode()


def test_source_is_asked_once_for_its_searches_and_anew_on_request(
    admin_client: Client, source: Source, pg_database: PgDatabase
) -> None:
    address = see("source", "found", source.pk)
    admin_client.get(address)
    pg_database.execute("CREATE TABLE fresh (id int)")
    assert "fresh" not in admin_client.get(address, {"q": "fre"}).content.decode().replace("No name has fre", "")
    assert "fresh" in admin_client.get(address, {"anew": "1"}).content.decode()
    assert "fresh" in admin_client.get(address, {"q": "fre"}).content.decode()


def test_source_that_cannot_be_asked_says_why_and_what_to_do(admin_client: Client, source: Source) -> None:
    source.config |= {"db_name": "no_such_database"}
    source.save()
    page = admin_client.get(see("source", "found", source.pk)).content.decode()
    assert "check `db_name`" in page
    assert "Test its connection" in page


def test_many_tables_are_a_page_at_a_time(admin_client: Client, source: Source, pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE SCHEMA many; DO $$ BEGIN FOR n IN 1..1000 LOOP"
        " EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY, updated_at timestamptz)', n); END LOOP; END $$"
    )
    address = see("source", "found", source.pk)
    catalog = found.catalog_of(source, anew=False)
    assert len(catalog.tables) == 1005

    began = time.perf_counter()
    tree = shown_by(admin_client.get(address))
    first = admin_client.get(address, {"schema": "many", "offset": "0"})
    more = admin_client.get(address, {"schema": "many", "offset": "200"})
    searched = shown_by(admin_client.get(address, {"q": "many t77"}))
    assert time.perf_counter() - began < 4, "four requests, each under a second beyond the source's own time"

    assert [(schema.name, schema.total, schema.is_open) for schema in tree["schemas"]] == [
        ("many", 1000, False),
        ("public", 4, False),
        ("sales", 1, False),
    ]
    names = [{row.name for row in shown_by(answer)["schema"].rows} for answer in (first, more)]
    assert [len(each) for each in names] == [200, 200]
    assert not names[0] & names[1]
    assert "200 of 1,000 are shown" in first.content.decode()
    assert {row.name for schema in searched["schemas"] for row in schema.rows} == {
        "many.t77",
        *(f"many.t77{digit}" for digit in range(10)),
    }


def test_ticked_tables_become_a_draft_that_nobody_has_saved(
    admin_client: Client, source: Source, warehouse: Destination
) -> None:
    form = {"mapping_id": "copy-shop", "destinations": [warehouse.name, "no such"]}
    ticked = choices("sales.orders", "customers", mode="mirroring", key='["code"]', bookmark="")
    answer = admin_client.post(do("source", "draft", source.pk), form | {"choices": ticked})
    assert draft_of(admin_client, answer) == {
        "id": "copy-shop",
        "document": {
            "source": source.name,
            "destinations": {"warehouse": "warehouse"},
            "tables": [
                {
                    "table_name": "customers",
                    "cron": "self-managed",
                    "mode": "syncing",
                    "primary_key": "id",
                    "primary_key_datatype": "uuid",
                    "bookmark": "updated_at",
                },
                {
                    "table_name": "sales.orders",
                    "cron": "self-managed",
                    "mode": "mirroring",
                    "primary_key": "code",
                    "primary_key_datatype": "str",
                    "bookmark": False,
                },
            ],
        },
    }
    assert not Mapping.objects.exists()


def test_whole_schema_stands_for_its_tables_less_those_unticked(admin_client: Client, source: Source) -> None:
    ticked = choices(schemas=("public",), without=("loose",))
    answer = admin_client.post(do("source", "draft", source.pk), {"mapping_id": "all", "choices": ticked})
    tables = draft_of(admin_client, answer)["document"]["tables"]
    assert [spec["table_name"] for spec in tables] == ["customers", "orders"]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"choices": choices()}, "Nothing is ticked"),
        ({"choices": "[]"}, "did not arrive"),
        ({"choices": '{"tables": {"orders": {"key": "{"}}, "schemas": [], "except": []}'}, "did not arrive"),
        ({}, "did not arrive"),
        ({"choices": choices("nothing")}, "Not at the source any more: nothing"),
        ({"choices": choices("orders", "sales.orders")}, "would both arrive as orders"),
        ({"mapping_id": ""}, "Give the mapping an id"),
        ({"mapping_id": "a b"}, "Give the mapping an id"),
    ],
)
def test_what_makes_no_mapping_is_said_on_the_page(
    admin_client: Client, source: Source, form: dict[str, str], why: str
) -> None:
    sent = {"mapping_id": "shop"} | form
    answer = admin_client.post(do("source", "draft", source.pk), sent)
    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert "HX-Redirect" not in answer.headers


def test_no_destination_ticked_asks_to_tick_one_of_those_that_there_are(
    admin_client: Client, source: Source, warehouse: Destination
) -> None:
    address, form = do("source", "draft", source.pk), {"mapping_id": "shop", "choices": choices("orders")}
    assert "No destination is ticked" in admin_client.post(address, form).content.decode()
    warehouse.delete()
    assert draft_of(admin_client, admin_client.post(address, form))["document"]["destinations"] == {}


def test_destinations_on_one_server_are_told_apart_by_schema(admin_client: Client, source: Source) -> None:
    server = {"url": "h", "port": 5432, "db_name": "d", "username": "u"}
    for schema in ("one", "two"):
        config = server | {"schema": schema}
        Destination.objects.create(name=f"in {schema}", destination_type="pgsql", config=config)
    html = admin_client.get(see("source", "discover", source.pk)).content.decode()
    assert "h / d, schema one</span>" in html
    assert "h / d, schema two</span>" in html


def test_more_tables_than_a_page_holds_are_refused_with_the_ways_out(
    admin_client: Client, source: Source, pg_database: PgDatabase
) -> None:
    pg_database.execute(
        "CREATE SCHEMA many; DO $$ BEGIN FOR n IN 1..201 LOOP"
        " EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY)', n); END LOOP; END $$"
    )
    form = {"mapping_id": "many", "choices": choices(schemas=("many",))}
    assert "201 tables are ticked" in admin_client.post(do("source", "draft", source.pk), form).content.decode()


def test_destinations_keep_names_of_their_own_in_the_mapping(admin_client: Client, source: Source) -> None:
    for name in ("a:lake", "b:lake", "other"):
        Destination.objects.create(name=name, destination_type="s3", config={"s3_bucket_name": "lake"})
    form = {"mapping_id": "shop", "destinations": ["a:lake", "b:lake", "other"], "choices": choices("orders")}
    drafted = draft_of(admin_client, admin_client.post(do("source", "draft", source.pk), form))
    assert drafted["document"]["destinations"] == {"lake": "a:lake", "b:lake": "b:lake", "other": "other"}


def test_editor_opens_with_the_ticked_tables(admin_client: Client, source: Source, warehouse: Destination) -> None:
    form = {"mapping_id": "copy-shop", "destinations": [warehouse.name], "choices": choices("sales.orders")}
    answer = admin_client.post(do("source", "draft", source.pk), form)
    page = admin_client.get(answer.headers["HX-Redirect"]).content.decode()
    for value in ("copy-shop", "sales.orders", "warehouse", "updated_at"):
        assert f'value="{value}"' in page


def test_old_drafts_do_not_pile_up_in_the_session(admin_client: Client, source: Source) -> None:
    for number in range(8):
        form = {"mapping_id": f"m{number}", "choices": choices("orders")}
        draft_of(admin_client, admin_client.post(do("source", "draft", source.pk), form))
    drafts = [key for key in admin_client.session.keys() if key.startswith("dms_draft:")]  # noqa: SIM118
    assert len(drafts) == 5


def test_ticked_tables_are_added_to_a_mapping_of_the_source(
    admin_client: Client, source: Source, warehouse: Destination
) -> None:
    mapping = Mapping.objects.create(id="shop", source=source)
    mapping.named_destinations.create(name="dwh", destination=warehouse)
    address = do("source", "extend", source.pk)
    answer = admin_client.post(address, {"mapping": "shop", "choices": choices("customers", "loose")})
    assert answer.headers["HX-Redirect"] == reverse("admin:migrations_app_mapping_change", args=("shop",))
    assert [spec.name for spec in mapping_io.load_contract(mapping).specs] == ["customers", "loose"]
    assert mapping.streams.count() == 2

    admin_client.post(address, {"mapping": "shop", "choices": choices("customers", "orders")})
    assert [spec.name for spec in mapping_io.load_contract(mapping).specs] == ["customers", "loose", "orders"]
    # As any other change: with what was and what is, in the transaction that makes it.
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.before) == ("change", {})
    assert {path.partition("]")[0] for path in entry.after or ()} == {"tables[orders"}
    again = admin_client.post(address, {"mapping": "shop", "choices": choices("customers")})
    assert "copies all of that already" in again.content.decode()


def test_what_somebody_else_changes_meanwhile_stays(
    admin_client: Client, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = Mapping.objects.create(id="shop", source=source)
    form = {"mapping": "shop", "choices": choices("customers")}
    admin_client.post(do("source", "extend", source.pk), form)
    read = registering.read

    def read_while_somebody_saves(mapping_id: str, raw: Any) -> Any:
        mapping.tables.update(batch_size=77)
        return read(mapping_id, raw)

    monkeypatch.setattr(registering, "read", read_while_somebody_saves)
    answer = admin_client.post(do("source", "extend", source.pk), form | {"choices": choices("loose")})

    assert "Shop was changed in the same moment; try again" in answer.content.decode()
    assert [(spec.name, spec.batch_size) for spec in mapping.tables.all()] == [("customers", 77)]


def test_mapping_that_is_kept_elsewhere_is_not_added_to(admin_client: Client, source: Source) -> None:
    Mapping.objects.create(id="shop", source=source, managed_by="ci")
    form = {"mapping": "shop", "choices": choices("orders")}
    answer = admin_client.post(do("source", "extend", source.pk), form)
    assert "Choose the mapping" in answer.content.decode()


def test_collections_are_shown_with_their_fields_and_drafted(
    admin_client: Client, docs: Docs, mongo: Any, mongo_database_name: str
) -> None:
    docs.collection.insert_many([{"_id": 1, "note": "a", "amount": 1.5}, {"_id": 2, "note": None}])
    form = {"name": "app", "source_type": "mongo", "mongo__url": mongo.url, "mongo__db_name": mongo_database_name}
    assert admin_client.post(reverse("admin:migrations_app_source_add"), form).status_code == 302
    source = Source.objects.get()
    answer = admin_client.get(see("source", "found", source.pk))
    (schema,) = shown_by(answer)["schemas"]
    (row,) = schema.rows
    assert row.modes == ["dumping", "logging", "syncing"]
    assert "of the documents looked at" in answer.content.decode()

    posted = {"mapping_id": "app", "choices": choices(row.name, mode="dumping")}
    drafted = draft_of(admin_client, admin_client.post(do("source", "draft", source.pk), posted))
    (spec,) = drafted["document"]["collections"]
    assert (spec["collection_name"], spec["mode"]) == (row.name, "dumping")


@pytest.mark.parametrize(
    ("permissions", "may_look", "may_draft", "may_extend"),
    [
        (("view_source", "view_mapping"), False, False, False),
        (("view_source", "test_connection"), True, False, False),
        (("view_source", "test_connection", "add_mapping"), True, True, False),
        (("view_source", "test_connection", "change_mapping"), True, False, True),
    ],
)
def test_each_step_of_the_way_is_a_permission(
    source: Source, permissions: tuple[str, ...], may_look: bool, may_draft: bool, may_extend: bool
) -> None:
    Mapping.objects.create(id="shop", source=source)
    client = person(*permissions)
    for name in ("discover", "found"):
        assert client.get(see("source", name, source.pk)).status_code == (200 if may_look else 403)
        assert client.post(see("source", name, source.pk)).status_code in {403, 405}
    form = {"mapping_id": "new", "mapping": "shop", "choices": choices("orders")}
    for name, may in (("draft", may_draft), ("extend", may_extend)):
        assert client.get(do("source", name, source.pk)).status_code == 405
        assert client.post(do("source", name, source.pk), form).status_code == (200 if may else 403)
    if may_look:
        page = client.get(see("source", "discover", source.pk)).content.decode()
        assert ("Continue to the mapping" in page) is may_draft
        assert ("Add to this mapping" in page) is may_extend
