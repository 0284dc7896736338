"""The home page tells what there is, to those who may see it, and leads on from a new installation."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from migrations_app.enums import RunState
from migrations_app.models import Checkpoint, Heartbeat, Mapping, Run, RunProgress, Stream, StreamSchedule, StreamTotals
from migrations_app.monitoring.history import OUTCOMES
from tests.admin.many import LONG_MAPPING, LONG_TABLE, Size, make_many
from tests.controlplane.builders import make_run, make_stream
from tests.notify.conftest import save_settings
from tests.scheduling.builders import turn_on

pytestmark = pytest.mark.django_db

HOME = "/admin/"
NOW = reverse("admin:migrations_app_heartbeat_see_now")
OUTLOOK = reverse("admin:migrations_app_heartbeat_see_outlook")
CHARTS = reverse("admin:migrations_app_heartbeat_see_charts")
PIECES = (NOW, OUTLOOK, CHARTS)


def text_of(client: Client, address: str = HOME) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def user_with(*permissions: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def chart(client: Client, title: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(client.get(HOME).context["history"])[title]["chart"]
    return found


def bars(found: dict[str, Any]) -> dict[str, list[float]]:
    return {each["label"]: each["data"] for each in json.loads(found["data"])["datasets"]}


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Editor", "Connection admin", "Admin"])
def test_every_role_sees_runs_and_streams(client: Client, role: str) -> None:
    user = user_with()
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    run = make_run(phase="copy", read=10)

    page = text_of(client)

    assert run.stream.unique_id in page
    assert "Runs of the last 14 days" in page
    assert text_of(client, NOW).count(run.stream.unique_id)
    assert "Coming up next" in text_of(client, OUTLOOK)


@pytest.mark.parametrize("permissions", [(), ("view_run",), ("view_stream",)])
def test_account_without_a_role_is_told_to_ask_for_one(client: Client, permissions: tuple[str, ...]) -> None:
    client.force_login(user_with(*permissions))
    stream = make_run().stream

    page = text_of(client)

    assert "Ask an administrator for a role" in page
    assert stream.unique_id not in page
    assert [client.get(address).status_code for address in PIECES] == [403] * 3


def test_nobody_sees_anything_without_signing_in(client: Client) -> None:
    assert [client.get(address).status_code for address in (HOME, *PIECES)] == [302] * 4


def test_pieces_only_show(admin_client: Client) -> None:
    assert [admin_client.post(address).status_code for address in PIECES] == [405] * 3


def test_charts_hold_what_ended(admin_client: Client) -> None:
    turn_on("Asia/Kolkata")
    stream, moment = make_stream(), timezone.now()
    for state, count in ((RunState.SUCCEEDED, 3), (RunState.FAILED, 2), (RunState.STOPPED, 1), (RunState.LOST, 1)):
        for _ in range(count):
            make_run(stream, state=state, finished_at=moment, inserted=100, byte_count=2_000_000)
    make_run(
        stream, state=RunState.SUCCEEDED, finished_at=moment - timedelta(days=3), updated=5, byte_count=1_000_000_000
    )

    days = bars(chart(admin_client, "Runs of the last 14 days"))
    assert {word: (values[-1], values[-4]) for word, values in days.items()} == {
        "Succeeded": (3, 1),
        "Stopped": (1, 0),
        "Failed": (2, 0),
        "Lost": (1, 0),
    }
    assert sum(sum(values) for values in bars(chart(admin_client, "Runs of the last 24 hours")).values()) == 7
    assert bars(chart(admin_client, "Rows written"))["Rows"][-4:] == [5, 0, 0, 700]
    page = text_of(admin_client)
    assert "705 rows in 14 days" in page
    assert "1.0 GB in 14 days" in page
    assert ", IST" in chart(admin_client, "Rows written")["label"]


def test_figures_of_a_chart_are_a_table_too(admin_client: Client) -> None:
    turn_on("Asia/Kolkata")
    make_run(state=RunState.SUCCEEDED, finished_at=timezone.now(), inserted=1234, byte_count=5_600_000)

    rows, moved = chart(admin_client, "Rows written"), chart(admin_client, "Bytes moved")

    assert (rows["columns"], rows["rows"][-1][1]) == (["Day", "Rows"], "1,234")
    assert moved["rows"][-1][1] == "5.6 MB"
    assert len(rows["rows"]) == 14
    assert '<th scope="row">' in text_of(admin_client)


def test_charts_are_sent_again_only_when_they_have_changed(admin_client: Client) -> None:
    turn_on("Asia/Kolkata")
    stream = make_stream()
    make_run(stream, state=RunState.SUCCEEDED, finished_at=timezone.now(), inserted=1234)

    def mark_of(text: str) -> str:
        (found,) = re.findall(r'data-mark="([0-9a-f]+)"', text)
        return str(found)

    mark = mark_of(text_of(admin_client))
    # An hour may have begun between the two.
    mark = (
        mark
        if (same := admin_client.get(CHARTS, {"seen": mark})).status_code == 204
        else mark_of(text_of(admin_client))
    )
    assert admin_client.get(CHARTS, {"seen": mark}).status_code == 204
    assert "no-store" in same["Cache-Control"]

    make_run(stream, state=RunState.FAILED, finished_at=timezone.now())
    answer = admin_client.get(CHARTS, {"seen": mark})
    assert answer.status_code == 200
    assert "1 failed" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert mark_of(answer.content.decode()) != mark


def test_chart_of_nothing_is_there_and_hidden(admin_client: Client) -> None:
    make_stream()

    page = text_of(admin_client)

    assert page.count('<div class="home-drawn" hidden>') == 4, "a chart that gets its first figures need not be made"
    assert "No run has ended in this time." in page


def test_every_outcome_has_its_colour_in_light_and_dark() -> None:
    path = finders.find("dms/dms.css")
    assert isinstance(path, str)
    styles = Path(path).read_text(encoding="utf-8")

    for outcome in OUTCOMES:
        assert len(re.findall(rf"--dms-chart-{outcome}: #", styles)) == 2


def test_piece_asks_often_while_something_runs_and_seldom_else(admin_client: Client) -> None:
    assert 'hx-trigger="every 30s [!document.hidden]"' in text_of(admin_client, NOW)

    run = make_run(state=RunState.QUEUED, started_at=None)
    assert 'hx-trigger="every 3s [!document.hidden]"' in text_of(admin_client, NOW)

    Run.objects.filter(pk=run.pk).update(state=RunState.STOPPED, finished_at=timezone.now())
    answer = admin_client.get(NOW)
    assert 'hx-trigger="every 30s' in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]


def test_run_shows_how_far_it_is(admin_client: Client) -> None:
    now = timezone.now()
    run = make_run(started_at=now - timedelta(seconds=100), phase="copy", read=1000, rows_expected=4000)
    RunProgress.objects.create(run=run, at=now, rows_before=0, rows_per_s=20.0)

    piece = text_of(admin_client, NOW)

    assert 'aria-valuenow="25"' in piece
    assert re.search(r"first copy, for 1 min 4\d s: 1,000 rows, 20 rows/s", piece)
    assert "25%, about 2 min 30 s left" in piece


def test_queue_without_a_worker_is_said(admin_client: Client) -> None:
    make_run(state=RunState.QUEUED, started_at=None)

    assert "Nothing runs; 1 waits for a worker." in text_of(admin_client, NOW)


def test_health_says_what_to_do(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")
    save_settings(fastapi_server=True)
    Heartbeat.objects.create(name="tick", at=timezone.now() - timedelta(minutes=10))

    page = text_of(admin_client)

    assert re.search(r"its last sign of life is 10 min \d+ s old; restart the workers", page)
    assert "none is up; start one: ./run worker" in page


def test_failing_and_late_come_with_reason_and_way_to_all_of_them(admin_client: Client) -> None:
    turn_on()
    make_many(Size(streams=60, runs=60, running=0, queued=0, failing=25, late=3))

    piece = text_of(admin_client, OUTLOOK)

    failing = piece.partition('id="home-FAILING"')[2].partition("</section>")[0]
    assert failing.count("<li>") == 5, "the others are behind the link, so that what runs now is not far below"
    assert "runs failed in a row" in failing
    assert 'standing=failing">All 25</a>' in failing
    assert piece.count('hx-swap-oob="true"') == 2, "the counts and what needs somebody are brought along"


def test_what_needs_somebody_stands_between_the_health_strip_and_what_runs(admin_client: Client) -> None:
    turn_on()
    make_many(Size(streams=10, runs=10, running=1, queued=0, failing=1))

    page = text_of(admin_client)

    places = ["home-health", "home-FAILING", "home-now", "home-history", "home-outlook"]
    found = [page.index(f'id="{place}"') for place in places]
    assert found == sorted(found)
    assert "hx-swap-oob" not in page
    assert '<section id="home-health" aria-labelledby="home-health-name" hx-swap-oob="true">' in text_of(
        admin_client, NOW
    )


def test_long_names_are_cut_with_the_whole_name_at_hand(admin_client: Client) -> None:
    make_many(Size(streams=2, runs=0, running=2, queued=0))

    piece = text_of(admin_client, NOW)

    whole = f"{LONG_MAPPING}_DMS_{LONG_TABLE}_warehouse"
    assert re.search(rf'class="dms-cut" title="{re.escape(whole)}"', piece)


def test_more_runs_than_are_shown_are_counted_and_linked(admin_client: Client) -> None:
    make_many(Size(streams=15, runs=0, running=15, queued=0, mappings=3))

    piece = text_of(admin_client, NOW)

    assert piece.count('id="home-run-') == 10
    assert "All 15 that run" in piece


def test_names_are_escaped(admin_client: Client) -> None:
    stream = make_stream()
    Stream.objects.filter(pk=stream.pk).update(unique_id='"><script>alert(1)</script>')
    make_run(stream)

    assert "<script>alert(1)" not in text_of(admin_client)


def test_coming_up_next_is_in_the_time_zone_of_the_settings(admin_client: Client) -> None:
    turn_on("Asia/Kolkata")
    due = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=5)
    StreamSchedule.objects.create(stream=make_stream(), cron="* * * * * * 0 0", next_due_at=due)

    assert f"{due + timedelta(hours=5, minutes=30):%H:%M:%S} IST" in text_of(admin_client)


def test_oldest_data_is_told_with_its_stream(admin_client: Client) -> None:
    turn_on("Asia/Kolkata")
    stream = make_stream()
    position = {"phase": "follow", "watermark": "2026-11-28T11:10:05+00:00"}
    Checkpoint.objects.create(stream=stream, position=position, epoch=1)

    piece = text_of(admin_client, OUTLOOK)

    assert (
        f'href="{reverse("admin:migrations_app_stream_change", args=(stream.pk,))}">{stream.unique_id}</a> of' in piece
    )
    assert "2026-11-28 16:40:05 IST" in piece


def test_schedules_that_are_off_are_said_to_be(admin_client: Client) -> None:
    make_stream()

    page = text_of(admin_client)

    assert 'servicesettings/">Schedule jobs</a> is off in the service settings: nothing runs unless somebody' in page
    assert "fastapi_server" not in page
    scheduler = page.partition('id="home-check-scheduler"')[2].partition("</li>")[0]
    assert 'class="dms-status dms-still"' in scheduler
    assert "Off" in scheduler
    assert "OK" not in scheduler


def open_steps(client: Client) -> list[str]:
    return [each["step"].name for each in client.get(HOME).context["steps"] if not each["step"].is_done]


def test_new_installation_shows_the_next_step_until_rows_have_arrived(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = text_of(admin_client)
    link = reverse("admin:migrations_app_servicesettings_changelist")
    assert f'<a class="dms-button dms-button-primary" href="{link}">Set the service settings</a>' in page
    assert page.count("dms-button-primary") == 1, "one action at a time"
    assert "Runs of the last 14 days" not in page

    monkeypatch.setenv("MONGO_URL", "mongodb://127.0.0.1:1")
    save_settings()
    assert open_steps(admin_client)[0] == "Add a source"
    stream = make_stream()
    assert open_steps(admin_client) == ["Run it"]
    assert "Runs of the last 14 days" in text_of(admin_client)
    StreamTotals.objects.create(stream=stream, last_state="succeeded", last_success_at=timezone.now())
    assert open_steps(admin_client) == []
    assert "First steps" not in text_of(admin_client)


def test_step_that_one_may_not_do_has_no_button(client: Client) -> None:
    client.force_login(user_with("view_run", "view_stream"))

    page = text_of(client)

    assert "Set the service settings" in page
    assert "dms-button-primary" not in page


def test_home_is_there_with_a_mapping_without_streams(admin_client: Client) -> None:
    make_stream()
    Stream.objects.all().delete()

    assert "Define a mapping" in text_of(admin_client)


def queries_of(client: Client, address: str) -> int:
    # Once before: what a session loads, such as permissions, later requests have at hand.
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        text_of(client, address)
    return len(queries)


def test_queries_do_not_grow_with_streams_and_runs(admin_client: Client) -> None:
    turn_on()
    counts = []
    for streams in (10, 1000):
        Mapping.objects.all().delete()
        tenth = streams // 10
        active = {"running": tenth, "queued": tenth}
        make_many(Size(streams, 2 * streams, mappings=10, failing=tenth, late=tenth, paused=tenth, **active))
        counts.append([queries_of(admin_client, address) for address in (HOME, *PIECES)])

    assert counts[0] == counts[1]
    assert max(counts[0]) <= 25


def test_every_link_leads_to_a_page(admin_client: Client) -> None:
    turn_on()
    make_many(Size(streams=40, runs=2400, running=12, queued=1, failing=22, late=2))
    links = set(re.findall(r'<a [^>]*href="(/admin/migrations_app/[^"]+)"', text_of(admin_client)))
    lists = {link.replace("&amp;", "&") for link in links if "?" in link}

    assert len(lists) > 8
    for link in lists:
        # A filter that the list does not know would lead elsewhere.
        assert admin_client.get(link).status_code == 200, link
    stopped = next(link for link in lists if "state__exact=stopped" in link)
    assert {run.state for run in admin_client.get(stopped).context["cl"].result_list} == {RunState.STOPPED}
    failing = next(link for link in lists if "standing=failing" in link)
    assert admin_client.get(failing).context["cl"].result_count == 22
