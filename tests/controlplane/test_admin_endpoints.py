"""Sources and destinations in the admin: secrets go in and never come out."""

from __future__ import annotations

import pytest
from django.test import Client

from migrations_app import documents, secrets
from migrations_app.models import (
    Destination,
    Source,
)
from tests.controlplane.pages import accepted, errors_of, save_mapping, url

pytestmark = pytest.mark.django_db

SOURCE_FORM = {
    "name": "shop db",
    "source_type": "pgsql",
    "pgsql__url": "source.example",
    "pgsql__db_name": "shop",
    "pgsql__username": "reader",
    "pgsql__password": "source-secret",
}


def test_source_is_added_and_its_secret_sealed(admin_client: Client) -> None:
    assert accepted(admin_client.post(url(Source, "add"), SOURCE_FORM))

    source = Source.objects.get()
    assert source.config == {"url": "source.example", "db_name": "shop", "username": "reader"}
    assert source.secrets["password"].startswith("sealed:")


@pytest.mark.parametrize("path", ["change", "changelist", "delete", "history"])
def test_no_page_of_a_source_shows_its_secret(admin_client: Client, path: str) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM)
    source = Source.objects.get()

    page = admin_client.get(url(Source, path, *([] if path == "changelist" else [source.pk])))

    assert page.status_code == 200
    assert "source-secret" not in page.content.decode()
    assert source.secrets["password"] not in page.content.decode()


def test_source_is_checked_by_the_contract_at_its_fields(admin_client: Client) -> None:
    form = SOURCE_FORM | {"pgsql__url": "", "pgsql__port": "70000", "pgsql__username": "env:HOME"}

    errors = errors_of(admin_client.post(url(Source, "add"), form))

    assert set(errors) == {"pgsql__url", "pgsql__port", "pgsql__username"}
    assert not Source.objects.exists()


def test_wrong_entry_is_not_echoed_with_its_secret(admin_client: Client) -> None:
    page = admin_client.post(url(Source, "add"), SOURCE_FORM | {"pgsql__url": ""})

    assert "source-secret" not in page.content.decode()


def test_empty_secret_keeps_the_stored_one(admin_client: Client) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM)
    source = Source.objects.get()

    form = SOURCE_FORM | {"pgsql__password": "", "pgsql__username": "other"}
    assert accepted(admin_client.post(url(Source, "change", source.pk), form))

    source.refresh_from_db()
    assert source.config["username"] == "other"
    assert documents.source_raw(source)["password"] == "source-secret"


@pytest.mark.parametrize(
    "moved", [{"pgsql__url": "thief.example"}, {"pgsql__port": "5433"}, {"pgsql__sslmode": "disable"}]
)
def test_moved_address_asks_for_the_secret_again(admin_client: Client, moved: dict[str, str]) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM)
    source = Source.objects.get()
    form = SOURCE_FORM | {"pgsql__password": ""} | moved

    errors = errors_of(admin_client.post(url(Source, "change", source.pk), form))

    assert set(errors) == {"pgsql__password"}
    key = next(iter(moved)).removeprefix("pgsql__")
    assert f"`{key}` changed: enter this again" in errors["pgsql__password"][0]
    source.refresh_from_db()
    assert source.config["url"] == "source.example"
    assert accepted(admin_client.post(url(Source, "change", source.pk), form | {"pgsql__password": "new"}))
    source.refresh_from_db()
    assert documents.source_raw(source)["password"] == "new"


def test_secret_may_be_forgotten_with_a_moved_address(admin_client: Client) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM)
    source = Source.objects.get()
    form = SOURCE_FORM | {"pgsql__password": "", "pgsql__url": "other.example", "forget": ["password"]}

    assert accepted(admin_client.post(url(Source, "change", source.pk), form))

    source.refresh_from_db()
    assert source.secrets == {}


def test_moved_destination_needs_its_password_again(admin_client: Client) -> None:
    save_mapping()
    destination = Destination.objects.get()
    Destination.objects.update(secrets=secrets.seal_all({"password": "dest-secret"}))
    form = {
        "name": destination.name,
        "destination_type": "pgsql",
        "pgsql__url": "thief.example",
        "pgsql__db_name": "dwh",
        "pgsql__username": "writer",
    }

    assert set(errors_of(admin_client.post(url(Destination, "change", destination.pk), form))) == {"pgsql__password"}
    assert accepted(admin_client.post(url(Destination, "change", destination.pk), form | {"pgsql__password": "new"}))


def test_moved_mongo_address_asks_for_the_password_again(admin_client: Client) -> None:
    form = {
        "name": "app",
        "source_type": "mongo",
        "mongo__url": "mongodb://a.example",
        "mongo__db_name": "app",
        "mongo__password": "mongo-secret",
    }
    admin_client.post(url(Source, "add"), form)
    source = Source.objects.get()

    form |= {"mongo__url": "mongodb://a.example/another", "mongo__password": ""}
    assert set(errors_of(admin_client.post(url(Source, "change", source.pk), form))) == {"mongo__password"}

    form |= {"mongo__url": "", "mongo__db_name": "other"}
    assert accepted(admin_client.post(url(Source, "change", source.pk), form)), "the address stays"


def test_moved_store_asks_for_both_keys_again(admin_client: Client) -> None:
    form = {
        "name": "lake",
        "destination_type": "s3",
        "s3__endpoint_url": "https://store.example",
        "s3__s3_bucket_name": "lake",
        "s3__access_key_id": "id",
        "s3__secret_access_key": "key-secret",
    }
    assert accepted(admin_client.post(url(Destination, "add"), form))
    destination = Destination.objects.get()

    form |= {"s3__endpoint_url": "https://thief.example", "s3__access_key_id": "", "s3__secret_access_key": ""}
    errors = errors_of(admin_client.post(url(Destination, "change", destination.pk), form))

    assert set(errors) == {"s3__access_key_id", "s3__secret_access_key"}


def test_secret_is_forgotten_on_request(admin_client: Client) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM)
    source = Source.objects.get()
    form = SOURCE_FORM | {"pgsql__password": "", "forget": ["password"]}

    assert accepted(admin_client.post(url(Source, "change", source.pk), form))

    source.refresh_from_db()
    assert source.secrets == {}


def test_reference_can_be_given_by_the_name_of_its_variable(admin_client: Client) -> None:
    form = SOURCE_FORM | {"pgsql__password": "", "pgsql__password__way": "env", "pgsql__password__env": "SOURCE_PW"}

    assert accepted(admin_client.post(url(Source, "add"), form))

    assert Source.objects.get().secrets == {"password": "env:SOURCE_PW"}


def test_value_takes_the_place_of_a_reference(admin_client: Client) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM | {"pgsql__password": "env:SOURCE_PW"})
    source = Source.objects.get()
    form = SOURCE_FORM | {"pgsql__password__way": "value", "pgsql__password__env": "SOURCE_PW"}

    assert accepted(admin_client.post(url(Source, "change", source.pk), form))

    source.refresh_from_db()
    assert documents.source_raw(source)["password"] == "source-secret"


def test_variable_that_mappings_may_not_name_is_refused_at_its_field(admin_client: Client) -> None:
    form = SOURCE_FORM | {"pgsql__password__way": "env", "pgsql__password__env": "DJANGO_SECRET_KEY"}

    assert set(errors_of(admin_client.post(url(Source, "add"), form))) == {"pgsql__password"}


def test_reference_is_kept_and_shown(admin_client: Client) -> None:
    admin_client.post(url(Source, "add"), SOURCE_FORM | {"pgsql__password": "env:SOURCE_PASSWORD"})

    page = admin_client.get(url(Source, "change", Source.objects.get().pk))

    assert "Set to env:SOURCE_PASSWORD" in page.content.decode()


def test_kind_of_a_source_in_use_stays(admin_client: Client) -> None:
    source = save_mapping().source
    form = {"name": "shop", "source_type": "api", "api__db_name": "x"}

    assert "source_type" in errors_of(admin_client.post(url(Source, "change", source.pk), form))
