"""The commands reset_checkpoint and backfill on a registered mapping."""

from __future__ import annotations

import json

import pytest

from connectors.base import Selection
from controlplane.sandbox import MongoServer
from migrations_app import plans
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Checkpoint, Run, Stream
from migrations_app.verbs import backfill, reset
from tests.builders import make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs import support
from tests.verbs.support import Outcome, command, register

# Runs record in threads and transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

Databases = tuple[PgDatabase, PgDatabase]
STREAM = "test_DMS_orders_dest"


@pytest.fixture
def databases(two_databases: Databases, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Databases:
    monkeypatch.setattr(support, "STORE", mongo.url)
    two_databases[0].execute(
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text,"
        " updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 100) n;"
        "CREATE TABLE items AS TABLE orders"
    )
    return two_databases


def run() -> Outcome:
    outcome = command("run_migration", "--json")
    assert outcome.code == 0, outcome
    return outcome


def unseen_change(databases: Databases) -> None:
    databases[0].execute("UPDATE orders SET note = 'changed'")


def changed(databases: Databases) -> list[int]:
    rows = databases[1].rows("SELECT id FROM arrived.orders WHERE note = 'changed' ORDER BY 1")
    return [key for (key,) in rows]


def test_a_reset_stream_copies_everything_again(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    run()
    unseen_change(databases)
    run()
    assert changed(databases) == []
    outcome = command("reset_checkpoint", "--yes")
    assert outcome.code == 0
    assert "stands at:  changes up to watermark" in outcome.out
    assert "reset to:   nothing: this is a first copy" in outcome.out
    assert "reads the whole table again" in outcome.out
    assert not Checkpoint.objects.filter(stream__unique_id=STREAM).exists()
    run()
    assert len(changed(databases)) == 100
    assert databases[1].value("SELECT count(*) FROM arrived.orders") == 100


def test_without_a_yes_nothing_changes(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    register(make_mapping(*databases, make_table()))
    run()
    before = Checkpoint.objects.get().position
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    outcome = command("reset_checkpoint")
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "nothing was changed")
    (shown,) = json.loads(command("reset_checkpoint", "--json").out)
    assert shown["done"] is False
    assert Checkpoint.objects.get().position == before
    unseen_change(databases)
    run()
    assert changed(databases) == []


def test_a_reset_to_a_key_reads_what_is_above_it(databases: Databases) -> None:
    register(make_mapping(*databases, make_table(mode="logging", bookmark=...)))
    run()
    databases[1].execute("DELETE FROM arrived.orders WHERE id IN (50, 95, 96)")
    outcome = command("reset_checkpoint", "--to-key", "90", "--yes")
    assert "keys up to 90\n" in outcome.out
    assert Checkpoint.objects.get().position["safe_key"] == "90"
    run()
    assert databases[1].value("SELECT count(*) FROM arrived.orders WHERE id IN (95, 96)") == 2
    assert databases[1].value("SELECT count(*) FROM arrived.orders WHERE id = 50") == 0


@pytest.mark.parametrize("mode", ["logging", "syncing"])
def test_rows_that_a_reset_has_copied_again_are_estimated(databases: Databases, mode: str) -> None:
    raw = make_mapping(*databases, make_table(mode=mode, bookmark="updated_at" if mode == "syncing" else ...))
    register(raw)
    run()
    databases[0].execute("UPDATE orders SET updated_at = '2024-01-01'; ANALYZE orders")
    (plan,) = plans.build("test")
    whole, above = reset.describe(plan), reset.describe(plan, to_key=("90",))
    assert reset.estimate_rows(plan, whole) == 100
    few = reset.estimate_rows(plan, above)
    assert few is not None
    assert 5 <= few <= 20


def test_a_released_table_can_be_owned_by_another_mapping(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    register(raw)
    run()
    assert command("reset_checkpoint", "--release", "--yes").code == 0
    owner = "SELECT stream FROM arrived._dms_state"
    assert databases[1].rows(owner) == []
    register(raw, mapping_id="other")
    assert command("run_migration", "--json", mapping_id="other").code == 0
    assert databases[1].value(owner) == "other_DMS_orders_dest"
    refused = command("reset_checkpoint", "--yes")
    assert refused.code == 2
    assert "belongs to another stream" in refused.error
    planned = command("run_migration", "--dry-run", "--json")
    assert "the table arrived.orders belongs to other_DMS_orders_dest" in planned.out


def test_a_stream_with_an_active_run_is_not_reset(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    run()
    stream = Stream.objects.get()
    Run.objects.create(stream=stream, trigger=TriggerKind.CLI, state=RunState.QUEUED)
    outcome = command("reset_checkpoint", "--yes")
    assert outcome.code == 3
    assert Checkpoint.objects.filter(stream=stream).exists()


def test_a_backfill_is_a_run_of_its_own_and_leaves_the_position(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    run()
    before = Checkpoint.objects.get().position
    unseen_change(databases)
    outcome = command("backfill", "--from-key", "10", "--to-key", "12", "--json")
    assert outcome.code == 0
    assert changed(databases) == [10, 11, 12]
    (shown,) = json.loads(outcome.out)
    assert (shown["state"], shown["updated"]) == ("succeeded", 3)
    recorded = Run.objects.get(trigger=TriggerKind.BACKFILL)
    assert recorded.request == {"backfill": {"from_key": ["10"], "to_key": ["12"]}}
    assert Checkpoint.objects.get().position == before


def test_a_queued_backfill_is_executed_by_the_id_of_its_run(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    run()
    unseen_change(databases)
    (plan,) = plans.build("test")
    queued = backfill.queue(plan, Selection(to_key=("2",)), trigger_id=None, requested_by="somebody")
    assert command("run_migration", "--run", str(queued.pk), "--json").code == 0
    assert changed(databases) == [1, 2]


def test_a_backfill_by_time_without_a_zone_is_in_the_settings_zone(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    databases[0].execute("UPDATE orders SET updated_at = '2024-03-01 12:00+05:30' WHERE id = 7")
    run()
    unseen_change(databases)
    assert command("backfill", "--since", "2024-03-01 12:00", "--until", "2024-03-01 12:00").code == 0
    assert changed(databases) == [7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a range of keys"),
        (("--from-key", "1", "--since", "2024-01-01"), "one of the two"),
        (("--since", "yesterday"), "ISO 8601"),
        (("--from-key", "[1"), "JSON list"),
        (("--from-key", "abc"), "from_key: the value of id is not a whole number"),
        (("--to-key", "[1, 2]"), "to_key: expected one value, that of id"),
    ],
)
def test_a_selection_that_says_nothing_ends_with_2(
    databases: Databases, arguments: tuple[str, ...], message: str
) -> None:
    register(make_mapping(*databases, make_table()))
    outcome = command("backfill", *arguments)
    assert outcome.code == 2
    assert message in outcome.error


def test_keys_of_several_tables_are_refused(databases: Databases) -> None:
    register(make_mapping(*databases, make_table(), make_table("items")))
    assert command("backfill", "--from-key", "1").code == 2
    assert command("reset_checkpoint", "--to-key", "1", "--yes").code == 2


def test_a_backfill_before_the_first_copy_fails_with_what_to_do(databases: Databases) -> None:
    register(make_mapping(*databases, make_table()))
    outcome = command("backfill", "--to-key", "5", "--json")
    assert outcome.code == 1
    assert "run the mapping first" in json.loads(outcome.out)[0]["reason"]


def test_a_mapping_changed_since_can_be_reset(databases: Databases) -> None:
    raw = make_mapping(*databases, make_table())
    run_once(raw)
    register(make_mapping(*databases, make_table(mode="mirroring")))
    assert "the mapping changed since" in command("run_migration", "--json").out
    assert command("reset_checkpoint", "--yes").code == 0
    run()
