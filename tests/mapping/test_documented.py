"""The examples of the documented format, in our own words, and what the contract makes of them."""

import datetime as dt
from typing import Any

import pytest
import pytz

from connectors.mapping import (
    SELF_MANAGED,
    ApiSpec,
    KeyType,
    MappingError,
    Mode,
    PartitionFormat,
    PgsqlSource,
    cron_trigger,
    default_schema,
    destination_schema,
    dump_json,
    parse_mapping,
    parse_settings,
    unique_id,
)
from connectors.mapping.files import load_text
from connectors.mapping.schema import mapping_json_schema, settings_json_schema
from tests.mapping.samples import issues_of, make_mapping

TABLES = """
import os

# Three destinations at once.
mapping = {
    'source': {
        'source_type': 'pgsql',  # a PostgreSQL server
        'url': 'shop.internal.example',
        'db_name': 'shop-db',
        'username': '',
        'password': '',
    },
    'destination': {
        "lake-1": {
            'destination_type': 's3',
            's3_bucket_name': 'shop-lake',
            's3_suffix': '_copy',
        },
        "wh_2": {
            'destination_type': 'redshift',
            'host': 'shop.abc.us-west-1.redshift.amazonaws.com',
            'database': 'wh',
            'user': os.getenv('REDSHIFT_USER'),
            'password': os.getenv('REDSHIFT_PASSWORD'),
            's3_bucket_name': 'shop-staging',
        },
        'pg_3': {
            "destination_type": "pgsql",
            "url": "warehouse.internal.example",
            "db_name": "wh",
            "username": os.getenv('DB_USERNAME'),
            "password": os.getenv('DB_PASSWORD'),
        },
    },
    'tables': [
        {
            "table_name": "orders",
            "cron": '* * * * * 7-19 */1 0',
            "mode": "syncing",
            "batch_size": 10000,
            "bookmark": "updated_at",
            "improper_bookmarks": False,
            "primary_key": "id",
            "primary_key_datatype": "uuid",
            'partition_col': 'created_at',
            'partition_col_format': 'datetime',
            "buffer_updation_lag": {"hours": 2},
            "grace_updation_lag": {"days": 1},
            'strict': True,
        }
    ]
}
"""

KAFKA = """
import json

mapping = {
    'source': {
        'source_type': 'kafka',
        'kafka_server': 'broker.internal.example:9092',
        'db_name': 'clicks',
        'kafka_username': '',
        'kafka_password': '',
        'consumer_group_id': 'dms-clicks',
    },
    'destination': {'lake': {'destination_type': 's3', 's3_bucket_name': 'shop-lake'}},
    'topics': [
        {
            'topic_name': 'clicks',
            'cron': 'self-managed',
            'batch_size': 10000,
            'partition_col': 'created_at',
            'partition_col_format': 'datetime',
            'fields': {'created_at': 'datetime', 'is_new': 'bool', 'position': 'int', 'amount': 'float'},
            'col_rename': {'ts': 'happened_at'},
        }
    ],
    'redis': {'url': 'redis://cache.internal.example', 'password': os.environ['REDIS_PASSWORD']},
}


def get_table_name(record):
    return 'clicks'


def process_dict(record):
    return json.loads(record)
"""

SETTINGS = """
import datetime
import os

settings = {
    'fastapi_server': True,
    'timezone': 'Asia/Kolkata',
    'notify': True,
    'encryption_store': {'url': os.getenv('STORE_URL'), 'db_name': 'dms', 'collection_name': 'state'},
    'dashboard_store': {'url': os.getenv('STORE_URL'), 'db_name': 'dms', 'collection_name': 'runs'},
    'slack_notif': {'slack_token': os.getenv('SLACK_TOKEN'), 'channel': 'C0123'},
    'cut_off_time': datetime.time(6, 30),
}
"""


def test_the_example_of_tables_is_read() -> None:
    mapping = parse_mapping(load_text(TABLES, "mapping.py").data)
    [table] = mapping.tables or ()
    assert isinstance(mapping.source, PgsqlSource)
    assert (mapping.source.kind, mapping.source.host, mapping.source.tcp_port) == ("sql", "shop.internal.example", 5432)
    assert (table.mode, table.key_types, table.strict) == (Mode.SYNCING, (KeyType.UUID,), True)
    assert (table.partition_columns, table.partition_formats) == (("created_at",), (PartitionFormat.DATETIME,))
    assert table.buffer_updation_lag
    assert table.buffer_updation_lag.timedelta == dt.timedelta(hours=2)
    assert table.batch_size == 10000
    schema = destination_schema(mapping.source.kind, mapping.source.db_name, mapping.destination["pg_3"])  # type: ignore[arg-type]
    assert schema == "sql_shop-db_dms"


def test_the_example_of_topics_is_read_and_its_functions_are_left_out() -> None:
    loaded = load_text(KAFKA, "mapping.py")
    mapping = parse_mapping(loaded.data)
    assert mapping.redis
    assert mapping.noun == "topic"
    assert [spec.name for spec in mapping.specs] == ["clicks"]
    assert len(loaded.warnings) == 3


def test_the_example_of_settings_is_read() -> None:
    settings = parse_settings(load_text(SETTINGS, "settings.py", "settings").data)
    assert settings.cut_off_time == dt.time(6, 30)
    assert settings.tzinfo == pytz.timezone("Asia/Kolkata")


def test_functions_must_lie_under_an_allowed_prefix() -> None:
    raw = make_mapping("kafka", process_dict="elsewhere.module.change") | {"get_table_name": "dms_jobs.names.pick"}
    parse_mapping(raw)
    with pytest.raises(MappingError, match="outside the packages that functions may come from") as caught:
        parse_mapping(raw, function_prefixes=["dms_jobs"])
    assert [issue.path for issue in caught.value.issues] == ["topics[0].process_dict"]


def test_offsets_of_days_are_read_from_text_and_numbers() -> None:
    [spec] = parse_mapping(make_mapping("api", start_day="-7", end_day=-6)).apis or ()
    assert isinstance(spec, ApiSpec)
    assert (spec.start_day, spec.end_day) == (-7, -6)


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("* * * * *", "found 5"),
        ("", "found 0"),
        ("* * * * * 25 * *", "field 6 of 8 (hour)"),
        ("* 13 * * * * * *", "field 2 of 8 (month)"),
        ("* * * * funday * * *", "field 5 of 8 (day_of_week)"),
        ("* * * * * 9-7 * *", "field 6 of 8 (hour)"),
        ("* * * * * * */0 *", "field 7 of 8 (minute)"),
        ("* * * * * * * 60", "from 0 to 59"),
        ("1900 * * * * * * *", "field 1 of 8 (year)"),
        ("? ? ? ? ? ? ? ?", "at least one of the fields must be given"),
    ],
)
def test_a_cron_error_names_the_field(cron: str, message: str) -> None:
    assert message in issues_of(make_mapping(cron=cron))["tables[0].cron"]


def test_a_cron_gives_the_next_time_in_its_time_zone() -> None:
    zone = pytz.timezone("Asia/Kolkata")
    trigger = cron_trigger("* * * * * 7-19 */1 0", zone)
    assert trigger is not None
    now = zone.localize(dt.datetime(2026, 3, 1, 19, 59, 30))
    assert trigger.get_next_fire_time(None, now) == zone.localize(dt.datetime(2026, 3, 2, 7, 0))
    assert cron_trigger(SELF_MANAGED, zone) is None


def test_a_question_mark_leaves_a_field_to_its_default() -> None:
    trigger = cron_trigger("? ? ? ? ? 6 ? ?", pytz.utc)
    assert trigger is not None
    assert trigger.get_next_fire_time(None, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) == dt.datetime(
        2026, 3, 1, 6, tzinfo=dt.UTC
    )


def test_streams_and_schemas_have_the_documented_names() -> None:
    assert unique_id("shop", "orders", "lake-1") == "shop_DMS_orders_lake-1"
    assert default_schema("mongo", "my-db-name") == "mongo_my-db-name_dms"


@pytest.mark.parametrize(
    ("url", "port", "host", "tcp_port"),
    [
        ("db", None, "db", 5432),
        ("db:5433", None, "db", 5433),
        ("db", 5433, "db", 5433),
        ("db:5433", 5433, "db", 5433),
        ("10.0.0.1", None, "10.0.0.1", 5432),
        ("[::1]:5433", None, "::1", 5433),
        ("postgresql://DB.example.com:5433", None, "db.example.com", 5433),
        ("postgres://db/shop", None, "db", 5432),
        ("my_db-1.example.com.", None, "my_db-1.example.com.", 5432),
    ],
)
def test_addresses_are_read_in_every_usual_form(url: str, port: int | None, host: str, tcp_port: int) -> None:
    raw = make_mapping()
    raw["source"] |= {"url": url} | ({"port": port} if port else {})
    source = parse_mapping(raw).source
    assert isinstance(source, PgsqlSource)
    assert (source.host, source.tcp_port) == (host, tcp_port)


@pytest.mark.parametrize("schema", [mapping_json_schema(), settings_json_schema()], ids=["mapping", "settings"])
def test_the_json_schema_describes_every_key(schema: dict[str, Any]) -> None:
    parts = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
    for part in parts:
        assert part["additionalProperties"] is False
        assert [key for key, value in part["properties"].items() if not value.get("description")] == []


def test_the_json_export_is_plain_json() -> None:
    assert '"mode": "syncing"' in dump_json(parse_mapping(make_mapping()))
