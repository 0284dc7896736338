"""What `run_migration` says and with which exit code it ends, when all is well and when the documents are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_mapping
from tests.databases import PgDatabase
from tests.runner.plane import Plane, Warm
from tests.runner.shop import ROWS, Shop, table

_DONE, _FAILED, _WRONG = 0, 1, 2
_KEYS = {
    "run",
    "stream",
    "state",
    "reason",
    "error_class",
    "stop_reason",
    "read",
    "inserted",
    "updated",
    "deleted",
    "bytes",
    "seconds",
    "warnings",
    "counters",
}


@pytest.fixture
def bare_plane(warm: Warm, tmp_path: Path) -> Iterator[Plane]:
    """A control plane without settings."""
    plane = Plane(warm, tmp_path)
    plane.rows("DELETE FROM migrations_app_servicesettings")
    yield plane
    plane.end()


def test_json_summary(shop: Shop) -> None:
    shop.use(table("syncing"))

    done = shop.migrate("--json")

    assert (done.code, done.err) == (_DONE, "")
    (summary,) = done.document()
    assert set(summary) == _KEYS
    wanted = {"stream": "shop_DMS_orders_dest", "state": "succeeded", "inserted": ROWS, "updated": 0, "warnings": []}
    assert wanted.items() <= summary.items()
    assert summary["bytes"] > 0
    assert shop.plane.runs("id")[0][0].replace("-", "") == summary["run"].replace("-", "")


def test_summary_in_a_pipe_is_not_cut(shop: Shop) -> None:
    shop.add_table("a_table_whose_name_is_long_enough_to_need_more")
    shop.use(table("mirroring"), table("mirroring", "a_table_whose_name_is_long_enough_to_need_more"))

    done = shop.migrate()

    assert done.code == _DONE
    *_, first, second = done.out.splitlines()
    assert first.split()[:3] == ["shop_DMS_orders_dest", "succeeded", "300"]
    assert second.split()[0] == "shop_DMS_a_table_whose_name_is_long_enough_to_need_more_dest"
    assert all(line == line.rstrip() or len(line) < 200 for line in done.out.splitlines())


def test_keys_of_the_delete_pass_are_not_rows_read(shop: Shop) -> None:
    shop.use(table("mirroring"))
    assert shop.migrate().code == _DONE
    shop.delete()

    assert shop.migrate().code == _DONE

    ((read, deleted),) = shop.plane.runs("read", "deleted")[1:]
    assert deleted == 30
    assert read < ROWS


def test_unknown_mapping(shop: Shop) -> None:
    shop.use(table("syncing"))

    refused = shop.plane.run("run_migration", "shpo")

    assert (refused.code, refused.out) == (_WRONG, "")
    assert "there is no mapping shpo; known are: shop" in refused.err


def test_without_settings_nothing_runs(bare_plane: Plane, two_databases: tuple[PgDatabase, PgDatabase]) -> None:
    bare_plane.import_mapping("shop", make_mapping(*two_databases, table("dumping")))

    refused = bare_plane.run("run_migration", "shop")

    assert refused.code == _WRONG
    assert "two stores" in refused.err
    assert "import_settings" in refused.err
    assert bare_plane.states() == []


def test_unset_reference_is_named(shop: Shop) -> None:
    raw = make_mapping(shop.source, shop.destination, table("syncing"))
    raw["source"]["password"] = "env:TEST_NOT_SET"
    shop.plane.import_mapping("shop", raw)

    refused = shop.migrate()

    assert refused.code == _WRONG
    assert "source.password" in refused.err
    assert "TEST_NOT_SET" in refused.err
    assert "Traceback" not in refused.err
    password = shop.source.server.password
    assert shop.migrate(environment={"TEST_NOT_SET": password}).code == _DONE


def test_mapping_with_ten_mistakes_shows_them_all(plane: Plane, tmp_path: Path) -> None:
    spec = {
        "table_name": "orders",
        "cron": "every day",
        "mode": "sinking",
        "primary_key_datatype": "text",
        "batch_size": 0,
        "strict": "maybe",
        "pirmary_key": "id",
    }
    raw: dict[str, Any] = {
        "source": {"source_type": "pgsql", "db_name": "", "port": 99999999, "passwrd": "planted-secret"},
        "destination": {"dest": {"destination_type": "pgsq", "password": "planted-secret"}},
        "tables": [spec],
    }
    path = tmp_path / "ten.json"
    path.write_text(json.dumps(raw))

    refused = plane.run("import_mapping", path)

    assert refused.code == _WRONG
    lines = refused.err.splitlines()
    for place in ("source.", "destination.dest", "tables[0].cron", "tables[0].mode", "tables[0].batch_size"):
        assert any(f": {place}" in line for line in lines), place
    assert len(lines) >= 10
    assert "planted-secret" not in plane.everything()


def test_no_destination_is_said_and_is_no_failure(shop: Shop) -> None:
    raw = make_mapping(shop.source, shop.destination, table("syncing"))
    shop.plane.import_mapping("shop", raw | {"destination": {}})

    done = shop.migrate()

    assert (done.code, done.err) == (_DONE, "")
    assert done.out == "mapping shop has no destination, so there is nothing to do\n"
    assert shop.migrate("--json").document() == []


def test_one_table_fails_and_the_others_arrive(shop: Shop) -> None:
    shop.add_table("customers")
    shop.use(table("syncing", "missing"), table("syncing"), table("mirroring", "customers"))

    failed = shop.migrate()

    assert (failed.code, failed.err) == (_FAILED, "")
    assert shop.plane.states() == ["failed", "succeeded", "succeeded"]
    shop.assert_equal()
    shop.assert_equal("customers")
    assert failed.out.count("missing") == failed.out.count("shop_DMS_missing_dest") + 1


def test_selection(shop: Shop) -> None:
    shop.add_table("customers")
    raw = make_mapping(shop.source, shop.destination, table("syncing"), table("syncing", "customers"))
    raw["destination"]["other"] = raw["destination"]["dest"] | {"schema": "elsewhere"}
    shop.plane.import_mapping("shop", raw)

    chosen = shop.migrate("--table", "customers", "--destination", "other", "--json")

    assert [each["stream"] for each in chosen.document()] == ["shop_DMS_customers_other"]
    wrong = shop.migrate("--table", "custmers")
    assert wrong.code == _WRONG
    assert "custmers" in wrong.err
    assert "None" not in wrong.err
    assert shop.migrate().code == _DONE
    assert len(shop.plane.states()) == 5


def test_every_table_but_some(shop: Shop) -> None:
    for name in ("customers", "audit", "notes"):
        shop.add_table(name)
    every = table("dumping", "*", exclude_tables=["audit"])
    shop.use(every, table("mirroring", "customers"))

    done = shop.migrate("--json")

    assert done.code == _DONE, done.err
    assert sorted(each["stream"] for each in done.document()) == [
        f"shop_DMS_{name}_dest" for name in ("customers", "notes", "orders")
    ]
    shop.assert_equal("customers")
    assert len(shop.snapshots("notes")) == 1


def test_tables_of_one_name_in_two_schemas_collide(shop: Shop) -> None:
    shop.source.execute("CREATE SCHEMA eu; CREATE TABLE eu.orders (id int PRIMARY KEY)")
    shop.use(table("dumping", "*"))

    refused = shop.migrate()

    assert refused.code == _WRONG
    assert "both arrive as orders" in refused.err
    assert "exclude_tables" in refused.err
    assert shop.plane.states() == []


def test_guard_refuses_and_allow_deletes_approves(shop: Shop) -> None:
    shop.plane.options["delete_guard_rows"] = 10
    shop.use(table("mirroring"))
    assert shop.migrate().code == _DONE
    shop.source.execute("DELETE FROM orders WHERE id > 100")

    refused = shop.migrate()

    assert refused.code == _FAILED
    assert "--allow-deletes 200" in refused.out
    assert shop.arrived() == ROWS
    assert shop.migrate("--allow-deletes", 199).code == _FAILED
    assert shop.migrate("--allow-deletes", 200).code == _DONE
    shop.assert_equal()
    assert shop.plane.runs("state", "error_class")[1] == ("failed", "DeleteRefused")


def test_queued_run_records_what_is_wrong_with_its_plan(shop: Shop) -> None:
    shop.use(table("syncing"))
    command = shop.start(fault="after_claim=block")
    command.wait_for_fault()
    shop.plane.rows("UPDATE migrations_app_run SET state = 'queued', owner_pid = NULL, lease_until = NULL")
    raw = make_mapping(shop.source, shop.destination, table("syncing"))
    raw["destination"]["dest"]["password"] = "env:TEST_NOT_SET"
    shop.plane.import_mapping("shop", raw)
    ((run_id,),) = shop.plane.runs("id")

    failed = shop.migrate("--run", run_id)

    assert failed.code == _WRONG
    assert "TEST_NOT_SET" in failed.out
    ((state, error_class, message),) = shop.plane.runs("state", "error_class", "error_message")
    assert (state, error_class) == ("failed", "MappingError")
    assert "TEST_NOT_SET" in message


@pytest.mark.parametrize("mode", ["dumping", "logging", "syncing", "mirroring"])
def test_dry_run_writes_nothing(shop: Shop, mode: str) -> None:
    shop.use(table(mode))

    first = shop.migrate("--dry-run")

    assert (first.code, first.err) == (_DONE, "")
    assert shop.destination.value("SELECT to_regnamespace('arrived') IS NULL")
    assert shop.plane.states() == []
    assert "CREATE TABLE" in first.out
    assert "SELECT" in first.out
    assert shop.migrate().code == _DONE
    shop.change()
    contents = shop.destination.rows("SELECT * FROM arrived._dms_state")
    (again,) = shop.migrate("--dry-run", "--json").document()
    assert again["mode"] == mode
    assert again["ddl"] == []
    assert again["queries"]
    assert shop.destination.rows("SELECT * FROM arrived._dms_state") == contents
    assert len(shop.plane.states()) == 1


def test_dry_run_shows_the_good_streams_and_names_the_bad_one(shop: Shop) -> None:
    shop.use(table("syncing", "missing"), table("syncing"))

    shown = shop.migrate("--dry-run")

    assert shown.code == _FAILED
    assert shown.out.startswith("shop_DMS_orders_dest (syncing)")
    assert "stream shop_DMS_missing_dest" in shown.err
    assert "Traceback" not in shown.err


def test_control_database_without_tables(bare_plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "control.sqlite3").write_bytes(b"")

    refused = bare_plane.run("run_migration", "shop")

    assert refused.code == _FAILED
    assert "manage.py migrate" in refused.err
    assert "Traceback" not in refused.err


def test_run_that_waits_for_a_worker_is_taken_by_the_command(shop: Shop) -> None:
    shop.use(table("syncing"))
    queued = shop.plane.run("run_migration", "shop", "--queue")
    assert (queued.code, shop.plane.states()) == (0, ["queued"])
    assert shop.plane.run("run_migration", "shop", "--queue").code == 3

    assert shop.migrate().code == 0

    assert shop.plane.states() == ["succeeded"]
    shop.assert_equal()
