"""Every rule of the contract refuses what it forbids, at the right path, with a remedy."""

from typing import Any

import pytest

from connectors.mapping import parse_mapping
from tests.mapping.samples import (
    COLLECTION,
    PGSQL_DESTINATION,
    REDSHIFT_DESTINATION,
    S3_DESTINATION,
    TABLE,
    issues_of,
    make_mapping,
    without_ellipsis,
)

TABLE_RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"table_name": ...}, "table_name", "is required"),
    ({"table_name": ""}, "table_name", "must not be empty"),
    ({"table_name": "a.b.c"}, "table_name", "'schema.table'"),
    ({"cron": ...}, "cron", "is required: self-managed, or eight cron fields"),
    ({"mode": ...}, "mode", "is required"),
    ({"mode": "copying"}, "mode", "expected 'dumping', 'logging', 'syncing' or 'mirroring'"),
    ({"batch_size": 0}, "batch_size", "expected 1 or more"),
    ({"batch_size": "10000"}, "batch_size", "expected a whole number"),
    ({"batch_size": True}, "batch_size", "expected a whole number"),
    ({"strict": "yes"}, "strict", "expected True or False"),
    ({"primary_key": ...}, "primary_key", "is required in syncing mode"),
    ({"primary_key": []}, "primary_key", "lists no column"),
    ({"primary_key": ["a", "a"]}, "primary_key", "list each column once"),
    ({"primary_key": 5}, "primary_key", "expected a column name, or a list of column names"),
    ({"primary_key_datatype": ...}, "primary_key_datatype", "is required in syncing mode"),
    ({"primary_key_datatype": "bigint"}, "primary_key_datatype", "expected 'int', 'str', 'uuid' or 'datetime'"),
    ({"primary_key_datatype": ["int", "int"]}, "primary_key_datatype", "lists 2 datatypes for 1 key columns"),
    ({"bookmark": ...}, "bookmark", "is required in syncing mode"),
    ({"mode": "mirroring", "bookmark": ...}, "bookmark", "is required in mirroring mode"),
    ({"mode": "mirroring", "primary_key": ...}, "primary_key", "is required in mirroring mode"),
    ({"mode": "logging", "primary_key": ...}, "primary_key", "is required in logging mode"),
    ({"bookmark": True}, "bookmark", "expected a column name, or False"),
    (
        {"mode": "logging", "primary_key_datatype": "uuid", "bookmark": ...},
        "bookmark",
        "is required in logging mode when a key is str or uuid",
    ),
    (
        {"mode": "logging", "primary_key_datatype": "str", "bookmark": False},
        "bookmark",
        "is required in logging mode when a key is str or uuid",
    ),
    ({"bookmark": False, "bookmark_timezone": "UTC"}, "bookmark_timezone", "has no bookmark to apply to"),
    ({"bookmark_timezone": "Mars/Olympus"}, "bookmark_timezone", "expected a time zone name"),
    ({"partition_col": True}, "partition_col", "expected a column name, a list of column names, or False"),
    ({"partition_col": []}, "partition_col", "lists no column"),
    ({"partition_col": ["a", "a"]}, "partition_col", "list each column once"),
    ({"partition_col_format": "date"}, "partition_col_format", "expected 'datetime', 'int' or 'str'"),
    (
        {"partition_col": ["a", "b"], "partition_col_format": ["int"]},
        "partition_col_format",
        "lists 1 formats for 2 partition columns",
    ),
    ({"col_rename": {"a": "x", "b": "x"}}, "col_rename.b", "gets the same new name as 'a'"),
    ({"col_rename": {"a": "id"}}, "col_rename.a", "takes the name of a key column"),
    ({"col_rename": {"a": "updated_at"}}, "col_rename.a", "takes the name of the bookmark"),
    ({"col_rename": {"a": "day"}, "partition_col": "day"}, "col_rename.a", "takes the name of a partition column"),
    (
        {"mode": "dumping", "col_rename": {"a": "migration_snapshot_date"}},
        "col_rename.a",
        "which dumping adds itself",
    ),
    ({"col_rename": {"a": ""}}, "col_rename.a", "must not be empty"),
    ({"col_rename": {"": "a"}}, "col_rename['']", "must not be empty"),
    ({"lob_fields_length": {"a": 0}}, "lob_fields_length.a", "expected 1 or more"),
    ({"expiry": {"days": 2}}, "expiry", "removes old snapshots, which syncing mode does not make"),
    ({"mode": "dumping", "expiry": {"days": 0}}, "expiry", "must be longer than nothing"),
    ({"buffer_updation_lag": {"hours": -1}}, "buffer_updation_lag.hours", "expected 0 or more"),
    ({"grace_updation_lag": {"hour": 1}}, "grace_updation_lag.hour", "did you mean 'hours'?"),
    ({"grace_updation_lag": 5}, "grace_updation_lag", "expected a dictionary"),
    ({"exclude_tables": "x"}, "exclude_tables", "goes with table_name '*' only"),
    ({"table_name": "*", "exclude_tables": ["a", "*"]}, "exclude_tables", "must name single tables"),
    ({"fetch_data_query": "SELECT 1"}, "fetch_data_query", "goes with mode dumping only"),
    (
        {"mode": "dumping", "table_name": "*", "fetch_data_query": "SELECT 1"},
        "fetch_data_query",
        "give table_name a single name",
    ),
    ({"fields": {"a": "int"}}, "fields", "gives the datatypes of a fetch_data_query"),
    ({"indexes": {"i": "DROP TABLE x"}}, "indexes.i", "expected the CREATE INDEX"),
    ({"table_name": "*", "indexes": {"i": "CREATE INDEX i ON x (a)"}}, "indexes", "belongs to one table"),
    ({"indexes": {"i" * 64: "CREATE INDEX i ON x (a)"}}, "indexes." + "i" * 64, "longer than 63 bytes"),
    ({"masking_columns": [("id", 2)]}, "masking_columns[0]", "must not mask the primary key"),
    ({"masking_columns": [("updated_at", 2)]}, "masking_columns[0]", "must not mask the bookmark"),
    (
        {"masking_columns": [("a", 1), ("day", 2)], "partition_col": "day"},
        "masking_columns[1]",
        "must not mask the partition column",
    ),
    ({"masking_columns": [("a", 2), ("a", 3)]}, "masking_columns[1]", "list each column once"),
    ({"masking_columns": [("a", 0)]}, "masking_columns", "expected a list of (column, count) pairs"),
    ({"max_delete_fraction": 0}, "max_delete_fraction", "expected more than 0"),
    ({"max_delete_fraction": 1.5}, "max_delete_fraction", "expected 1.0 or less"),
    ({"slack_channel": "env:CHANNEL"}, "slack_channel", "references are read in source"),
    ({"bookmrk": "x"}, "bookmrk", "did you mean 'bookmark'?"),
    ({"Bookmark": "x"}, "Bookmark", "did you mean 'bookmark'?"),
    ({"time_delay": 2}, "time_delay", "is not a key of the contract"),
]


@pytest.mark.parametrize(("changes", "path", "message"), TABLE_RULES)
def test_a_table_that_breaks_one_rule_gets_one_issue(changes: dict[str, Any], path: str, message: str) -> None:
    issues = issues_of(make_mapping(**changes))
    assert list(issues) == [f"tables[0].{path}"]
    assert message in issues[f"tables[0].{path}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "dumping", "primary_key": ..., "primary_key_datatype": ..., "bookmark": ...},
        {"mode": "logging", "bookmark": ...},
        {"mode": "logging", "primary_key_datatype": "datetime", "bookmark": ...},
        {"mode": "logging", "primary_key_datatype": "uuid"},
        {"mode": "syncing", "bookmark": False},
        {"mode": "mirroring", "bookmark": False, "primary_key_datatype": "uuid"},
        {"mode": "mirroring", "table_name": "*", "exclude_tables": "sales.audit"},
        {"col_rename": {"id": "order_id", "a": "id"}},
        {"col_rename": {"id": "id"}},
        {"mode": "dumping", "expiry": {"hours": 1}},
        {"mode": "dumping", "fetch_data_query": "SELECT 1 AS a", "fields": {"a": "int"}},
        {"primary_key": ["region", "id"], "primary_key_datatype": ["str", "int"]},
        {"table_name": 'Sales."Odd name"'},
        {"cron": "* * * * * 7-19 */1 0"},
    ],
)
def test_a_table_within_the_rules_is_accepted(changes: dict[str, Any]) -> None:
    assert issues_of(make_mapping(**changes)) == {}


OTHER_SPECS: list[tuple[str, dict[str, Any], str, str]] = [
    ("mongo", {"mode": "mirroring"}, "collections[0].mode", "mirroring is not available for collections"),
    ("mongo", {"bookmark": ...}, "collections[0].bookmark", "is required in syncing mode"),
    ("mongo", {"time_delay": -1}, "collections[0].time_delay", "expected 0 or more"),
    ("mongo", {"fields": {"a": "decimal"}}, "collections[0].fields.a", "expected 'str', 'datetime'"),
    ("mongo", {"primary_key": "_id"}, "collections[0].primary_key", "is not a key of the contract"),
    ("kafka", {"mode": "logging"}, "topics[0].mode", "is not a key of the contract"),
    ("kafka", {"get_table_name": "rm -rf"}, "topics[0].get_table_name", "dotted name of an importable function"),
    ("api", {"start_day": -1, "end_day": -7}, "apis[0].end_day", "lies before start_day"),
    ("api", {"start_day": "soon"}, "apis[0].start_day", "expected a whole number"),
    ("api", {"event_names": []}, "apis[0].event_names", "lists no event"),
    ("api", {"event_names": "login"}, "apis[0].event_names", "expected a list of event names, or '*'"),
    ("api", {"primary_keys": ["a", "a"]}, "apis[0].primary_keys", "list each column once"),
    (
        "api",
        {"fields": {"a": "int"}, "api_to_field_mapping": {"b": "x.y"}},
        "apis[0].api_to_field_mapping.b",
        "has no datatype",
    ),
]


@pytest.mark.parametrize(("source_type", "changes", "path", "message"), OTHER_SPECS)
def test_collections_topics_and_apis_have_rules_of_their_own(
    source_type: str, changes: dict[str, Any], path: str, message: str
) -> None:
    issues = issues_of(make_mapping(source_type, **changes))
    assert list(issues) == [path]
    assert message in issues[path]


DESTINATION_RULES: list[tuple[dict[str, Any], str, str]] = [
    (PGSQL_DESTINATION | {"url": ...}, ".url", "is required: host of the server"),
    (PGSQL_DESTINATION | {"password": ...}, ".password", "is required: password"),
    (PGSQL_DESTINATION | {"url": "u:p@host"}, ".url", "put them in the keys username and password"),
    (PGSQL_DESTINATION | {"url": "host:0"}, ".url", "expected one host name"),
    (PGSQL_DESTINATION | {"url": "host:99999"}, ".url", "from 1 to 65535"),
    (PGSQL_DESTINATION | {"url": "postgresql://h/?sslmode=disable"}, ".url", "use the keys sslmode"),
    (PGSQL_DESTINATION | {"url": "/var/run/postgresql"}, ".url", "no socket path"),
    (PGSQL_DESTINATION | {"url": "h1,h2"}, ".url", "no list of hosts"),
    (PGSQL_DESTINATION | {"url": "host=evil user=x"}, ".url", "expected one host name"),
    (PGSQL_DESTINATION | {"url": "mysql://host"}, ".url", "no other kind of address"),
    (PGSQL_DESTINATION | {"url": "host:5433", "port": 5432}, ".port", "differs from the port in url"),
    (PGSQL_DESTINATION | {"url": "postgresql://h/other"}, ".db_name", "differs from the database in url"),
    (PGSQL_DESTINATION | {"url": "host/other"}, ".url", "the database goes in db_name"),
    (PGSQL_DESTINATION | {"url": " "}, ".url", "must not be empty"),
    (PGSQL_DESTINATION | {"username": ""}, ".username", "must not be empty"),
    (PGSQL_DESTINATION | {"port": 0}, ".port", "expected 1 or more"),
    (PGSQL_DESTINATION | {"schema": "x" * 64}, ".schema", "longer than 63 bytes"),
    (PGSQL_DESTINATION | {"schema_name": "x"}, ".schema_name", "did you mean 'schema'?"),
    (PGSQL_DESTINATION | {"sslmode": "yes"}, ".sslmode", "expected 'disable', 'allow'"),
    (PGSQL_DESTINATION | {"destination_type": ...}, ".destination_type", "one of 's3', 'redshift', 'pgsql'"),
    (PGSQL_DESTINATION | {"destination_type": "oracle"}, ".destination_type", "one of 's3', 'redshift', 'pgsql'"),
    (S3_DESTINATION | {"s3_bucket_name": "s3://lake"}, ".s3_bucket_name", "without s3://"),
    (S3_DESTINATION | {"s3_bucket_name": ...}, ".s3_bucket_name", "is required"),
    (S3_DESTINATION | {"s3_suffix": "/x"}, ".s3_suffix", "a suffix may hold"),
    (S3_DESTINATION | {"access_key_id": "env:ID"}, ".secret_access_key", "go together"),
    (S3_DESTINATION | {"endpoint_url": "http://key:secret@store.example"}, ".endpoint_url", "username or password"),
    (S3_DESTINATION | {"endpoint_url": "env:S3_URL:-http://key:secret@store"}, ".endpoint_url", "username or password"),
    (S3_DESTINATION | {"session_token": "env:T"}, ".session_token", "give all three or none"),
    (REDSHIFT_DESTINATION | {"host": ...}, ".host", "is required"),
    (REDSHIFT_DESTINATION | {"s3_bucket_name": ...}, ".s3_bucket_name", "is required"),
]


@pytest.mark.parametrize(("destination", "path", "message"), DESTINATION_RULES)
def test_a_destination_that_breaks_one_rule_gets_one_issue(
    destination: dict[str, Any], path: str, message: str
) -> None:
    raw = make_mapping()
    raw["destination"]["main"] = without_ellipsis(destination)
    issues = issues_of(raw)
    assert list(issues) == [f"destination.main{path}"]
    assert message in issues[f"destination.main{path}"]


def test_a_database_behind_a_reference_may_be_the_one_in_the_url() -> None:
    raw = make_mapping()
    raw["source"] |= {"url": "postgresql://db/shop", "db_name": "env:SHOP"}
    assert issues_of(raw) == {}


def test_parts_that_are_no_dictionaries_are_refused() -> None:
    raw: dict[str, Any] = {"source": "pgsql", "destination": [PGSQL_DESTINATION], "tables": TABLE}
    assert set(issues_of(raw)) == {"source", "destination", "tables"}
    raw = make_mapping()
    raw["destination"] = {"main": "pgsql", " ": S3_DESTINATION}
    raw["tables"].append("orders")
    assert set(issues_of(raw)) == {"destination.main", "destination", "tables[1]"}


def test_no_destination_at_all_is_allowed() -> None:
    raw = make_mapping()
    raw["destination"] = {}
    assert parse_mapping(raw).destination == {}


def test_a_destination_without_a_name_of_its_own_is_explained() -> None:
    raw = make_mapping()
    raw["destination"] = PGSQL_DESTINATION
    assert "put this one under a name of your choice" in issues_of(raw)["destination"]


def test_two_destinations_may_not_write_to_the_same_place() -> None:
    raw = make_mapping()
    raw["destination"]["copy"] = PGSQL_DESTINATION | {"url": "Warehouse.example.com:5432"}
    assert "writes to the same place as destination 'main'" in issues_of(raw)["destination.copy"]


def test_a_default_schema_that_postgresql_would_cut_is_refused() -> None:
    raw = make_mapping()
    raw["source"]["db_name"] = "d" * 60
    assert "name a shorter schema" in issues_of(raw)["destination.main.schema"]
    raw["destination"]["main"]["schema"] = "short"
    assert issues_of(raw) == {}


@pytest.mark.parametrize(("table", "schema"), [("orders", "public"), ("sales.orders", "sales")])
def test_a_mapping_may_not_overwrite_its_own_source(table: str, schema: str) -> None:
    raw = make_mapping(table_name=table)
    source = raw["source"]
    raw["destination"]["main"] |= {"url": source["url"], "db_name": source["db_name"], "schema": schema}
    assert "the source would be overwritten" in issues_of(raw)["destination.main.schema"]
    raw["destination"]["main"]["schema"] = "elsewhere"
    assert issues_of(raw) == {}


def test_mirroring_to_s3_is_refused_and_the_destination_named() -> None:
    raw = make_mapping(mode="mirroring")
    raw["destination"]["lake"] = S3_DESTINATION
    issues = issues_of(raw)
    assert list(issues) == ["tables[0].mode"]
    assert "not available for S3 (destination 'lake')" in issues["tables[0].mode"]


def test_one_table_may_not_have_two_specs() -> None:
    raw = make_mapping()
    raw["tables"].append(TABLE)
    assert "is the same as in tables[0]" in issues_of(raw)["tables[1].table_name"]


def test_two_tables_may_not_arrive_under_one_name() -> None:
    raw = make_mapping(table_name="sales.orders")
    raw["tables"].append(TABLE | {"table_name": "archive.orders"})
    assert "arrives under the same name as tables[0]" in issues_of(raw)["tables[1].table_name"]


def test_a_table_may_stand_beside_every_table() -> None:
    raw = make_mapping()
    raw["tables"].append({"table_name": "*", "cron": "self-managed", "mode": "dumping"})
    assert issues_of(raw) == {}


def test_two_streams_may_not_share_a_name() -> None:
    raw = make_mapping(table_name="a_b")
    raw["tables"].append(TABLE | {"table_name": "a"})
    raw["destination"] = {"c": PGSQL_DESTINATION, "b_c": PGSQL_DESTINATION | {"schema": "other"}}
    assert "makes the same stream name as destination 'c'" in issues_of(raw)["destination.b_c"]


def test_the_specs_must_fit_the_source() -> None:
    raw = make_mapping()
    raw["collections"] = [COLLECTION]
    assert issues_of(raw) == {
        "collections": "does not go with source_type pgsql; list what to copy under tables",
    }
    del raw["tables"]
    assert set(issues_of(raw)) == {"collections", "tables"}


def test_a_list_of_specs_may_not_be_empty() -> None:
    raw = make_mapping()
    raw["tables"] = []
    assert issues_of(raw) == {"tables": "is empty; list at least one thing to copy"}


def test_kafka_needs_redis_and_nothing_else_takes_it() -> None:
    raw = make_mapping("kafka")
    del raw["redis"]
    assert "is required with source_type kafka" in issues_of(raw)["redis"]
    raw = make_mapping()
    raw |= {"redis": {"url": "redis://localhost"}, "process_dict": "pack.module.function"}
    assert issues_of(raw) == dict.fromkeys(("redis", "process_dict"), "goes with source_type kafka only; leave it out")


@pytest.mark.parametrize("raw", [None, [], "mapping", 5])
def test_a_mapping_must_be_a_dictionary(raw: object) -> None:
    assert list(issues_of(raw)) == [""]


def test_an_empty_mapping_says_what_it_needs() -> None:
    assert set(issues_of({})) == {"source", "destination"}
