"""The pages of sources and destinations: who uses them, copies of them, and that what is used stays."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from migrations_app import documents, secrets
from migrations_app.enums import RunState
from migrations_app.models import AuditEntry, Destination, Mapping, Source, StreamTotals
from tests.admin.ends import do, person, see, shown_by
from tests.controlplane.builders import make_run, raw_table
from tests.controlplane.pages import errors_of, save_mapping, url

pytestmark = pytest.mark.django_db


def test_page_names_the_mappings_that_use_it_with_their_states(admin_client: Client) -> None:
    mapping = save_mapping(tables=[raw_table(), raw_table(table_name="lines"), raw_table(table_name="notes")])
    running, failed, _ = mapping.streams.order_by("pk")
    make_run(running, state=RunState.RUNNING)
    StreamTotals.objects.create(stream=failed, last_state=RunState.FAILED)

    for page in (url(Source, "change", mapping.source.pk), url(Destination, "change", Destination.objects.get().pk)):
        answer = admin_client.get(page)
        (user,) = shown_by(answer)["users"]
        assert (user.mapping.pk, user.standings) == ("shop", (("Failing", 1), ("Running", 1), ("Never run", 1)))
        assert see("mapping", "overview", "shop") in answer.content.decode()


def test_unused_source_says_what_comes_next(admin_client: Client) -> None:
    source = Source.objects.create(name="idle", source_type="pgsql", config={"url": "a.example", "db_name": "x"})
    page = admin_client.get(url(Source, "change", source.pk)).content.decode()
    assert "No mapping reads from it yet." in page
    assert "Discover its tables" in page


def test_source_that_is_used_cannot_be_deleted_and_says_by_whom(admin_client: Client) -> None:
    source = save_mapping().source
    answer = admin_client.post(url(Source, "delete", source.pk), {"post": "yes"}, follow=True)
    assert "these mappings read from it: shop" in answer.content.decode()
    assert Source.objects.filter(pk=source.pk).exists()

    idle = Source.objects.create(name="idle", source_type="pgsql", config={"url": "a.example", "db_name": "x"})
    admin_client.post(url(Source, "delete", idle.pk), {"post": "yes"})
    assert not Source.objects.filter(pk=idle.pk).exists()


def test_clone_holds_the_same_secret_under_another_name(admin_client: Client) -> None:
    source = save_mapping().source
    Source.objects.filter(pk=source.pk).update(max_runs=2)
    answer = admin_client.post(do("source", "clone", source.pk))
    first = Source.objects.get(name=f"{source.name} copy")
    assert first.max_runs == 2, "what is easy on the server is part of it"
    assert answer["Location"] == url(Source, "change", first.pk)
    assert documents.source_raw(first) == documents.source_raw(source)
    admin_client.post(do("source", "clone", source.pk))
    assert Source.objects.filter(name=f"{source.name} copy 2").exists()
    assert AuditEntry.objects.filter(action="clone", target_id=str(source.pk)).count() == 2


def test_kind_of_a_source_that_many_use_stays_and_the_first_of_them_are_named(admin_client: Client) -> None:
    source = save_mapping().source
    Mapping.objects.bulk_create(Mapping(pk=f"more-{number:02}", source=source) for number in range(20))
    form = {"name": "lake", "source_type": "mongo", "mongo__url": "env:DMS_URL", "mongo__db_name": "shop"}

    said = errors_of(admin_client.post(url(Source, "change", source.pk), form))["source_type"]

    assert "Mappings use it as pgsql: more-00, more-01, " in said[0]
    assert "more-09 and 11 more. Make a new one" in said[0]


def test_clone_of_the_longest_name_fits(admin_client: Client) -> None:
    destination = Destination.objects.create(name="d" * 200, destination_type="s3", config={"s3_bucket_name": "lake"})
    admin_client.post(do("destination", "clone", destination.pk))
    assert {len(each.name) for each in Destination.objects.all()} == {200}


def test_reference_is_text_on_the_page_whatever_its_default_is(admin_client: Client) -> None:
    reference = "env:DMS_URL:-mongodb://<img src=x onerror=alert(1)>"
    form = {"name": "lake", "source_type": "mongo", "mongo__url": reference, "mongo__db_name": "shop"}
    assert admin_client.post(url(Source, "add"), form).status_code == 302

    page = admin_client.get(url(Source, "change", Source.objects.get().pk)).content.decode()
    assert "<img" not in page
    assert "Set to env:DMS_URL:-mongodb://&lt;img src=x" in page


@pytest.mark.parametrize(
    ("permissions", "shown", "hidden"),
    [
        (("view_source",), [], ["Clone", "Test connection", "Discover tables"]),
        (("view_source", "test_connection"), ["Test connection", "Discover tables"], ["Clone"]),
        (("view_source", "change_source", "add_source"), ["Clone"], ["Test connection", "Discover tables"]),
    ],
)
def test_buttons_are_shown_to_who_may_use_them(
    permissions: tuple[str, ...], shown: list[str], hidden: list[str]
) -> None:
    source = save_mapping().source
    page = person(*permissions).get(url(Source, "change", source.pk)).content.decode()
    buttons = re.findall(r"</span>([A-Z][a-z ]+)\s*</(?:button|a)>", page)
    assert set(shown) <= set(buttons)
    assert not set(hidden) & set(buttons)


@pytest.mark.parametrize("stored", ["a-sealed-looking-value", "env:PG_PASSWORD", ""])
def test_who_may_only_look_sees_the_address_as_text_and_no_secret(stored: str) -> None:
    config = {"url": "db.example", "port": 5433, "db_name": "shop", "username": "reader"}
    kept = {"password": stored} if stored.startswith("env:") else {"password": secrets.seal(stored)} if stored else {}
    source = Source.objects.create(name="shop db", source_type="pgsql", config=config, secrets=kept)

    page = person("view_source").get(url(Source, "change", source.pk)).content.decode()

    shown = dict(re.findall(r"<label[^>]*>([^<]+)</label>.*?class=\"readonly[^>]*>(.*?)</div>", page, re.DOTALL))
    word = stored if stored.startswith("env:") else "set, and never shown" if stored else "not set"
    lines = {key.lower(): value for key, value in shown.items()}
    expected = {"name": "shop db", "url": "db.example", "port": "5433", "db_name": "shop", "password": word}
    assert lines | expected == lines
    assert not [key for key in lines if key.startswith(("kafka", "forget", "mongo"))]
    assert 'x-show="source_type' not in page
    assert not kept or stored.startswith("env:") or (stored not in page and kept["password"] not in page)


_LOGIN = ("somebody", "mongo-secret", "else-secret")


@pytest.fixture
def mongo() -> Source:
    user, password, option = _LOGIN
    address = f"mongodb://{user}:{password}@a.example:27018,b.example/other?appName={option}"
    config = {"db_name": "shop"}
    sealed = {"url": secrets.seal(address)}
    return Source.objects.create(name="reviews", source_type="mongo", config=config, secrets=sealed)


@pytest.mark.parametrize("role", ["viewer", "superuser"])
def test_servers_of_a_mongo_source_are_shown_and_nothing_else_of_its_address(
    mongo: Source, admin_client: Client, role: str
) -> None:
    client = admin_client if role == "superuser" else person("view_source")
    form = client.get(url(Source, "change", mongo.pk)).content.decode()
    pages = [form, client.get(url(Source, "changelist")).content.decode()]
    if role == "superuser":
        pages.append(client.get(see("source", "discover", mongo.pk)).content.decode())

    assert "a.example:27018, b.example; what else it holds is never shown" in form
    assert all("a.example:27018, b.example / shop" in page for page in pages[1:])
    for page in pages:
        assert not [part for part in (*_LOGIN, mongo.secrets["url"], "other?") if part in page]


def test_list_names_the_database_behind_however_many_servers(mongo: Source, admin_client: Client) -> None:
    address = ",".join(f"member-{number}.cluster.example:27017" for number in range(5))
    Source.objects.filter(pk=mongo.pk).update(secrets={"url": secrets.seal(f"mongodb://{address}/?replicaSet=rs")})

    page = admin_client.get(url(Source, "changelist")).content.decode()

    (shown,) = re.findall(r'<span title="member-0[^"]+ / shop">([^<]+)</span>', page)
    assert shown.startswith("member-0.cluster.example:27017, member-1")
    assert shown.endswith("… / shop")
    assert len(shown) == 60


@pytest.mark.parametrize("stored", ["env:MONGO_URL", "mongodb://some/body:mongo-secret@a.example", "damaged"])
def test_address_that_is_not_known_for_sure_is_not_shown(mongo: Source, admin_client: Client, stored: str) -> None:
    sealed = {"url": "sealed:00000000:x" if stored == "damaged" else secrets.seal(stored)}
    Source.objects.filter(pk=mongo.pk).update(secrets=sealed)

    page = admin_client.get(url(Source, "changelist")).content.decode()

    assert re.search(r'<span title="shop">\s*shop\s*</span>', page)
    assert not [part for part in ("a.example", "mongo-secret", "some", "MONGO_URL") if part in page]


def test_who_may_only_look_sees_a_bucket_too() -> None:
    lake = Destination.objects.create(name="lake", destination_type="s3", config={"s3_bucket_name": "a-bucket"})
    page = person("view_destination").get(url(Destination, "change", lake.pk)).content.decode()
    assert "a-bucket" in page
    assert 'x-show="destination_type' not in page


def test_cloning_needs_the_permission_to_add() -> None:
    source = save_mapping().source
    client = person("view_source", "change_source")
    assert client.post(do("source", "clone", source.pk)).status_code == 403
    assert client.get(do("source", "clone", source.pk)).status_code == 405
    assert Source.objects.count() == 1


def test_list_asks_as_many_queries_for_many_as_for_few(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    save_mapping()
    for number in range(60):
        Source.objects.create(name=f"s{number}", source_type="pgsql", config={"url": "a.example", "db_name": "x"})
    with django_assert_max_num_queries(12):
        page = admin_client.get(reverse("admin:migrations_app_source_changelist")).content.decode()
    assert "1 mapping" in page
    assert "not tested" in page


def test_secret_of_a_form_that_is_refused_is_asked_for_again(admin_client: Client) -> None:
    Source.objects.create(name="shop", source_type="pgsql", config={"url": "a.example", "db_name": "x"})
    form = {"source_type": "pgsql", "pgsql__url": "a.example", "pgsql__db_name": "x", "pgsql__username": "u"}
    address = url(Source, "add")
    sentence = "no page gives a secret back: enter it again."

    refused = admin_client.post(address, form | {"name": "shop", "pgsql__password": "typed"}).content.decode()
    assert "already exists" in refused
    assert refused.count(sentence) == 1
    assert "typed" not in refused
    by_reference = admin_client.post(address, form | {"name": "shop", "pgsql__password": "env:PW"}).content.decode()
    assert sentence not in by_reference
    assert sentence not in admin_client.get(address).content.decode()


@pytest.mark.parametrize("given", ["abc", "", "99", "1e3"])
def test_form_opens_whatever_its_address_fills_in(admin_client: Client, given: str) -> None:
    assert admin_client.get(url(Mapping, "add"), {"source": given, "enabled": given}).status_code == 200
