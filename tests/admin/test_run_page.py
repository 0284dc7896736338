"""The page of one run, in each state and for each kind of person."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.http import Http404
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import Destination, Run, RunProgress, ServiceSettings, Source, Stream
from tests.admin.acting import save_settings
from tests.admin.made_runs import KEY, failed, page_of, text_of, working
from tests.admin.people import staff
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db


def test_working_run_shows_where_it_is(admin_client: Client) -> None:
    text = page_of(admin_client, working())

    for words in (
        f"First copy: above key {KEY} to key 9000",
        "About 20% of an estimated 5,000 rows, about 40 s left",
        "Rows read 1,000",
        "Moved 9.0 MB",
        "Speed now 100 rows/s",
        "Bytes now 2.0 MB/s",
        "Commits 2",
        "reading what changed to come",
    ):
        assert words in text


def test_rows_that_were_there_already_are_told_apart(admin_client: Client) -> None:
    stream = make_stream()
    finished = {"state": RunState.SUCCEEDED, "finished_at": timezone.now()}
    again = make_run(stream, read=2, inserted=1, **finished)
    each_once = make_run(stream, read=2, inserted=1, updated=1, **finished)

    assert "1 row read and left as found at the destination" in page_of(admin_client, again)
    assert "left as found" not in page_of(admin_client, each_once)


def test_nobody_guesses_what_is_left_without_an_estimate(admin_client: Client) -> None:
    run = working(rows_expected=None)
    unknown = working(make_stream("lake"))
    RunProgress.objects.filter(run=unknown).update(rows_before=None)

    assert " left" not in page_of(admin_client, run)
    assert " left" not in page_of(admin_client, unknown)


def test_backfill_shows_how_far_it_is_and_what_it_is_on_every_page(admin_client: Client) -> None:
    run = working(phase=f"backfill up to key {KEY}", trigger="backfill")
    RunProgress.objects.filter(run=run).update(phases=[["open", 1.0], ["backfill", 2.0]])

    assert "About 20% of an estimated 5,000 rows, about 40 s left" in page_of(admin_client, run)
    stream = admin_client.get(url(Stream, "change", run.stream_id)).content.decode()
    assert "Reading a range again: 1,000 rows read of about 5,000 (20%, about 40 s left)" in " ".join(stream.split())
    assert "Its backfill began" in stream
    assert KEY not in stream
    home = " ".join(admin_client.get("/admin/").content.decode().split())
    assert "20%, about 40 s left" in home.replace("\xa0", " ")
    assert "reading a range again" in home
    assert ">backfill</span>" in admin_client.get(url(Run, "changelist")).content.decode()


def test_rows_of_earlier_runs_count_for_what_is_left(admin_client: Client) -> None:
    run = working()
    RunProgress.objects.filter(run=run).update(rows_before=3000)

    assert "About 80% of an estimated 5,000 rows, about 10 s left" in page_of(admin_client, run)


def test_fragment_is_asked_for_until_the_run_has_ended(admin_client: Client) -> None:
    run = working()
    page = admin_client.get(url(Run, "change", run.pk)).content.decode()
    assert f'hx-get="{url_of(run, "live")}" hx-trigger="every 2s [!document.hidden]"' in page

    during = admin_client.get(url_of(run, "live"))
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now(), read=2000)
    after = admin_client.get(url_of(run, "live"))

    assert (during.status_code, after.status_code) == (200, 286)
    assert "run-result" not in during.content.decode()
    last = after.content.decode()
    assert "every 2s" not in last
    assert "every 5s" not in last
    for part in ("run-actions", "run-result", "run-log"):
        assert re.search(rf'id="{part}"[^>]* hx-swap-oob="true"', last)
    assert "Rows read 2,000" in text_of(after)
    assert "Run again" in last


def test_ended_run_shows_casts_columns_commits_and_configuration(admin_client: Client) -> None:
    run = working()
    Run.objects.filter(pk=run.pk).update(
        state=RunState.SUCCEEDED,
        finished_at=timezone.now(),
        counters={"failed_casts.birthday": 12, "inexact_casts.price": 3, "reconnects": 2},
        warnings=["a transaction is open"],
    )

    text = page_of(admin_client, run)

    assert "birthday 12 0 price 0 3" in text
    assert "Times connected anew 2" in text
    assert "Columns that changed colour added" in text
    assert "a transaction is open" in text
    assert re.search(r"2 \S+ \S+ IST 5\.0 s 600 510 7 0 600 B", text)
    assert "table_name orders bookmark updated_at" in text
    assert "every 2s" not in admin_client.get(url(Run, "change", run.pk)).content.decode()


def test_rows_that_could_not_be_cast_are_named_for_who_may_see_keys() -> None:
    run = working()
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, counters={"failed_casts.birthday": 12})
    RunProgress.objects.filter(run=run).update(uncast={"birthday": [KEY]})

    assert f"birthday such as at key {KEY} 12" in page_of(staff("view_run", "view_checkpoint"), run)
    hidden = page_of(staff("view_run", name="bob"), run)
    assert "birthday 12 0" in hidden
    assert "needs the right to see checkpoints" in hidden
    assert KEY not in hidden


def test_error_card_says_side_cause_remedy_and_what_comes(admin_client: Client) -> None:
    run = failed(resume_at=timezone.now() + timedelta(seconds=95), supervised=True)

    text = page_of(admin_client, run)

    assert "One value has no exact form in the destination&#x27;s type." in text
    assert "Where A value of the data" in text
    assert f"row with key {KEY}" in text
    assert "widen the column at the destination" in text
    assert "It goes on by itself , in 1 min" in text.replace("itself,", "itself ,")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "It is not repeated by itself: a command ran it"),
        ({"supervised": True}, "It is not repeated by itself."),
    ],
)
def test_error_card_says_when_nothing_comes(admin_client: Client, fields: dict[str, Any], words: str) -> None:
    assert words in page_of(admin_client, failed(**fields))


def test_runs_that_went_on_are_linked_both_ways(admin_client: Client) -> None:
    stream = make_stream()
    lost = make_run(stream, state=RunState.LOST, finished_at=timezone.now(), reason="its process went silent")
    later = make_run(stream, resumes=lost)

    first = admin_client.get(url(Run, "change", lost.pk)).content.decode()
    second = admin_client.get(url(Run, "change", later.pk)).content.decode()

    assert url(Run, "change", later.pk) in first
    assert url(Run, "change", lost.pk) in second
    assert "its process went silent" in first


@pytest.mark.parametrize("make", [working, failed])
@pytest.mark.parametrize("place", ["page", "live", "log", "log_file"])
def test_keys_need_the_permission_to_see_checkpoints(make: Any, place: str) -> None:
    run = make(request={"from_key": [KEY]})
    viewer, operator = staff("view_run"), staff("view_run", "view_checkpoint", name="bob")
    where = url(Run, "change", run.pk) if place == "page" else url_of(run, place)

    assert KEY not in viewer.get(where).content.decode()
    if place == "page" or (place == "live") == (make is working):
        assert KEY in operator.get(where).content.decode()


def test_viewer_reads_the_class_and_what_it_means() -> None:
    text = page_of(staff("view_run"), failed())

    assert "ValueNotRepresentable" in text
    assert "One value has no exact form" in text
    assert "it needs the permission to see checkpoints" in text


def test_backfills_range_is_kept_from_viewers() -> None:
    run = working(phase=f"backfill up to key {KEY}", request={"from_key": [KEY]})

    assert KEY not in page_of(staff("view_run"), run)
    assert KEY in page_of(staff("view_run", "view_checkpoint", name="bob"), run)


@pytest.mark.parametrize("make", [working, failed])
def test_diagnostics_hold_no_value_whoever_copies_them(admin_client: Client, make: Any) -> None:
    page = admin_client.get(url(Run, "change", make(reason=f"key {KEY}").pk)).content.decode()

    found = re.search(r'<pre id="run-diagnostics"[^>]*>(.*?)</pre>', page, re.S)
    assert found is not None
    assert "mode: syncing" in found[1]
    assert re.search(r"^versions: service \d+\.\d+\S*, python 3\.\d+\S*, django ", found[1], re.M)
    assert ("remedy: " in found[1]) == (make is failed)
    assert KEY not in found[1]


def test_log_is_narrowed_to_a_level(admin_client: Client) -> None:
    run = failed()
    everything, warnings, errors = (
        text_of(admin_client.get(url_of(run, "log"), {"level": level})) for level in ("", "warning", "error")
    )

    assert "started" in everything
    assert "started" not in warnings
    assert "connects anew" in warnings
    assert "connects anew" not in errors
    assert "failed: " in errors
    assert 'id="run-first-error"' in admin_client.get(url_of(run, "log")).content.decode()


def test_log_is_a_text_file_with_all_lines(admin_client: Client) -> None:
    run = failed()
    for number in range(600):
        run.events.create(message=f"line {number}")

    answer = admin_client.get(url_of(run, "log_file"))

    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}.log"'
    lines = answer.content.decode().splitlines()
    assert sum(" INFO    line " in line for line in lines) == 600
    assert any(re.fullmatch(r"[\d-]+ [\d:]+ IST ERROR   failed: .*", line) for line in lines)
    assert "older lines are in the file" in admin_client.get(url_of(run, "log")).content.decode()


@pytest.mark.parametrize("state", list(RunState))
def test_page_opens_in_every_state_with_a_fixed_number_of_queries(
    admin_client: Client, state: RunState, django_assert_max_num_queries: Any
) -> None:
    ended: dict[str, Any] = {} if state.is_active else {"finished_at": timezone.now()}
    begun: dict[str, Any] = {"started_at": None} if state is RunState.QUEUED else {}
    run = make_run(state=state, **ended, **begun)
    for number in range(50):
        run.events.create(message=f"line {number}")
    admin_client.get(url(Run, "change", run.pk))

    with django_assert_max_num_queries(13):
        text = page_of(admin_client, run)

    assert state.value in text


def test_page_needs_its_permission() -> None:
    run = make_run()
    client = staff("view_stream")

    for where in (url(Run, "change", run.pk), *(url_of(run, name) for name in ("live", "log", "log_file"))):
        assert client.get(where).status_code == 403


def test_run_that_is_not_there_is_not_found(admin_client: Client) -> None:
    assert admin_client.get(url(Run, "change", "no-such-run")).status_code == 404


@pytest.mark.parametrize(
    ("error_class", "model"), [("SourceUnavailable", Source), ("DestinationAuthFailed", Destination)]
)
def test_error_card_leads_to_the_end_that_it_came_from(admin_client: Client, error_class: str, model: Any) -> None:
    page = admin_client.get(url(Run, "change", failed(error_class=error_class).pk)).content.decode()

    (end,) = model.objects.all()
    assert url(model, "change", end.pk) in page


def test_list_without_a_run_says_what_leads_to_one(admin_client: Client) -> None:
    assert "There is no run yet" in text_of(admin_client.get(url(Run, "changelist")))
    assert "There is no run yet" not in text_of(admin_client.get(url(Run, "changelist"), {"q": "x"}))


def test_log_writes_a_zone_without_a_name_as_the_page_does(admin_client: Client) -> None:
    save_settings()
    ServiceSettings.objects.update(timezone="Asia/Kathmandu")
    run = failed()

    log = admin_client.get(url_of(run, "log_file")).content.decode()

    assert all(" UTC+05:45 " in line for line in log.splitlines())
    assert " UTC+05:45 " in page_of(admin_client, run)


def test_piece_of_a_run_that_works_brings_no_log_and_reads_none(admin_client: Client) -> None:
    run = working()

    with CaptureQueriesContext(connection) as asked:
        assert admin_client.get(url_of(run, "live")).status_code == 200

    assert not any("migrations_app_runevent" in each["sql"] for each in asked)


def test_run_that_is_deleted_while_it_is_looked_at_is_not_found(rf: RequestFactory) -> None:
    """Between the two looks of one request: by whoever deletes its mapping."""
    run = working()
    run.stream.mapping.delete()
    request = rf.get("/")
    request.user = User(is_superuser=True)

    for row in (run, run.stream):
        pages: Any = admin.site.get_model_admin(type(row))
        with pytest.raises(Http404):
            pages.live(request, row)
