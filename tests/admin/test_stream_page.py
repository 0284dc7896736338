"""What the page of a stream shows, to whom, and how it keeps up with the stream."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.base import RunReport
from migrations_app import history, runs
from migrations_app.admin.posting import url_of
from migrations_app.enums import TriggerKind
from migrations_app.models import (
    AuditEntry,
    Checkpoint,
    DataCheck,
    Run,
    ServiceSettings,
    Stream,
    StreamSchedule,
    StreamTotals,
)
from migrations_app.streams import ensure_stream
from migrations_app.verbs import checking
from tests.admin.acting import EDITOR, OPERATOR, VIEWER, person, post, save_settings, see
from tests.controlplane.builders import make_run, make_stream, raw_table
from tests.controlplane.pages import save_mapping, url

pytestmark = pytest.mark.django_db

POSITION = {
    "mode": "syncing",
    "key": ["id"],
    "bookmark": "updated_at",
    "phase": "follow",
    "safe_key": "60500",
    "watermark": "2026-11-28T11:10:05+00:00",
}


def page_of(stream: Stream, *permissions: str) -> str:
    return person(*(permissions or VIEWER)).get(url(Stream, "change", stream.pk)).content.decode()


def test_new_stream_says_what_comes_first() -> None:
    shown = page_of(make_stream(), *OPERATOR)

    assert "Never run" in shown
    assert "Run it now: the first run copies everything." in shown
    assert "Nothing is copied yet." in shown


def test_form_of_a_key_is_told_without_asking_the_source() -> None:
    """Which is not there, and would be asked which tables `*` stands for."""
    stream = ensure_stream(save_mapping(tables=[raw_table(table_name="*")]), "table", "public.orders", "warehouse")
    Checkpoint.objects.create(stream=stream, position=POSITION, epoch=1)
    client = person(*EDITOR)

    assert "It is a value of id." in see(client, stream, "backfilling")
    assert "It is a value of id." in see(client, stream, "resetting")


def test_a_cron_that_starts_nothing_says_why() -> None:
    save_mapping(tables=[raw_table(cron="* * * * * * 0 0")])
    stream = Stream.objects.get()

    never = "never, since Schedule jobs is off in the service settings"
    assert never in page_of(stream)
    assert never in see(person(*VIEWER, name="bob"), stream.mapping, "overview")

    save_settings()
    ServiceSettings.objects.update(fastapi_server=True)
    shown = person(*VIEWER, name="eve").get(url(Stream, "change", stream.pk)).content.decode()
    assert never not in shown


def test_place_is_said_to_those_who_may_see_it() -> None:
    stream = make_stream()
    Checkpoint.objects.create(stream=stream, position=POSITION, epoch=1, rows_total=1234)

    assert "rows with id up to 60,500 and changes by updated_at up to 2026-11-28 16:40 IST" in page_of(
        stream, *OPERATOR
    )
    viewed = person(*VIEWER, name="bob").get(url(Stream, "change", stream.pk)).content.decode()
    assert "60,500" not in viewed
    assert "60500" not in viewed
    assert "runs have inserted, updated or deleted 1,234 rows" in viewed


def test_a_copy_over_rows_that_are_there_says_why_it_counts_none() -> None:
    stream = make_stream()
    Checkpoint.objects.create(stream=stream, position=POSITION, epoch=1, rows_total=0)
    shown = page_of(stream, *OPERATOR)
    assert "inserted, updated or deleted 0 rows; rows that were at the destination already" in shown


def test_last_runs_are_drawn_and_told() -> None:
    stream = make_stream()
    for n, state in enumerate(["succeeded", "succeeded", "failed"]):
        at = timezone.now() - timedelta(hours=3 - n)
        times = {"created_at": at - timedelta(days=7), "started_at": at, "finished_at": at + timedelta(seconds=90)}
        make_run(stream, state=state, inserted=77, **times)

    shown = page_of(stream)
    queued = [run.created_at.isoformat() for run in stream.runs.all()]
    assert not any(moment in shown for moment in queued), "a run has not begun when it is queued"

    assert "The last 3 runs, the newest to the right: 2 succeeded, 1 failed." in shown
    assert shown.count('class="dms-is-succeeded"') == 2
    assert "Seconds that each of the last runs took" in shown
    assert shown.count("<td>1 min 30 s</td>") == 3, "the figures of the chart are there for who does not see it"


def test_data_check_shows_keys_to_those_who_may_see_them() -> None:
    stream = make_stream()
    result = {
        "source_rows": 10,
        "destination_rows": 9,
        "missing": 1,
        "differing_keys": [{"key": ["key-4711"], "difference": "missing"}],
    }
    DataCheck.objects.create(stream=stream, finished_at=timezone.now(), verdict="different", result=result)

    shown = page_of(stream, *OPERATOR)
    assert "key-4711" in shown
    assert "missing at the destination" in shown
    viewed = person(*VIEWER, name="bob").get(url(Stream, "change", stream.pk)).content.decode()
    assert "key-4711" not in viewed
    assert "missing at the destination" in viewed


def differing(stream: Stream, *named: tuple[str, list[str]], **result: Any) -> DataCheck:
    """A data check that has found these keys."""
    counts = Counter(difference for difference, _ in named)
    keys = [{"key": key, "difference": difference} for difference, key in named]
    found = {"mode": "syncing", "differing_keys": keys, **counts, **result}
    return DataCheck.objects.create(stream=stream, finished_at=timezone.now(), verdict="different", result=found)


def test_data_check_that_found_differences_leads_to_a_backfill_of_them() -> None:
    save_mapping()
    stream = Stream.objects.get()
    Checkpoint.objects.create(stream=stream, position=POSITION, epoch=1)
    differing(stream, ("missing", ["905"]), ("different", ["17"]), ("extra", ["3"]), extra_rows_allowed=True)
    client = person(*EDITOR)

    shown = unescape(client.get(url(Stream, "change", stream.pk)).content.decode())

    link = f"{url_of(stream, 'backfilling')}?from_key=17&to_key=905"
    assert f'href="{link}">Backfill keys 17 to 905</a>' in shown
    assert "inserts those that are missing, and updates those that differ" in shown
    assert f"{url_of(stream, 'backfilling')}?from_key=905&to_key=905" in shown
    assert "from_key=3" not in shown
    assert f'href="{url_of(stream, "resetting")}?how=whole"' in shown
    page = client.get(link).content.decode()
    assert 'name="from_key" value="17"' in page
    assert 'name="to_key" value="905"' in page


def test_ways_on_from_a_data_check_show_no_key_to_who_may_not_see_it() -> None:
    save_mapping()
    stream = Stream.objects.get()
    differing(stream, ("missing", ["4711"]))

    viewed = page_of(stream, *VIEWER, "run_mapping")

    assert "A backfill reads rows again" in viewed
    assert "4711" not in viewed


@pytest.mark.parametrize(
    ("spec", "named", "says"),
    [
        ({"mode": "logging"}, ("different", ["1"]), "neither a backfill nor a reset changes those that differ"),
        ({"mode": "mirroring"}, ("extra", ["1"]), "The next run deletes rows that the source no longer has"),
        ({}, ("repeated", ["1"]), "delete the surplus at the destination"),
    ],
)
def test_way_on_is_that_of_the_mode(spec: dict[str, Any], named: tuple[str, list[str]], says: str) -> None:
    save_mapping(tables=[raw_table(**spec)])
    stream = Stream.objects.get()
    differing(stream, named, counts_are_complete=False)

    shown = page_of(stream, *OPERATOR)

    assert says in shown
    assert "More keys differ than are named" in shown


def test_key_that_could_be_taken_for_a_list_is_written_as_one() -> None:
    save_mapping(tables=[raw_table(primary_key_datatype="str")])
    stream = Stream.objects.get()
    differing(stream, ("missing", ["[a]"]), ("missing", [" b"]), ("missing", ["10"]))

    shown = unescape(page_of(stream, *OPERATOR))

    assert "from_key=%5B%22%5Ba%5D%22%5D&to_key=" in shown
    assert "from_key=%5B%22+b%22%5D&to_key=" in shown
    assert "from_key=10&to_key=10" in shown
    assert "Backfill keys" not in shown


def test_data_check_that_goes_on_is_followed() -> None:
    stream = make_stream()
    check = checking.ask(stream, "ann")
    client = person(*OPERATOR)

    def piece() -> str:
        return see(client, stream, "live", seen="True None")

    assert ">It waits until its process begins.<" in piece()
    checking.take(Q(pk=stream.pk))
    assert "waits for its turn" in piece()
    hashing = {"work": "hashing", "rows_expected": 1200000, "ranges": 24, "hashed": ["source"]}
    DataCheck.objects.update(progress=hashing)
    assert (
        "about 1,200,000 at the source), in 24 ranges of the key; the source is done, the destination is not" in piece()
    )
    DataCheck.objects.update(progress={"work": "searching", "ranges": 4, "ranges_done": 1, "mismatches": 3})
    assert "looks for the keys that differ, in range 2 of 4 that differ; 3 found so far" in piece()
    assert 'aria-valuenow="25"' in piece()
    assert url_of(stream, "cancel_check") in piece()
    assert url_of(stream, "cancel_check") not in see(person(*VIEWER, name="eve"), stream, "live", seen="True None")
    checking.cancel(Q(pk=stream.pk), "bob")
    assert "ends, since bob cancelled it" in piece()
    assert url_of(stream, "cancel_check") not in piece()

    DataCheck.objects.update(finished_at=check.asked_at, verdict="cancelled", result={"error": "bob cancelled it"})
    answer = client.get(url_of(stream, "live"), {"seen": "True None"})
    assert answer.headers["HX-Refresh"] == "true"
    assert "bob cancelled it" in person(*VIEWER, name="tom").get(url(Stream, "change", stream.pk)).content.decode()


def test_data_check_whose_process_is_gone_is_not_shown_as_going_on() -> None:
    stream = make_stream()
    checking.ask(stream, "ann")
    checking.take(Q(pk=stream.pk))
    DataCheck.objects.update(owner_started="0")

    shown = page_of(stream, *OPERATOR)

    assert "its process ended without a result; see runs/shop.log" in shown
    assert url_of(stream, "cancel_check") not in shown


def test_audit_is_shown_to_those_who_may_see_it() -> None:
    stream = make_stream()
    AuditEntry.objects.create(
        actor="carol", via="admin", action="pause", target_type="stream", target_id=str(stream.pk)
    )

    assert "carol" in page_of(stream, *VIEWER, "view_auditentry")
    assert "carol" not in person(*EDITOR, name="bob").get(url(Stream, "change", stream.pk)).content.decode()


def test_audit_says_that_it_is_of_the_stream_alone() -> None:
    stream = make_stream()
    AuditEntry.objects.create(
        actor="carol", via="admin", action="run", target_type="mapping", target_id=stream.mapping_id
    )

    shown = page_of(stream, *VIEWER, "view_auditentry")

    assert "Nobody has done anything to this stream alone by hand." in shown
    assert f'href="{url_of(stream.mapping, "overview")}#audit"' in shown


def test_times_beside_the_live_part_are_absolute() -> None:
    stream = make_stream()
    now = timezone.now()
    StreamTotals.objects.create(
        stream=stream, last_state="succeeded", last_seconds=3, last_success_at=now, last_finished_at=now
    )
    StreamSchedule.objects.create(
        stream=stream, next_due_at=now + timedelta(hours=1), skips=1, last_skip_at=now, misfires=1, last_misfire_at=now
    )
    Checkpoint.objects.create(stream=stream, position=POSITION, epoch=1, rows_total=1)

    shown = page_of(stream, *OPERATOR)

    below = shown[shown.index('id="what"') :]
    assert "<dt>Last run</dt>" in below
    assert " ago" not in below
    assert "recorded <time" in below


def test_names_are_shown_as_text() -> None:
    name = f"<script>alert(1)</script>{'x' * 150}"
    stream = make_stream(tables=[raw_table()])
    Stream.objects.update(name=name)

    shown = page_of(stream)

    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_piece_is_asked_for_again_until_something_begins_or_ends() -> None:
    stream = make_stream()
    client = person(*OPERATOR)

    def look(seen: str) -> Any:
        return client.get(url_of(stream, "live"), {"seen": seen})

    assert "every 10s" in look("False").content.decode()
    run = runs.queue(stream, trigger=TriggerKind.CLI)
    assert look("False").headers["HX-Refresh"] == "true"
    runs.claim(run)
    answer = look(f"{run.pk} running False")
    assert "HX-Refresh" not in answer.headers
    assert "every 2s" in answer.content.decode()
    runs.succeed(run, RunReport())
    assert look(f"{run.pk} running False").headers["HX-Refresh"] == "true"


def test_run_that_began_and_ended_between_two_looks_is_noticed() -> None:
    stream = make_stream()
    make_run(stream, state="succeeded")

    answer = person(*VIEWER).get(url_of(stream, "live"), {"seen": "False"})

    assert answer.headers["HX-Refresh"] == "true"


def test_page_is_only_looked_at() -> None:
    stream = make_stream()
    client = person(*EDITOR)

    assert client.post(url(Stream, "change", stream.pk), {"paused": "on"}).status_code == 405
    assert client.get(url(Stream, "change", "99999")).status_code == 404
    assert client.get(url(Stream, "change", "no-number")).status_code == 404
    assert person("view_run", name="bob").get(url(Stream, "change", stream.pk)).status_code == 403


def test_phases_are_told_in_the_same_words_everywhere_and_without_a_key() -> None:
    stream = make_stream()
    run = make_run(stream, phase="")
    client = person(*VIEWER)
    pages = (url(Run, "change", run.pk), url(Stream, "change", stream.pk), "/admin/")

    for phase, words in (("", "connecting"), ("copy", "first copy"), ("backfill 4711..4712", "reading a range again")):
        Run.objects.filter(pk=run.pk).update(phase=phase)
        for page in pages:
            shown = client.get(page).content.decode()
            assert words in shown.lower(), page
            assert "4711" not in shown, "it is a key"


@pytest.mark.parametrize("count", [1, 200])
def test_number_of_queries_does_not_grow_with_the_runs(count: int) -> None:
    stream = make_stream()
    now = timezone.now()
    for _ in range(count):
        make_run(stream, state="succeeded", finished_at=now)
    client = person(*EDITOR)
    client.get(url(Stream, "change", stream.pk))

    with CaptureQueriesContext(connection) as seen:
        client.get(url(Stream, "change", stream.pk))

    assert len(seen) <= 30, [query["sql"][:120] for query in seen]


def test_action_leads_back_to_the_page() -> None:
    stream = make_stream()

    answer: Any = person(*OPERATOR).post(url_of(stream, "pause"))

    assert answer.headers["Location"] == url(Stream, "change", stream.pk)
    assert "Paused" in see(person(*VIEWER, name="bob"), stream, "live", seen="False")
    assert post(person(*OPERATOR, name="eve"), stream, "resume")


def test_run_that_ends_while_the_page_is_made_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    last_runs = history.last_runs

    def read_and_end(stream: Stream) -> Any:
        read = list(last_runs(stream))
        Run.objects.filter(pk=run.pk).update(state="succeeded")
        return read

    monkeypatch.setattr(history, "last_runs", read_and_end)
    client = person(*OPERATOR)
    shown = client.get(url(Stream, "change", run.stream.pk)).content.decode()
    assert "1 running" in shown
    (look,) = re.findall(rf'hx-get="({re.escape(url_of(run.stream, "live"))}[^"]*)"', shown)

    assert client.get(look).headers["HX-Refresh"] == "true"
