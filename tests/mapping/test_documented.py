"""The examples of the documented format, in our own words, and what the contract makes of them."""

import datetime as dt
import re
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
from connectors.mapping.cron import FIELDS, check_cron
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


def test_a_cron_error_shows_how_its_field_is_written() -> None:
    values = ["x"] * 8
    for position, name in enumerate(FIELDS):
        crossed = ["*"] * 8
        crossed[position] = "x"
        message = issues_of(make_mapping(cron=" ".join(crossed)))["tables[0].cron"]
        assert f"({name}) cannot be read; it takes *, */n, a, a-b, a-b/n" in message
        for example in message.rpartition("such as ")[2].split(" or "):
            values[position] = example
            check_cron(" ".join([*crossed[:position], example, *crossed[position + 1 :]]))
    assert check_cron(" ".join(values)) == " ".join(values)


@pytest.mark.parametrize(
    ("cron", "remedy"),
    [
        ("* * * * fri-mon 0 0 0", "write fri-sun,mon"),
        ("* * * * 5-1 0 0 0", "write 5-6,0-1"),
        ("* nov-feb * * * 0 0 0", "write nov-dec,jan-feb"),
        ("* * 28-3 * * 0 0 0", "write 28-31,1-3"),
        ("* * * * * 22-6 0 0", "write 22-23,0-6"),
        ("* * * * * 22-6/3 0 0", "write 22,1-6/3"),
        ("2028-2026 * * * * * * *", "write 2026-2028"),
        ("* * * * 7 0 0 0", "write 6 or sun for Sunday"),
        ("* * * * 1-7 0 0 0", "write 6 or sun for Sunday"),
        ("* * * * jan 0 0 0", "jan is a month, which stands in field 2 (month)"),
        ("* mon * * * 0 0 0", "mon is a weekday, which stands in field 5 (day_of_week)"),
        ("* * * * monday 0 0 0", "write mon, the first three letters"),
        ("* * * * mon-5 0 0 0", "both as names"),
        ("* * L * * 0 0 0", "write last"),
        ("* * * * 5L 0 0 0", "cannot be written"),
        ("* * last-3 * * 0 0 0", "cannot be written"),
        ("* * * * fri#2 0 0 0", "write 8-14 in day and fri in day_of_week"),
        ("* * * * ?/2 0 0 0", "? stands alone"),
        ("* * * * * * */0 0", "is at least 1"),
        ("* * * * * * */90 0", "is at most 59"),
        ("* * * * * 24 0 0", "midnight is 0"),
        ("* * * * 2nd mon 0 0 0", "write 8-14 in day and mon in day_of_week"),
        ("@daily", "write it as '* * * * * 0 0 0'"),
        ("@weekly", "write it as '* * * * sun 0 0 0'"),
        ("@reboot", "of the names with @"),
        ("*/15 * * * *", "write it as '* * * * * * */15 0'"),
        ("30 2 * * 1-5", "write it as '* * * * mon-fri 2 30 0'"),
        ("0 6 1 jan *", "write it as '* jan 1 * * 6 0 0'"),
        ("0 0 * * 0", "write it as '* * * * sun 0 0 0'"),
        ("0 0 * * 5-7", "write it as '* * * * fri-sun 0 0 0'"),
        ("0 0 * * */2", "write it as '* * * * tue,thu,sat,sun 0 0 0'"),
        ("0 0 13 * 5", "here both have to hold"),
    ],
)
def test_a_usual_mistake_in_a_cron_is_told_its_remedy(cron: str, remedy: str) -> None:
    message = issues_of(make_mapping(cron=cron))["tables[0].cron"]
    assert remedy in message
    if proposed := re.search(r"write it as '(.*)'", message):
        assert check_cron(proposed[1]) == proposed[1]
    elif parts := re.search(r"over the end: write (\S+)", message):
        position = int(message.partition("field ")[2][0])
        check_cron(" ".join(parts[1] if number == position else "*" for number in range(1, 9)))


@pytest.mark.parametrize("cron", ["hunter2 * * * *", "* * * * hunter2-1 0 0 0", "s3cr3t w0rd * * 1-x"])
def test_a_cron_error_repeats_nothing_that_is_no_cron(cron: str) -> None:
    message = issues_of(make_mapping(cron=cron))["tables[0].cron"]
    assert not any(word in message for word in ("hunter", "s3cr3t", "w0rd"))


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
