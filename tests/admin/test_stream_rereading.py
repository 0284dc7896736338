"""Backfill and reset by the pages, on a real source and destination."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from controlplane.sandbox import MongoServer
from migrations_app import hosts
from migrations_app.admin import slots
from migrations_app.admin.posting import url_of
from migrations_app.admin.stream_rereading import seen_of
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import AuditEntry, Checkpoint, Run, Stream
from tests.admin.acting import EDITOR, person, post, reset, see, seen_in
from tests.builders import make_mapping, make_table
from tests.controlplane.pages import url
from tests.databases import PgDatabase
from tests.verbs import support
from tests.verbs.support import command, register

# Runs record in threads and transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

Databases = tuple[PgDatabase, PgDatabase]


@pytest.fixture
def databases(two_databases: Databases, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """A table of 100 rows that is copied; what changes in it afterwards is not seen by its bookmark."""
    monkeypatch.setattr(support, "STORE", mongo.url)
    two_databases[0].execute(
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text,"
        " updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 100) n; ANALYZE orders"
    )
    register(make_mapping(*two_databases, make_table()))
    assert command("run_migration").code == 0
    two_databases[0].execute("UPDATE orders SET note = 'changed'")
    # With a worker that is up, what is queued waits for it: here for `execute`.
    hosts.beat("here", "holder", {"slots": 2})
    return two_databases


@pytest.fixture
def stream(databases: Databases) -> Stream:
    return Stream.objects.get()


@pytest.fixture
def client() -> Client:
    return person(*EDITOR)


def execute() -> None:
    queued = Run.objects.get(state=RunState.QUEUED)
    assert command("run_migration", "--run", str(queued.pk)).code == 0


def changed(databases: Databases) -> list[int]:
    return [key for (key,) in databases[1].rows("SELECT id FROM arrived.orders WHERE note = 'changed' ORDER BY 1")]


def test_backfill_reads_a_range_of_keys_and_moves_nothing(databases: Databases, stream: Stream, client: Client) -> None:
    before = Checkpoint.objects.get().position
    assert "The checkpoint does not move" in see(client, stream, "backfilling")

    said = post(client, stream, "backfill", from_key="10", to_key="12")
    execute()

    assert "the stream's own place stays" in said[0]
    assert changed(databases) == [10, 11, 12]
    assert Checkpoint.objects.get().position == before
    run = Run.objects.get(trigger=TriggerKind.BACKFILL)
    assert (run.state, run.requested_by) == ("succeeded", "ann")
    assert AuditEntry.objects.get(action="backfill").details == {"range of": "keys", "run": str(run.pk)}


def test_who_resets_and_may_not_see_checkpoints_sees_no_place(stream: Stream, client: Client) -> None:
    blind = person(*(each for each in EDITOR if each != "view_checkpoint"), name="bob")
    hidden = "<dt>Stands at</dt><dd>(needs the permission to see checkpoints)</dd>"
    assert hidden in see(blind, stream, "resetting", how="whole")
    assert hidden not in see(client, stream, "resetting", how="whole")


def test_backfill_reads_a_range_of_times(databases: Databases, stream: Stream, client: Client) -> None:
    databases[0].execute("UPDATE orders SET updated_at = '2024-03-01 12:00+05:30' WHERE id = 7")

    post(client, stream, "backfill", since="2024-03-01T11:59", until="2024-03-01T12:01")
    execute()

    assert changed(databases) == [7]


def test_page_tells_how_much_a_backfill_reads_before_it_is_queued(
    databases: Databases, stream: Stream, client: Client
) -> None:
    databases[0].execute("ANALYZE orders")
    for fields in ({"from_key": "11", "to_key": "60"}, {"since": "2023-01-01"}):
        answer = client.post(url_of(stream, "backfill"), {"look": "yes", **fields})

        page = answer.content.decode()
        rows = re.search(r"It reads about ([0-9]+) rows, by the source", page)
        assert rows is not None
        assert 40 <= int(rows.group(1)) <= 100
        assert all(f'value="{value}"' in page for value in fields.values())
    assert not Run.objects.filter(trigger=TriggerKind.BACKFILL).exists()
    assert not AuditEntry.objects.filter(action="backfill").exists()


def test_nobody_guesses_how_much_a_backfill_of_a_table_without_statistics_reads(
    databases: Databases, stream: Stream, client: Client
) -> None:
    databases[0].execute(
        "CREATE TABLE other (LIKE orders INCLUDING ALL);"
        "INSERT INTO other OVERRIDING SYSTEM VALUE SELECT * FROM orders;"
        "DROP TABLE orders; ALTER TABLE other SET (autovacuum_enabled = false); ALTER TABLE other RENAME TO orders"
    )

    answer = client.post(url_of(stream, "backfill"), {"look": "yes", "from_key": "11"})

    assert "The source has no estimate of how many rows that is." in answer.content.decode()


def test_backfill_knows_how_many_rows_its_range_has(databases: Databases, stream: Stream, client: Client) -> None:
    databases[0].execute("ANALYZE orders")
    post(client, stream, "backfill", from_key="11", to_key="60")
    execute()

    run = Run.objects.get(trigger=TriggerKind.BACKFILL)
    assert run.read == 50
    assert run.rows_expected is not None
    assert 45 <= run.rows_expected <= 55


def test_range_that_says_nothing_is_refused_and_stays_in_its_fields(stream: Stream, client: Client) -> None:
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "range of keys"),
        ({"from_key": "1", "since": "2024-01-01"}, "one of the two"),
        ({"since": "yesterday"}, "ISO 8601"),
        ({"from_key": "[1"}, "JSON list"),
        ({"since": "2024-03-02", "until": "2024-03-01"}, "before the beginning of the range"),
    ]
    for fields, says in refused:
        answer = client.post(url_of(stream, "backfill"), fields)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert says in page
        assert all(f'value="{value}"' in page for value in fields.values())
    assert not Run.objects.filter(trigger=TriggerKind.BACKFILL).exists()


def test_key_that_no_row_can_have_is_refused_at_its_field(stream: Stream, client: Client) -> None:
    refused = [
        ({"from_key": "abc"}, "from_key", "The value of id is not a whole number."),
        ({"to_key": "[1, 2]"}, "to_key", "Expected one value, that of id."),
        ({"from_key": "10", "to_key": "9"}, "to_key", "Is below the lowest key of the range; exchange the two."),
    ]
    for fields, name, says in refused:
        page = client.post(url_of(stream, "backfill"), fields).content.decode()
        assert f'id="{name}-error" role="alert">{says}</p>' in page
        assert f'aria-describedby="{name}-error keys-help" aria-invalid="true"' in page
        assert page.count("aria-invalid") == 1
    assert not Run.objects.filter(trigger=TriggerKind.BACKFILL).exists()
    assert not AuditEntry.objects.filter(action="backfill").exists()


def test_stream_that_copies_whole_snapshots_has_nothing_to_backfill(
    databases: Databases, stream: Stream, client: Client
) -> None:
    page = url(Stream, "change", stream.pk)
    assert url_of(stream, "backfilling") in client.get(page).content.decode()
    dump = make_table(mode="dumping", bookmark=..., primary_key=..., primary_key_datatype=...)
    register(make_mapping(*databases, dump))

    assert url_of(stream, "backfilling") not in client.get(page).content.decode()
    answer = client.post(url_of(stream, "backfill"), {"from_key": "1"})

    assert answer.status_code == 422
    assert "dumping copies whole snapshots, so there is no range to read again" in answer.content.decode()
    assert not Run.objects.filter(trigger=TriggerKind.BACKFILL).exists()


def test_pages_offer_what_the_stream_can_do(databases: Databases, stream: Stream, client: Client) -> None:
    times, above = 'name="since"', 'value="key"'
    assert times in see(client, stream, "backfilling")
    assert above in see(client, stream, "resetting")

    register(make_mapping(*databases, make_table(bookmark=False)))
    page = see(client, stream, "backfilling")
    assert times not in page
    assert "This stream has no bookmark, so there is no range of times; give a range of keys." in page

    register(make_mapping(*databases, make_table(primary_key_datatype="uuid")))
    page = see(client, stream, "resetting")
    assert above not in page
    assert "are not found by a growing number" in page
    Checkpoint.objects.filter(stream=stream).update(position={"phase": "copy"})
    assert above in see(client, stream, "resetting")

    dump = make_table(mode="dumping", bookmark=..., primary_key=..., primary_key_datatype=...)
    register(make_mapping(*databases, dump))
    assert 'name="from_key"' not in see(client, stream, "backfilling")
    page = see(client, stream, "resetting")
    assert above not in page
    assert "Dumping copies everything each time, so there is no key to go on above." in page


def test_page_speaks_of_its_own_fields_and_of_the_streams_own_key(stream: Stream, client: Client) -> None:
    assert "It is a value of id." in see(client, stream, "backfilling")
    assert "It is a value of id." in see(client, stream, "resetting")

    page = client.post(url_of(stream, "backfill"), {}).content.decode()

    assert "(Lowest key, Highest key) or a range of times (From, To)" in page
    assert "(from_key" not in page


def test_reset_above_a_key_that_no_row_can_have_is_refused_at_its_field(stream: Stream, client: Client) -> None:
    page = see(client, stream, "resetting", how="key", to_key="abc")

    assert 'id="to_key-error" role="alert">The value of id is not a whole number.</p>' in page
    assert "What it would do" not in page


def test_looking_at_a_reset_or_asking_for_it_leaves_threads_for_others(stream: Stream, client: Client) -> None:
    post(client, stream, "pause")
    before = Checkpoint.objects.get().position
    asked = {"how": "whole", "seen": seen_of(stream), "reason": "a test", "confirm": str(stream)}
    busy = "try again in half a minute"
    with slots.one_of_few(), slots.one_of_few():
        page = see(client, stream, "resetting", how="whole")
        assert busy in page
        assert "What it would do" not in page
        assert busy in post(client, stream, "reset", **asked)[0]
        answer = client.post(url_of(stream, "backfill"), {"from_key": "10"})
        assert answer.status_code == 422
        assert busy in answer.content.decode()
        assert 'value="10"' in answer.content.decode()
        # What asks nobody is there.
        assert "It is a value of id." in see(client, stream, "resetting")
    assert Checkpoint.objects.get().position == before
    assert not Run.objects.filter(trigger=TriggerKind.BACKFILL).exists()
    assert "What it would do" in see(client, stream, "resetting", how="whole")


def test_backfill_waits_for_a_run_that_goes_on(stream: Stream, client: Client) -> None:
    Run.objects.create(stream=stream, trigger=TriggerKind.CLI, state=RunState.QUEUED)

    assert "has a run already" in client.post(url_of(stream, "backfill"), {"from_key": "1"}).content.decode()


def test_backfill_of_what_is_not_copied_offers_the_first_run(stream: Stream, client: Client) -> None:
    Checkpoint.objects.all().delete()

    page = see(client, stream, "backfilling")
    assert "its first run brings everything" in page
    assert 'name="from_key"' not in page


def test_reset_is_shown_before_it_is_done(databases: Databases, stream: Stream, client: Client) -> None:
    post(client, stream, "pause")
    before = Checkpoint.objects.get().position

    page = see(client, stream, "resetting", how="key", to_key="90")

    assert "rows with id up to 100" in page
    assert "rows with id up to 90" in page
    assert "reads the rows with keys above 90 again" in page
    assert re.search(r"about \d+, by the source", page)
    assert Checkpoint.objects.get().position == before


def test_reset_stream_copies_everything_again(databases: Databases, stream: Stream, client: Client) -> None:
    post(client, stream, "pause")

    page = see(client, stream, "resetting", how="whole")
    assert "about 100, by the source" in page
    said = reset(client, stream)
    assert "reads the whole table again" in said[0]
    assert not Checkpoint.objects.exists()

    post(client, stream, "resume")
    post(client, stream, "run")
    execute()
    assert len(changed(databases)) == 100
    assert databases[1].value("SELECT count(*) FROM arrived.orders") == 100
    entry = AuditEntry.objects.get(action="reset")
    assert entry.details == {"how": "whole", "reason": "a test"}
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before["position"] != entry.after["position"]


def test_reset_to_a_key_reads_what_is_above_it(databases: Databases, stream: Stream, client: Client) -> None:
    databases[1].execute("DELETE FROM arrived.orders WHERE id IN (50, 95)")
    post(client, stream, "pause")

    reset(client, stream, "key", "90")
    assert Checkpoint.objects.get().position["safe_key"] == "90"
    post(client, stream, "run")
    execute()

    there = [key for (key,) in databases[1].rows("SELECT id FROM arrived.orders WHERE id IN (50, 95)")]
    assert there == [95]


def test_reset_to_a_key_that_lies_ahead_says_what_is_left_out(stream: Stream, client: Client) -> None:
    stands = int(Checkpoint.objects.get().position["safe_key"])
    sentence = "that key lies ahead of where the stream stands"

    assert sentence in see(client, stream, "resetting", how="key", to_key=str(stands + 1))
    assert sentence not in see(client, stream, "resetting", how="key", to_key=str(stands))


def test_released_table_has_no_owner(databases: Databases, stream: Stream, client: Client) -> None:
    post(client, stream, "pause")

    reset(client, stream, "release")

    assert databases[1].rows("SELECT stream FROM arrived._dms_state") == []


def test_reset_that_is_not_as_it_was_shown_is_refused(stream: Stream, client: Client) -> None:
    post(client, stream, "pause")
    before = Checkpoint.objects.get().position
    good = {"how": "whole", "seen": seen_of(stream), "reason": "a test", "confirm": str(stream)}
    refused = [
        ({"confirm": "orders"}, "to confirm"),
        ({"confirm": ""}, "to confirm"),
        ({"reason": " "}, "say why"),
        ({"seen": "something"}, "has moved since"),
        ({"how": "sideways"}, "Choose what"),
        ({"how": "key", "to_key": ""}, "Give the key"),
        ({"how": "key", "to_key": "no number"}, "key"),
    ]
    for fields, says in refused:
        assert says in post(client, stream, "reset", **good | fields)[0]
    assert Checkpoint.objects.get().position == before
    assert not AuditEntry.objects.filter(action="reset").exists()
    assert post(client, stream, "reset", **good)
    assert not Checkpoint.objects.exists()


def test_stream_that_is_not_paused_is_not_reset(stream: Stream, client: Client) -> None:
    page = see(client, stream, "resetting", how="whole")
    assert "is not paused; pause it first" in page
    assert 'name="confirm"' not in page

    given = {"how": "whole", "seen": "x", "reason": "a test", "confirm": str(stream)}
    assert "is not paused; pause it first" in post(client, stream, "reset", **given)[0]
    assert Checkpoint.objects.exists()


def test_stream_that_runs_is_not_reset(stream: Stream, client: Client) -> None:
    post(client, stream, "pause")
    Run.objects.create(stream=stream, trigger=TriggerKind.CLI, state=RunState.QUEUED)

    assert "stop it, or wait for its end" in see(client, stream, "resetting", how="whole")
    given = {"how": "whole", "seen": "x", "reason": "a test", "confirm": str(stream)}
    assert "stop it, or wait for its end" in post(client, stream, "reset", **given)[0]
    assert Checkpoint.objects.exists()


def test_place_that_moved_after_the_page_was_shown_is_not_reset(
    databases: Databases, stream: Stream, client: Client
) -> None:
    post(client, stream, "pause")
    seen = seen_in(see(client, stream, "resetting", how="whole"))
    databases[0].execute("INSERT INTO orders (note) VALUES ('new')")
    assert command("run_migration").code == 0

    given = {"how": "whole", "seen": seen, "reason": "a test", "confirm": str(stream)}

    assert "Look at it again" in post(client, stream, "reset", **given)[0]
    assert Checkpoint.objects.exists()


def test_looking_at_a_reset_by_get_alone_changes_nothing(stream: Stream, client: Client) -> None:
    post(client, stream, "pause")
    epoch = stream.epoch

    answer: Any = client.get(url_of(stream, "reset"), {"how": "whole", "confirm": str(stream)})

    assert answer.status_code == 405
    assert client.post(url_of(stream, "resetting"), {"how": "whole"}).status_code == 405
    assert Stream.objects.get().epoch == epoch
    assert client.get(url(Stream, "change", stream.pk)).status_code == 200


def test_destination_that_is_away_is_told_and_nothing_done(
    databases: Databases, stream: Stream, client: Client
) -> None:
    post(client, stream, "pause")
    config = stream.mapping.named_destinations.get().destination
    config.config = config.config | {"port": 1}
    config.save()

    page = see(client, stream, "resetting", how="whole")

    assert "What it would do" not in page
    assert "port" in page
    assert Checkpoint.objects.exists()
