"""Backfills by the pages, on a real source and destination."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import AuditEntry, Checkpoint, Run, Stream
from tests.admin.acting import post, see
from tests.admin.rereading.orders import Databases, changed, execute
from tests.builders import make_mapping, make_table
from tests.controlplane.pages import url
from tests.verbs.support import register

# Runs record in threads and transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)


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


def test_backfill_waits_for_a_run_that_goes_on(stream: Stream, client: Client) -> None:
    Run.objects.create(stream=stream, trigger=TriggerKind.CLI, state=RunState.QUEUED)

    assert "has a run already" in client.post(url_of(stream, "backfill"), {"from_key": "1"}).content.decode()


def test_backfill_of_what_is_not_copied_offers_the_first_run(stream: Stream, client: Client) -> None:
    Checkpoint.objects.all().delete()

    page = see(client, stream, "backfilling")
    assert "its first run brings everything" in page
    assert 'name="from_key"' not in page
