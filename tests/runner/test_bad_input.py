"""What is wrong outside ends a run with one sentence, a code and a record; nothing secret is printed or kept."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from controlplane.sandbox import MongoServer
from tests.builders import make_mapping
from tests.runner.plane import Command
from tests.runner.shop import Shop, settings, table

_PLANTED = "planted-secret-5281"
_ROW = "row-value-7719"


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield int(listener.getsockname()[1])


def _mapping(shop: Shop, spec: dict[str, Any] | None = None, **ends: dict[str, Any]) -> dict[str, Any]:
    raw = make_mapping(shop.source, shop.destination, spec or table("syncing"))
    raw["source"] |= ends.get("source", {})
    raw["destination"]["dest"] |= ends.get("destination", {})
    return raw


def _assert_told(shop: Shop, failed: Command, *words: str) -> str:
    """One sentence with these words, no traceback, a failed run on record, and no secret anywhere."""
    assert (failed.code, failed.err) == (1, "")
    ((state, message),) = shop.plane.runs("state", "error_message")
    assert state == "failed"
    for word in ("stream shop_DMS_", *words):
        assert word in message
    assert failed.out.count(message) == 1
    everything = shop.plane.everything()
    assert _PLANTED not in everything
    assert _ROW not in everything
    assert shop.source.server.password not in everything
    return str(message)


@pytest.mark.parametrize("end", ["source", "destination"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"password": _PLANTED}, ("`password`",)),
        ({"username": "nobody_here", "password": _PLANTED}, ("`username`",)),
        ({"url": "no-such-host.invalid"}, ("`url`", "host name is unknown")),
        ({"port": 1}, ("`port`", "nothing listens")),
        ({"db_name": "no_such_database"}, ("`db_name`",)),
    ],
)
def test_wrong_address(shop: Shop, end: str, wrong: dict[str, Any], words: tuple[str, ...]) -> None:
    shop.plane.import_mapping("shop", _mapping(shop, **{end: wrong}))

    failed = shop.migrate()

    _assert_told(shop, failed, f"pgsql {end}", *words)


@pytest.mark.parametrize("end", ["source", "destination"])
def test_server_that_never_answers(shop: Shop, deaf_port: int, end: str) -> None:
    shop.plane.options["connect_timeout_s"] = 2
    shop.plane.import_mapping("shop", _mapping(shop, **{end: {"port": deaf_port, "password": _PLANTED}}))

    failed = shop.migrate()

    _assert_told(shop, failed, f"pgsql {end}", "did not answer in time")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"table_name": "ordres"}, ("ordres", "table_name")),
        ({"primary_key": "nr"}, ("nr", "primary_key")),
        ({"bookmark": "changed_at"}, ("changed_at", "bookmark")),
        ({"bookmark": "amount"}, ("amount", "bookmark")),
        ({"primary_key": "maybe"}, ("maybe", "primary_key")),
        ({"primary_key": "twice"}, ("twice", "primary_key")),
    ],
)
def test_names_and_keys_that_do_not_fit(shop: Shop, overrides: dict[str, Any], words: tuple[str, ...]) -> None:
    shop.source.execute(
        "ALTER TABLE orders ADD maybe int, ADD twice int NOT NULL DEFAULT 1, ADD note text DEFAULT %s;"
        "UPDATE orders SET maybe = id WHERE id > 5",
        [_ROW],
    )
    shop.plane.import_mapping("shop", _mapping(shop, table("syncing") | overrides))

    failed = shop.migrate()

    _assert_told(shop, failed, "pgsql ", *words)


def test_destination_that_may_not_be_written(shop: Shop) -> None:
    shop.destination.execute("DROP ROLE IF EXISTS onlooker; CREATE ROLE onlooker LOGIN PASSWORD 'look-only-93'")
    try:
        ends = {"destination": {"username": "onlooker", "password": "look-only-93"}}
        shop.plane.import_mapping("shop", _mapping(shop, **ends))

        failed = shop.migrate()

        _assert_told(shop, failed, "pgsql destination", "`username`", "grant")
        assert "look-only-93" not in shop.plane.everything()
        assert shop.destination.value("SELECT to_regnamespace('arrived') IS NULL")
    finally:
        shop.destination.execute("DROP ROLE onlooker")


def test_destination_that_refuses_rows(shop: Shop) -> None:
    shop.plane.import_mapping("shop", _mapping(shop))
    assert shop.migrate().code == 0
    shop.destination.execute("ALTER TABLE arrived.orders ADD CONSTRAINT no_bangs CHECK (name NOT LIKE '%%!')")
    shop.source.execute("UPDATE orders SET name = %s, updated_at = now() WHERE id = 7", [_ROW + "!"])
    before = shop.contents(shop.destination, "arrived.orders")

    failed = shop.migrate()

    assert (failed.code, failed.err) == (1, "")
    ((_, message),) = shop.plane.runs("state", "error_message")[1:]
    assert "no_bangs" in message
    assert "orders" in message
    assert _ROW not in shop.plane.everything()
    assert shop.contents(shop.destination, "arrived.orders") == before


def test_lock_that_is_held_for_too_long(shop: Shop) -> None:
    shop.plane.options["lock_timeout_s"] = 1
    shop.plane.import_mapping("shop", _mapping(shop))
    assert shop.migrate().code == 0
    shop.change()
    with closing(shop.destination.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("UPDATE arrived.orders SET name = name WHERE id = 7")
        failed = shop.migrate(DMS_RECONNECTS=0)
        holder.rollback()

    assert (failed.code, failed.err) == (1, "")
    ((_, message),) = shop.plane.runs("state", "error_message")[1:]
    assert "lock" in message
    assert shop.migrate().code == 0
    shop.assert_equal()


def test_type_that_changed_at_the_source(shop: Shop) -> None:
    shop.plane.import_mapping("shop", _mapping(shop))
    assert shop.migrate().code == 0
    shop.source.execute("ALTER TABLE orders ALTER amount TYPE text")

    failed = shop.migrate()

    assert (failed.code, failed.err) == (1, "")
    ((error_class, message),) = shop.plane.runs("error_class", "error_message")[1:]
    assert error_class == "SchemaMismatch"
    assert all(word in message for word in ("amount", "numeric", "text"))
    assert shop.arrived() == 300


def test_no_secret_is_printed_or_kept_by_a_good_run(shop: Shop, mongo: MongoServer, mongo_database_name: str) -> None:
    shop.plane.import_settings(settings(mongo, mongo_database_name))
    shop.plane.import_mapping("shop", _mapping(shop, table("mirroring")))

    shop.migrate("--dry-run")
    assert shop.migrate("--json").code == 0
    assert shop.migrate().code == 0

    client = mongo.client()
    try:
        stores = json.dumps(
            [list(client[mongo_database_name][name].find({}, {"_id": 0})) for name in ("state", "runs")], default=str
        )
    finally:
        client.close()
    assert "shop_DMS_orders_dest" in stores
    assert shop.source.server.password not in shop.plane.everything() + stores


def test_defect_of_ours_is_logged_once_and_its_message_is_not_kept(shop: Shop) -> None:
    shop.plane.import_mapping("shop", _mapping(shop))

    failed = shop.migrate(fault="after_prepare=raise")

    assert failed.code == 1
    assert failed.err.count("Traceback") == 1
    ((message,),) = shop.plane.runs("error_message")
    assert message == "unexpected InjectedFault; the log of the process has the traceback"
