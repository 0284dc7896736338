"""What the API asks real servers for: tests, catalogs, previews, runs and resets; and those it must not ask."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from pydantic import SecretStr
from pytest_django import Settings

from connectors import egress, mongo_servers
from connectors.errors import ConfigError
from connectors.stores import MongoStore
from controlplane.sandbox import MongoServer
from migrations_app import settings_io
from migrations_app.enums import Scope
from migrations_app.executing import execute_queued
from migrations_app.models import Destination, Heartbeat, Mapping, Run
from migrations_app.verbs import connections
from migrations_app.watch import Watch
from tests.api.calling import Caller, caller
from tests.databases import PgDatabase

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def document(
    two_databases: tuple[PgDatabase, PgDatabase], mongo: MongoServer, mongo_database_name: str
) -> dict[str, Any]:
    """A mapping of two databases that are there."""
    source, destination = two_databases
    source.execute("CREATE TABLE orders (id int PRIMARY KEY, phone text, updated_at timestamptz DEFAULT now())")
    source.execute("INSERT INTO orders (id, phone) SELECT i, '555-000' || i FROM generate_series(1, 9) i")
    store = {"url": mongo.url, "db_name": mongo_database_name}
    settings_io.save_settings(
        settings_io.parse_settings(
            {
                "timezone": "UTC",
                "encryption_store": store | {"collection_name": "state"},
                "dashboard_store": store | {"collection_name": "runs"},
            }
        )
    )
    Heartbeat.objects.create(name="worker:here", details={"slots": 4})
    return {
        "source": {"source_type": "pgsql", **_place(source)},
        "destination": {"main": {"destination_type": "pgsql", "schema": "copies", **_place(destination)}},
        "tables": [
            {
                "table_name": "orders",
                "cron": "self-managed",
                "mode": "syncing",
                "primary_key": "id",
                "primary_key_datatype": "int",
                "bookmark": "updated_at",
                "masking_columns": [["phone", 3]],
            }
        ],
    }


def _place(database: PgDatabase) -> dict[str, Any]:
    parts = database.dsn
    from psycopg2.extensions import parse_dsn

    read = parse_dsn(parts)
    return {
        "url": f"{read['host']}:{read['port']}",
        "db_name": read["dbname"],
        "username": read["user"],
        "password": read.get("password", ""),
    }


def test_registered_mapping_is_tested_looked_at_run_and_reset(
    api: Caller, document: dict[str, Any], two_databases: tuple[PgDatabase, PgDatabase]
) -> None:
    created = api.put("/mappings/shop?connect=true", document)
    assert (created.status, [each["ok"] for each in created.body["tests"]]) == (201, [True, True])
    assert api.post("/mappings/shop:test").body["ok"] is True
    assert api.post("/sources/shop:test").body["ok"] is True
    assert api.post("/destinations/shop:main:test").body["ok"] is True
    (table,) = api.get("/sources/shop/catalog").body["tables"]
    assert (table["name"], table["primary_key"]) == ("orders", ["id"])

    preview = api.post("/mappings/shop:preview", {"table": "orders", "rows": 2}).body
    assert len(preview["rows"]) == 2
    assert "555-0001" not in str(preview)

    started = api.post("/mappings/shop/runs")
    (queued,) = started.body["runs"]
    execute_queued(Run.objects.select_related("stream").get(pk=queued["id"]), watch=Watch())
    ended = api.get(f"/runs/{queued['id']}?wait=5").body
    assert (ended["state"], ended["inserted"]) == ("succeeded", 9)
    assert two_databases[1].value("SELECT count(*) FROM copies.orders") == 9

    checkpoints = api.get("/mappings/shop/checkpoint")
    assert checkpoints.body["items"][0]["rows_total"] == 9
    reason = {"reason": "a new column has to be filled"}
    planned = api.post("/mappings/shop/checkpoint:reset?dry_run=true", reason)
    assert (planned.status, planned.body["done"]) == (200, False)
    assert "9" in planned.body["streams"][0]["before"]
    blind = caller("blind", (Scope.STATE_WRITE,)).post("/mappings/shop/checkpoint:reset?dry_run=true", reason)
    assert blind.body["streams"][0]["before"] == "it needs the scope state:read"
    assert api.post("/mappings/shop/checkpoint:reset", reason).status == 428
    assert api.post("/mappings/shop/checkpoint:reset", reason, If_Match=checkpoints.etag).body["code"] == "not_paused"
    api.post("/mappings/shop:pause")
    assert api.post("/mappings/shop/checkpoint:reset", reason, If_Match='"old"').status == 412
    assert api.post("/mappings/shop/checkpoint:reset", {}, If_Match=checkpoints.etag).pointers == ["/reason"]
    done = api.post("/mappings/shop/checkpoint:reset", reason, If_Match=checkpoints.etag)
    assert (done.status, done.body["done"]) == (200, True)
    assert api.get("/mappings/shop/checkpoint").body["items"][0]["position"] is None
    assert api.post("/mappings/shop/checkpoint:reset", reason, If_Match=checkpoints.etag).status == 412


def test_one_process_executes_all_runs_that_were_started_together(
    api: Caller, document: dict[str, Any], two_databases: tuple[PgDatabase, PgDatabase]
) -> None:
    """What is started when no worker is up: the runs come one after the other, whatever became of those before."""
    two_databases[0].execute("CREATE TABLE customers AS TABLE orders")
    document["tables"].append({"table_name": "customers", "cron": "self-managed", "mode": "dumping"})
    document["tables"].insert(0, document["tables"][0] | {"table_name": "nothing"})
    api.put("/mappings/shop", document)
    started = api.post("/mappings/shop/runs").body["runs"]

    arguments = [argument for run in started for argument in ("--run", run["id"])]
    with pytest.raises(SystemExit) as ended:
        call_command("run_migration", "shop", *arguments, stdout=StringIO(), stderr=StringIO())

    assert ended.value.code == 1
    trigger = api.get(f"/triggers/{started[0]['trigger_id']}?wait=5").body
    assert {run["table"]: run["state"] for run in trigger["runs"]} == {
        "nothing": "failed",
        "orders": "succeeded",
        "customers": "succeeded",
    }


def test_active_run_locks_a_reset(api: Caller, document: dict[str, Any]) -> None:
    api.put("/mappings/shop", document)
    api.post("/mappings/shop/runs")
    api.post("/mappings/shop:pause")
    etag = api.get("/mappings/shop/checkpoint").etag

    answer = api.post("/mappings/shop/checkpoint:reset", {"reason": "because"}, If_Match=etag)

    assert (answer.status, answer.body["code"]) == (423, "locked")


def test_failing_connection_test_keeps_a_mapping_out(api: Caller, document: dict[str, Any]) -> None:
    document["destination"]["main"]["username"] = "nobody_here"

    planned = api.put("/mappings/shop?connect=true&dry_run=true", document)
    assert [(each["end"], each["ok"]) for each in planned.body["tests"]] == [
        ("source", True),
        ("destination main", False),
    ]
    refused = api.put("/mappings/shop?connect=true", document)
    assert (refused.status, refused.body["code"], refused.pointers) == (424, "test_failed", ["/destination/main"])
    assert not Mapping.objects.exists()


def test_source_that_is_down_is_the_other_ends_failure(api: Caller, document: dict[str, Any]) -> None:
    document["source"]["url"] = "127.0.0.1:9"
    api.put("/mappings/shop", document)

    answer = api.get("/sources/shop/catalog")
    assert (answer.status, answer.body["code"]) == (424, "source_unavailable")
    assert api.post("/sources/shop:test").body["ok"] is False


@pytest.fixture
def no_loopback(settings: Settings) -> None:
    """An installation that is none of development."""
    settings.DMS_ALLOW_LOOPBACK = False


def test_forbidden_server_is_refused_when_it_is_saved(api: Caller, document: dict[str, Any], no_loopback: None) -> None:
    refused = api.put("/mappings/shop", document)
    assert (refused.status, refused.pointers) == (422, ["/source/url", "/destination/main/url"])
    assert {each["code"] for each in refused.body["errors"]} == {"forbidden_server"}
    assert api.put("/sources/a", document["source"]).pointers == ["/url"]
    lake = {"destination_type": "s3", "s3_bucket_name": "lake", "endpoint_url": "http://169.254.169.254/"}
    assert api.put("/destinations/lake", lake).pointers == ["/endpoint_url"]
    store = {"url": "mongodb://user:pw@[::1]:27017,store.example/x", "db_name": "d", "collection_name": "c"}
    assert api.put("/settings", {"encryption_store": store, "dashboard_store": store}).pointers == [
        "/encryption_store/url",
        "/dashboard_store/url",
    ]


def test_forbidden_server_is_refused_when_it_is_tested_and_when_it_runs(
    api: Caller, document: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before the rule, or behind a reference, gets no further than what is saved now."""
    monkeypatch.setenv("SOURCE_URL", document["source"]["url"])
    document["source"]["url"] = "env:SOURCE_URL"
    assert api.put("/mappings/shop", document).status == 201
    (queued,) = api.post("/mappings/shop/runs").body["runs"]
    settings.DMS_ALLOW_LOOPBACK = False

    (source, _) = api.post("/mappings/shop:test").body["ends"]
    assert (source["ok"], [step["name"] for step in source["steps"]]) == (False, ["resolve"])
    assert "DMS_ALLOWED_NETWORKS" in source["steps"][0]["detail"]
    assert api.get("/sources/shop/catalog").status == 422
    assert api.post("/mappings/shop:preview", {"table": "orders"}).status == 422
    run = execute_queued(Run.objects.select_related("stream").get(pk=queued["id"]), watch=Watch())
    assert (run.state, run.error_class) == ("failed", "ConfigError")
    assert "DMS_ALLOWED_NETWORKS" in run.error_message


def test_name_that_means_another_server_a_moment_later_is_not_followed(
    api: Caller, document: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session connects to the address that was looked at. Here the name leads nowhere but in that one look."""
    host, _, port = document["source"]["url"].partition(":")
    looked: list[str] = []

    def resolve(name: str, number: int | None) -> list[str]:
        looked.append(name)
        return [host]

    monkeypatch.setattr(egress, "_resolve", resolve)
    document["source"]["url"] = f"rebinding.invalid:{port}"
    api.put("/mappings/shop", document)

    assert api.get("/sources/shop/catalog").status == 200
    assert "rebinding.invalid" in looked


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.9.1", "localhost", "[::1]", "0.0.0.1", "169.254.169.254", "[fe80::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]"),
        *("[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "224.0.0.1", "2130706433", "0x7f.1"),
    ],
)
def test_every_way_to_write_a_forbidden_address_is_known(settings: Settings, host: str) -> None:
    settings.DMS_ALLOW_LOOPBACK = False

    with pytest.raises(egress.ConnectionForbidden):
        egress.check(f"{host}:5432")


def test_store_and_bucket_at_a_forbidden_address_are_not_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DMS_ALLOW_LOOPBACK = False

    with pytest.raises(ConfigError, match="DMS_ALLOWED_NETWORKS"):
        MongoStore("dashboard_store", SecretStr("mongodb://127.0.0.1:1"), "d", "c", timeout_s=1)
    # No name server here has such a record: what one would answer is put in its place.
    monkeypatch.setattr(mongo_servers, "parse_uri", lambda *_, **__: {"nodelist": [("127.0.0.1", 27017)]})
    with pytest.raises(ConfigError, match="DMS_ALLOWED_NETWORKS"):
        MongoStore("dashboard_store", SecretStr("mongodb+srv://store.invalid"), "d", "c", timeout_s=1)
    lake = {"destination_type": "s3", "s3_bucket_name": "lake", "endpoint_url": "http://localhost:9"}
    keys = {"access_key_id": "k", "secret_access_key": "s"}
    row = Destination(name="lake", destination_type="s3", config=lake | keys)
    (step,) = connections.test_destination(_saved(row)).steps
    assert (step.name, step.outcome) == ("resolve", "failed")
    assert "DMS_ALLOWED_NETWORKS" in step.detail


def _saved(row: Destination) -> Destination:
    row.config.pop("destination_type")
    row.save()
    return row


def test_networks_are_forbidden_and_allowed_by_settings(settings: Settings) -> None:
    settings.DMS_FORBIDDEN_NETWORKS = ("10.0.0.0/8",)
    settings.DMS_ALLOWED_NETWORKS = ("10.1.0.0/16", "169.254.10.0/24")

    egress.check("10.1.2.3")
    egress.check("169.254.10.1")
    egress.check("192.0.2.1")
    for host in ("10.2.0.1", "169.254.11.1"):
        with pytest.raises(egress.ConnectionForbidden):
            egress.check(host)
