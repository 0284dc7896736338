"""A job is defined and changed on its page, each mistake shown at its field."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from connectors.mapping import parse_mapping
from migrations_app import mapping_io
from migrations_app.models import (
    Destination,
    Mapping,
    MappingDestination,
    Source,
    Stream,
    TableSpec,
)
from tests.controlplane.builders import raw_mapping, raw_table
from tests.controlplane.pages import accepted, save_mapping, url

pytestmark = pytest.mark.django_db


def inline(prefix: str, rows: list[dict[str, Any]], initial: int = 0) -> dict[str, Any]:
    form = {f"{prefix}-{i}-{key}": value for i, row in enumerate(rows) for key, value in row.items()}
    return form | {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}


def table_form(**overrides: Any) -> dict[str, Any]:
    return {
        "table_name": "orders",
        "cron": "self-managed",
        "batch_size": "10000",
        "mode": "syncing",
        "primary_key": "region, id",
        "primary_key_datatype": "int",
        "bookmark": "updated_at",
        "partition_col": "False",
        "grace_updation_lag": '{"days": 1}',
        "options": "{}",
        "position": "0",
    } | overrides


def mapping_form(
    tables: list[dict[str, Any]], destinations: list[dict[str, Any]] | None = None, **overrides: Any
) -> dict[str, Any]:
    if destinations is None:
        destinations = [{"name": "warehouse", "destination": Destination.objects.get().pk, "position": 0}]
    form = {"id": "jobs", "enabled": "on", "source": Source.objects.get().pk}
    form |= inline("named_destinations", destinations) | inline("tables", tables)
    for prefix in ("collections", "topics", "apis"):
        form |= inline(prefix, [])
    return form | overrides


@pytest.fixture
def endpoints() -> None:
    """A source and a destination without a mapping."""
    save_mapping()
    Mapping.objects.all().delete()


def all_errors(response: Any) -> list[str]:
    assert response.status_code == 200, "the form was accepted"
    formsets = [each.formset for each in response.context["inline_admin_formsets"]]
    found = [str(error) for formset in formsets for error in formset.non_form_errors()]
    for formset in formsets:
        for position, form in enumerate(formset.forms):
            found += [f"{formset.prefix}-{position}-{field}" for field in form.errors]
    return found + list(response.context["adminform"].form.errors)


def test_mapping_is_defined_in_the_admin(admin_client: Client, endpoints: None) -> None:
    assert accepted(admin_client.post(url(Mapping, "add"), mapping_form([table_form()])))

    stored = mapping_io.load_contract(Mapping.objects.get(pk="jobs"))
    table = raw_table(primary_key=["region", "id"], grace_updation_lag={"days": 1})
    assert stored == parse_mapping(raw_mapping(tables=[table]))
    assert Stream.objects.get().unique_id == "jobs_DMS_orders_warehouse"


def test_mistakes_are_shown_at_their_fields(admin_client: Client, endpoints: None) -> None:
    tables = [
        table_form(bookmark="", cron="* *"),
        table_form(table_name="b", primary_key=""),
        table_form(table_name="c"),
    ]

    errors = all_errors(admin_client.post(url(Mapping, "add"), mapping_form(tables)))

    assert {"tables-0-bookmark", "tables-0-cron", "tables-1-primary_key"} <= set(errors)
    assert not any(error.startswith("tables-2") for error in errors)
    assert not Mapping.objects.exists()


def test_mistakes_without_a_field_are_shown_too(admin_client: Client, endpoints: None) -> None:
    errors = all_errors(admin_client.post(url(Mapping, "add"), mapping_form([], get_table_name="a.b")))

    assert any("tables" in error or "get_table_name" in error for error in errors)


def test_clashing_streams_are_refused_on_the_page(admin_client: Client, endpoints: None) -> None:
    pk = Destination.objects.get().pk
    destinations = [
        {"name": "eu_dwh", "destination": pk, "position": 0},
        {"name": "dwh", "destination": pk, "position": 1},
    ]
    tables = [table_form(), table_form(table_name="orders_eu")]

    errors = all_errors(admin_client.post(url(Mapping, "add"), mapping_form(tables, destinations)))

    assert "named_destinations-1-name" in errors or "named_destinations-0-name" in errors


def test_mapping_is_changed_in_the_admin(admin_client: Client) -> None:
    mapping = save_mapping(tables=[raw_table(), raw_table(table_name="b")])
    named = MappingDestination.objects.get()
    first, second = TableSpec.objects.all()
    form = {"enabled": "on", "source": mapping.source_id}
    form |= inline(
        "named_destinations",
        [{"id": named.pk, "name": "warehouse", "destination": named.destination_id, "position": 0}],
        initial=1,
    )
    form |= inline(
        "tables",
        [
            {"id": first.pk, **table_form(batch_size="7", primary_key="id", grace_updation_lag="")},
            {"id": second.pk, **table_form(table_name="b"), "DELETE": "on"},
        ],
        initial=2,
    )

    assert accepted(admin_client.post(url(Mapping, "change", "shop"), form))

    stored = mapping_io.load_contract(Mapping.objects.get())
    assert stored == parse_mapping(raw_mapping(tables=[raw_table(batch_size=7)]))
    assert not Stream.objects.get(name="b").active


def test_kafka_mapping_takes_its_redis_server(admin_client: Client) -> None:
    source = {
        "source_type": "kafka",
        "kafka_server": "k:9092",
        "db_name": "events",
        "consumer_group_id": "dms",
    }
    raw = {
        "source": source,
        "destination": {},
        "topics": [{"topic_name": "clicks", "cron": "self-managed"}],
        "redis": {"url": "redis://cache.example:6379/0", "password": "redis-secret"},
    }
    mapping = mapping_io.save_mapping("events", mapping_io.parse(raw))
    spec = mapping.topics.get()
    form = {"enabled": "on", "source": mapping.source_id, "redis_password": "", "redis_url": ""}
    form |= inline("named_destinations", [])
    topic = {"id": spec.pk, "topic_name": "clicks", "cron": "self-managed", "batch_size": 5, "position": 0}
    form |= inline("topics", [topic | {"options": "{}"}], initial=1)

    page = admin_client.get(url(Mapping, "change", "events"))
    assert "redis-secret" not in page.content.decode()
    assert accepted(admin_client.post(url(Mapping, "change", "events"), form))

    raw["topics"] = [{"topic_name": "clicks", "cron": "self-managed", "batch_size": 5}]
    assert mapping_io.load_contract(Mapping.objects.get()) == parse_mapping(raw)


@pytest.mark.parametrize("page", ["changelist", "add"])
@pytest.mark.parametrize("model", [Mapping, Source, Destination])
def test_pages_open(admin_client: Client, model: type, page: str) -> None:
    save_mapping()

    assert admin_client.get(url(model, page)).status_code == 200
