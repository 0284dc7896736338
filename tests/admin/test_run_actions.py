"""What can be done with a run on its page: stop, retry, approve deletions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from migrations_app import starting
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import AuditEntry, Run, Stream
from tests.admin.made_runs import failed, page_of, working
from tests.admin.people import staff
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Runs that a process was to be started for, in place of the process."""
    seen: list[Any] = []
    monkeypatch.setattr(starting, "see_to", seen.extend)
    return seen


def test_run_is_stopped_once(admin_client: Client) -> None:
    run = working()

    admin_client.post(url_of(run, "stop"))
    run.refresh_from_db()
    assert run.stop_requested
    assert "It was asked to stop" in page_of(admin_client, run)

    ended = failed(make_stream("lake"))
    answer = admin_client.post(url_of(ended, "stop"), follow=True)
    assert "has ended already" in answer.content.decode()
    assert AuditEntry.objects.count() == 1


def test_retry_queues_a_run_and_goes_to_it(admin_client: Client, started: list[Run]) -> None:
    run = failed(allow_deletes=5)

    answer = admin_client.post(url_of(run, "retry"))

    (new,) = started
    assert answer["Location"] == url(Run, "change", new.pk)
    assert (new.stream_id, new.allow_deletes, new.requested_by, new.trigger) == (run.stream_id, 5, "admin", "admin")
    assert AuditEntry.objects.get().details == {"run": str(new.pk)}


def test_retry_is_refused_while_another_run_is_active(admin_client: Client, started: list[Run]) -> None:
    run = failed()
    make_run(run.stream)

    assert "Nothing was queued" in admin_client.post(url_of(run, "retry"), follow=True).content.decode()
    assert started == []


def test_stream_that_left_its_mapping_is_not_retried(admin_client: Client, started: list[Run]) -> None:
    run = failed()
    Stream.objects.update(active=False)

    assert "no longer part" in admin_client.post(url_of(run, "retry"), follow=True).content.decode()
    assert started == []


def test_deletions_are_approved_for_one_run(admin_client: Client, started: list[Run]) -> None:
    run = failed(error_class="DeleteRefused", reason="it would delete 120 of 130 rows")
    assert "Rows that may be deleted" in page_of(admin_client, run)

    for wrong in ("", "-1", "many", "0", "9" * 5000):
        admin_client.post(url_of(run, "approve_deletes"), {"allow_deletes": wrong})
    assert started == []
    admin_client.post(url_of(run, "approve_deletes"), {"allow_deletes": "120"})

    (new,) = started
    assert (new.allow_deletes, new.trigger) == (120, "admin")
    assert AuditEntry.objects.get().details == {"run": str(new.pk), "allow_deletes": 120}


@pytest.mark.parametrize("action", ["stop", "retry", "approve_deletes"])
def test_actions_need_their_permission_and_are_not_shown_without(action: str, started: list[Run]) -> None:
    run = working() if action == "stop" else failed(error_class="DeleteRefused")
    client = staff("view_run", "view_checkpoint")

    assert url_of(run, action) not in client.get(url(Run, "change", run.pk)).content.decode()
    assert client.post(url_of(run, action), {"allow_deletes": "5"}).status_code == 403
    run.refresh_from_db()
    assert (run.stop_requested, started) == (False, [])


def test_stop_ends_a_run_whose_process_is_silent_where_no_worker_would(admin_client: Client) -> None:
    run = working(stop_requested=True, lease_until=timezone.now() - timedelta(minutes=3))
    page = admin_client.get(url(Run, "change", run.pk)).content.decode()
    assert "Stop does so at once" in page
    assert url_of(run, "stop") in page

    answer = admin_client.post(url_of(run, "stop"), follow=True).content.decode()

    assert "the run has ended, and is recorded as lost" in answer
    run.refresh_from_db()
    assert (run.state, run.resume_at) == (RunState.LOST, None)


def test_stop_leaves_a_run_that_is_alive_to_its_process(admin_client: Client) -> None:
    run = working(lease_until=timezone.now() + timedelta(minutes=1))

    answer = admin_client.post(url_of(run, "stop"), follow=True).content.decode()

    assert "stops within seconds, at its last commit" in answer
    run.refresh_from_db()
    assert (run.state, run.stop_requested) == (RunState.RUNNING, True)
