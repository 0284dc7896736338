"""Stop and Retry on a selection of runs: what is said first, what is done, and what is left alone."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from migrations_app import starting
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import AuditEntry, Run, Stream
from migrations_app.streams import ensure_stream
from tests.admin.people import staff
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

LIST = "/admin/migrations_app/run/?state__exact=failed"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[Run]]:
    """Runs that processes were to be started for, in place of the processes."""
    seen: list[list[Run]] = []
    monkeypatch.setattr(starting, "see_to", lambda runs: seen.append(list(runs)))
    monkeypatch.setattr(starting, "check_startable", lambda _mapping: None)
    return seen


def ended(stream: Stream, **fields: Any) -> Run:
    moment = timezone.now()
    return make_run(stream, **({"state": RunState.FAILED, "finished_at": moment, "created_at": moment} | fields))


def asked(client: Client, action: str, *runs: Run, where: str = "") -> str:
    """What the page says that asks before it is done."""
    form = {"action": action, "_selected_action": [run.pk for run in runs]}
    answer = client.post(where or url(Run, "changelist"), form, follow=True)
    return " ".join(unescape(answer.content.decode()).split())


def confirmed(client: Client, page: str) -> str:
    """What is said after the button of that page was pressed."""
    fields = dict(re.findall(r'<input type="hidden" name="(runs|next)" value="([^"]*)"', page))
    action = re.search(r'action="([^"]*/do/[a-z_]+/)"', page)
    assert action is not None, page
    return " ".join(unescape(client.post(action[1], fields, follow=True).content.decode()).split())


def test_runs_are_stopped_once_it_is_confirmed_and_each_is_audited(admin_client: Client) -> None:
    queued = make_run(make_stream("shop"), state=RunState.QUEUED)
    running = make_run(make_stream("lake"), read=1234, plan={"mode": "dumping"})
    done = ended(make_stream("done"), state=RunState.SUCCEEDED)

    page = asked(admin_client, "stop_selected", queued, running, done)

    assert "1 run that works ends within seconds" in page
    assert "1,234 rows read so far" in page
    assert "1 of them takes a snapshot" in page
    assert "1 run in the queue does not begin." in page
    assert "1 run is left alone: ended already." in page
    assert set(Run.objects.filter(stop_requested=False).values_list("state", flat=True)) == {
        "queued",
        "running",
        "succeeded",
    }
    assert "2 runs stop within seconds." in confirmed(admin_client, page)
    queued.refresh_from_db()
    running.refresh_from_db()
    assert (queued.state, running.stop_requested) == ("stopped", True)
    assert [(each.action, each.target_type) for each in AuditEntry.objects.all()] == [("stop", "run")] * 2


def test_one_run_a_stream_is_retried_in_one_process_a_mapping(admin_client: Client, started: list[list[Run]]) -> None:
    shop, lake = make_stream("shop"), make_stream("lake")
    other = ensure_stream(shop.mapping, "table", "customers", shop.destination_name)
    moment = timezone.now()
    old = ended(shop, created_at=moment - timedelta(hours=1))
    new = ended(shop, state=RunState.STOPPED, created_at=moment)
    lost = ended(lake, state=RunState.LOST, allow_deletes=70)
    second = ended(other, trigger="backfill", request={"backfill": {"from_key": ["1"]}})

    page = asked(admin_client, "retry_selected", old, new, lost, second, where=LIST.partition("?")[0])

    assert "3 new runs are queued, one for each stream, of 2 mappings." in page
    assert "1 of them reads the range of a backfill again." in page
    assert "1 of them has approved deletions, 70 rows in all" in page
    assert "1 run is left alone: a newer one of the stream is chosen too." in page
    assert Run.objects.count() == 4
    assert "Queued 3 runs." in confirmed(admin_client, page)
    assert sorted(len(each) for each in started) == [1, 2]
    queued = Run.objects.filter(state=RunState.QUEUED)
    assert sorted((run.stream_id, run.trigger, run.allow_deletes) for run in queued) == sorted(
        [(shop.pk, "admin", None), (other.pk, "backfill", None), (lake.pk, "admin", 70)]
    )
    entries = AuditEntry.objects.filter(action="retry")
    assert {each.target_id for each in entries} == {str(new.pk), str(lost.pk), str(second.pk)}


def test_streams_that_have_recovered_are_counted(admin_client: Client, started: list[list[Run]]) -> None:
    stream = make_stream("shop")
    failed = ended(stream, created_at=timezone.now() - timedelta(hours=1))
    ended(stream, state=RunState.SUCCEEDED)

    page = asked(admin_client, "retry_selected", failed)

    assert "1 of the streams has had a run that succeeded since, and is run all the same." in page
    assert started == []


def test_what_begins_between_page_and_button_is_respected(admin_client: Client, started: list[list[Run]]) -> None:
    shop, lake = make_stream("shop"), make_stream("lake")
    failed, other = ended(shop), ended(lake)
    page = asked(admin_client, "retry_selected", failed, other, where=LIST)
    make_run(shop)

    said = confirmed(admin_client, page)

    assert "Queued 1 run." in said
    assert "1 run is left alone: the stream has a run already." in said
    assert "?state__exact=failed" in page
    assert Run.objects.filter(stream=shop, state__in=["queued", "running"]).count() == 1


def test_nothing_that_can_be_retried_is_said_at_once(admin_client: Client, started: list[list[Run]]) -> None:
    gone = make_stream("gone")
    Stream.objects.filter(pk=gone.pk).update(active=False)
    runs = [ended(make_stream("lake"), state=RunState.SUCCEEDED), ended(gone), make_run(make_stream("busy"))]

    page = asked(admin_client, "retry_selected", *runs)

    assert "1 run is left alone: succeeded." in page
    assert "1 run is left alone: the stream is no longer part of its mapping." in page
    assert "1 run is left alone: not ended yet." in page
    assert "What happens" not in page
    assert started == []


def test_mapping_that_cannot_be_started_says_why(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEST_PASSWORD", raising=False)
    failed = ended(make_stream("shop"))

    said = confirmed(admin_client, asked(admin_client, "retry_selected", failed))

    assert "shop: " in said
    assert "Nothing was done." in said
    assert Run.objects.count() == 1


@pytest.mark.parametrize("runs", ["", "x y", "7"])
def test_address_without_runs_does_nothing(admin_client: Client, runs: str) -> None:
    for name in ("stop_several", "retry_several"):
        page = admin_client.post(url_of(Run, name), {"runs": runs}, follow=True).content.decode()
        assert "Nothing was done: choose runs in the list" in page


@pytest.mark.parametrize("name", ["stop", "retry"])
def test_viewers_are_offered_nothing_and_may_do_nothing(name: str, started: list[list[Run]]) -> None:
    running = make_run(make_stream("shop"))
    failed = ended(make_stream("lake"))
    client = staff("view_run")

    page = client.get(url(Run, "changelist")).content.decode()
    assert "What happens" not in asked(client, f"{name}_selected", running, failed)
    answer = client.post(url_of(Run, f"{name}_several"), {"runs": f"{running.pk} {failed.pk}"})

    running.refresh_from_db()
    assert f"{name}_selected" not in page
    assert answer.status_code == 403
    assert (running.stop_requested, started) == (False, [])
