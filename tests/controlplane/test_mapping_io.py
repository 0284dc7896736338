"""A mapping goes into the control database and comes out as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core import serializers

from connectors.mapping import MappingError, parse_mapping, to_dict
from migrations_app import mapping_io, settings_io
from migrations_app.mapping_io import Outcome
from migrations_app.models import Destination, Mapping, ServiceSettings, Source, Stream
from migrations_app.streams import ensure_stream
from tests.controlplane.builders import raw_mapping, raw_settings, raw_table

pytestmark = pytest.mark.django_db


def save(raw: dict[str, Any], mapping_id: str = "shop") -> Mapping:
    return mapping_io.save_mapping(mapping_id, mapping_io.parse(raw))


KAFKA = {
    "source": {
        "source_type": "kafka",
        "kafka_server": "kafka.example:9092",
        "db_name": "events",
        "kafka_username": "env:KAFKA_USER",
        "kafka_password": "kafka-secret",
        "consumer_group_id": "dms",
    },
    "destination": {},
    "topics": [
        {
            "topic_name": "clicks",
            "cron": "* * * * * */2 0 0",
            "fields": {"at": "datetime", "n": "int"},
            "col_rename": {"at": "clicked_at"},
            "partition_col": ["at", "n"],
            "partition_col_format": ["datetime", "int"],
        }
    ],
    "redis": {"url": "redis://cache.example:6379/0", "password": "redis-secret"},
}
MONGO = {
    "source": {"source_type": "mongo", "url": "mongodb://u:mongo-secret@m.example", "db_name": "app"},
    "destination": {
        "lake": {
            "destination_type": "s3",
            "s3_bucket_name": "lake",
            "s3_suffix": "_v2",
            "access_key_id": "s3-id-secret",
            "secret_access_key": "s3-key-secret",
        }
    },
    "collections": [
        {
            "collection_name": "users",
            "cron": "self-managed",
            "mode": "syncing",
            "bookmark": False,
            "time_delay": 2,
            "buffer_updation_lag": {"hours": 2},
            "grace_updation_lag": {"days": 1},
            "fields": {"created_at": "datetime"},
            "slack_channel": "#users",
        }
    ],
}
API = {
    "source": {"source_type": "api", "db_name": "crm", "token": "api-secret"},
    "destination": {},
    "apis": [
        {
            "api_name": "calls",
            "cron": "self-managed",
            "event_names": ["a", "b,c"],
            "start_day": -7,
            "end_day": -1,
            "primary_keys": ["id"],
            "bulk_data": True,
        }
    ],
}
TABLES = raw_mapping(
    tables=[
        raw_table(
            primary_key=["region", "id"],
            primary_key_datatype=["str", "int"],
            bookmark_timezone="Europe/Paris",
            improper_bookmarks=True,
            strict=True,
            indexes={},
            masking_columns=[["phone", 4]],
            lob_fields_length={"note": 65535},
            batch_size=500,
            max_delete_fraction=0.1,
        ),
        {"table_name": "*", "exclude_tables": ["tmp"], "cron": "self-managed", "mode": "dumping"}
        | {"expiry": {"days": 30}},
        {
            "table_name": "totals",
            "cron": "self-managed",
            "mode": "dumping",
            "fetch_data_query": "SELECT 1 AS one",
            "fields": {"one": "int"},
        },
    ]
)


@pytest.mark.parametrize("raw", [raw_mapping(), TABLES, MONGO, KAFKA, API])
def test_what_is_saved_is_loaded_again(raw: dict[str, Any]) -> None:
    row = save(raw)

    assert mapping_io.load_contract(Mapping.objects.get(pk=row.pk)) == parse_mapping(raw)


@pytest.mark.parametrize("raw", [raw_mapping(), TABLES, MONGO, KAFKA, API])
def test_no_row_holds_a_secret_in_the_clear(raw: dict[str, Any]) -> None:
    row = save(raw)
    rows = [row, row.source, *Destination.objects.all(), *row.spec_rows()]

    assert "-secret" in json.dumps(raw)
    assert "-secret" not in serializers.serialize("json", rows)


def test_references_are_kept_as_they_are() -> None:
    save(raw_mapping())

    assert Destination.objects.get().secrets == {"password": "env:DEST_PASSWORD"}


def test_reference_to_the_services_own_secrets_is_refused() -> None:
    source = raw_mapping()["source"] | {"password": "env:DMS_SECRET_KEYS", "username": "env:HOME"}

    with pytest.raises(MappingError) as caught:
        mapping_io.parse(raw_mapping(source=source))

    assert sorted(issue.path for issue in caught.value.issues) == ["source.password", "source.username"]


def test_compare_tells_created_unchanged_and_changed() -> None:
    first = mapping_io.parse(raw_mapping())
    assert mapping_io.compare("shop", first) is Outcome.CREATED
    mapping_io.save_mapping("shop", first)
    assert mapping_io.compare("shop", first) is Outcome.UNCHANGED
    other = mapping_io.parse(raw_mapping(tables=[raw_table(batch_size=7)]))
    assert mapping_io.compare("shop", other) is Outcome.CHANGED


def test_key_that_left_the_document_goes_back_to_its_default() -> None:
    save(TABLES)
    row = save(raw_mapping())

    assert mapping_io.load_contract(row) == parse_mapping(raw_mapping())


def test_source_kind_may_change() -> None:
    save(raw_mapping())
    row = save(MONGO)

    assert mapping_io.load_contract(row) == parse_mapping(MONGO)
    assert not row.tables.exists()


def test_streams_follow_specs_and_destinations() -> None:
    row = save(raw_mapping(tables=[raw_table(), raw_table(table_name="customers")]))
    assert set(row.streams.values_list("unique_id", flat=True)) == {
        "shop_DMS_orders_warehouse",
        "shop_DMS_customers_warehouse",
    }

    save(raw_mapping())

    assert not Stream.objects.get(name="customers").active
    assert Stream.objects.get(name="orders").active

    save(raw_mapping(tables=[raw_table(table_name="customers")]))

    assert Stream.objects.get(name="customers").active


def test_streams_of_every_table_stay_until_the_spec_goes() -> None:
    everything = {"table_name": "*", "cron": "self-managed", "mode": "dumping"}
    row = save(raw_mapping(tables=[everything]))
    assert not row.streams.exists()
    stream = ensure_stream(row, "table", "orders", "warehouse")

    save(raw_mapping(tables=[everything | {"batch_size": 5}]))
    stream.refresh_from_db()
    assert stream.active

    save(raw_mapping(tables=[raw_table(table_name="customers")]))
    stream.refresh_from_db()
    assert not stream.active


def test_two_streams_that_would_have_one_name_are_refused() -> None:
    destination = raw_mapping()["destination"]["warehouse"]
    raw = raw_mapping(
        destination={"eu_warehouse": destination, "warehouse": destination | {"schema": "other"}},
        tables=[raw_table(), raw_table(table_name="orders_eu")],
    )

    with pytest.raises(MappingError, match="rename this destination"):
        save(raw)

    assert not Mapping.objects.exists()


def test_reimport_keeps_a_row_that_says_the_same() -> None:
    row = save(raw_mapping())
    shared = Source.objects.get()
    Source.objects.filter(pk=shared.pk).update(name="our shop")

    save(raw_mapping(tables=[raw_table(batch_size=5)]))

    row.refresh_from_db()
    assert row.source == shared
    assert Source.objects.count() == 1


def test_reimport_leaves_no_unused_rows_behind() -> None:
    save(raw_mapping())
    save(raw_mapping(destination={}))

    assert not Destination.objects.exists()


def test_sharing_is_said() -> None:
    row = save(raw_mapping())
    other = save(raw_mapping(), "other")
    Mapping.objects.filter(pk=other.pk).update(source=row.source)

    assert mapping_io.shared_with(row) == ["source shop is also used by mapping other"]


def test_settings_come_out_as_they_went_in() -> None:
    raw = raw_settings(
        timezone="Europe/Paris",
        notify=True,
        slack_notif={"slack_token": "slack-secret", "channel": "#dms"},
        cut_off_time="22:30:00",
        keepalive_kwargs={"keepalives_idle": 7},
        clock_margin_s=5,
        fastapi_server=True,
    )
    parsed = settings_io.parse_settings(raw)

    settings_io.save_settings(parsed)

    assert settings_io.load_settings() == parsed
    assert settings_io.compare_settings(parsed) is Outcome.UNCHANGED
    assert "-secret" not in serializers.serialize("json", ServiceSettings.objects.all())


def test_settings_go_back_to_defaults_and_stay_one_row() -> None:
    settings_io.save_settings(settings_io.parse_settings(raw_settings(timezone="UTC", clock_margin_s=5)))
    plain = settings_io.parse_settings(raw_settings())

    settings_io.save_settings(plain)

    assert settings_io.load_settings() == plain
    assert ServiceSettings.objects.count() == 1


def test_settings_that_are_not_there_name_the_remedy() -> None:
    with pytest.raises(MappingError, match="import_settings FILE"):
        settings_io.load_settings()


def test_resolved_settings_hold_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://other.example")
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))

    assert settings_io.resolved_settings().dashboard_store.url.get_secret_value() == "mongodb://other.example"


def test_unset_reference_is_named_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEST_PASSWORD", raising=False)
    row = save(raw_mapping())

    with pytest.raises(MappingError, match=r"destination\.warehouse\.password: .*DEST_PASSWORD is not set"):
        mapping_io.resolved(mapping_io.load_contract(row))


def test_export_of_what_is_stored_masks_secrets() -> None:
    row = save(raw_mapping())

    exported = to_dict(mapping_io.load_contract(row))

    assert exported["source"]["password"] == "********"
    assert exported["destination"]["warehouse"]["password"] == "env:DEST_PASSWORD"
