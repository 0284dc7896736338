"""Resets by the pages, on a real source and destination."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from migrations_app.admin import slots
from migrations_app.admin.posting import url_of
from migrations_app.admin.stream_rereading import seen_of
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import AuditEntry, Checkpoint, Run, Stream
from tests.admin.acting import EDITOR, person, post, reset, see, seen_in
from tests.admin.rereading.orders import Databases, changed, execute
from tests.controlplane.pages import url
from tests.verbs.support import command

# Runs record in threads and transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)


def test_who_resets_and_may_not_see_checkpoints_sees_no_place(stream: Stream, client: Client) -> None:
    blind = person(*(each for each in EDITOR if each != "view_checkpoint"), name="bob")
    hidden = "<dt>Stands at</dt><dd>(needs the permission to see checkpoints)</dd>"
    assert hidden in see(blind, stream, "resetting", how="whole")
    assert hidden not in see(client, stream, "resetting", how="whole")


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
