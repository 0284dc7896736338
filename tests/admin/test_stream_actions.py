"""What people do to a stream: done, refused with what to do, by POST, with the permission."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from connectors.base import RunReport
from migrations_app import hosts, runs, starting
from migrations_app.admin.posting import url_of
from migrations_app.enums import StopReason, TriggerKind
from migrations_app.models import AuditEntry, DataCheck, Mapping, Run, Stream
from tests.admin.acting import EDITOR, OPERATOR, VIEWER, person, post, save_settings
from tests.controlplane.builders import make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

ACTIONS = ("run", "stop", "pause", "resume", "retry", "verify", "cancel_check", "backfill")


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream that could run, with a worker that would take its runs."""
    monkeypatch.setenv("DEST_PASSWORD", "x")
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    save_settings()
    hosts.beat("here", "holder", {"slots": 2})
    return make_stream()


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be started as a process of its own."""
    started: list[Any] = []
    monkeypatch.setattr(starting, "_start_process", lambda *args, **options: started.append((args, options)))
    return started


def active(stream: Stream) -> Run:
    run = runs.queue(stream, trigger=TriggerKind.CLI)
    assert runs.claim(run)
    return run


def test_stream_is_run(stream: Stream) -> None:
    said = post(person(*OPERATOR), stream, "run")

    run = Run.objects.get()
    assert (run.state, run.trigger, run.requested_by) == ("queued", "admin", "ann")
    assert "Queued 1 of 1 stream" in said[0]
    assert AuditEntry.objects.get().action == "run"


def test_stream_that_runs_is_not_run_again(stream: Stream) -> None:
    active(stream)

    assert (
        "has a run already, which is running; wait for its end, or stop it" in post(person(*OPERATOR), stream, "run")[0]
    )
    assert Run.objects.count() == 1


def test_stream_that_left_its_mapping_is_not_run(stream: Stream) -> None:
    Stream.objects.update(active=False)
    client = person(*OPERATOR)

    for name in ("run", "verify"):
        assert "put its table or destination back" in post(client, stream, name)[0]
    assert not Run.objects.exists()


def test_what_keeps_a_run_from_starting_is_said(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEST_PASSWORD")

    assert "DEST_PASSWORD is not set" in post(person(*OPERATOR), stream, "run")[0]
    assert not Run.objects.exists()


def test_run_is_stopped(stream: Stream) -> None:
    run = active(stream)

    assert "stops within seconds" in post(person(*OPERATOR), stream, "stop")[0]

    run.refresh_from_db()
    assert run.stop_requested


def test_stream_without_a_run_is_not_stopped(stream: Stream) -> None:
    assert post(person(*OPERATOR), stream, "stop") == [f"{stream} has no run to stop."]
    assert not AuditEntry.objects.exists()


def test_stream_is_paused_and_resumed(stream: Stream) -> None:
    client = person(*OPERATOR)

    assert post(client, stream, "pause") == [f"{stream} is not scheduled any more."]
    assert Stream.objects.get().paused
    assert "is paused already" in post(client, stream, "pause")[0]
    assert post(client, stream, "resume") == [f"{stream} is scheduled again."]
    assert not Stream.objects.get().paused
    assert "is not paused" in post(client, stream, "resume")[0]

    entries = [(entry.action, entry.before, entry.after) for entry in AuditEntry.objects.order_by("id")]
    assert entries == [
        ("pause", {"paused": False}, {"paused": True}),
        ("resume", {"paused": True}, {"paused": False}),
    ]


def test_stream_of_a_disabled_mapping_says_what_to_enable(stream: Stream) -> None:
    Mapping.objects.update(enabled=False)

    assert "its mapping is disabled: enable that" in post(person(*OPERATOR), stream, "resume")[0]


def test_pausing_leaves_a_run_to_its_end(stream: Stream) -> None:
    run = active(stream)

    assert "left to its end" in post(person(*OPERATOR), stream, "pause")[0]
    run.refresh_from_db()
    assert not run.stop_requested


@pytest.mark.parametrize("request_made", [{}, {"backfill": {"from_key": ["1"]}}])
def test_what_ended_badly_is_tried_again_as_it_was(stream: Stream, request_made: dict[str, Any]) -> None:
    trigger = TriggerKind.BACKFILL if request_made else TriggerKind.SCHEDULE
    first = runs.queue(stream, trigger=trigger, request=request_made, allow_deletes=7)
    runs.claim(first)
    runs.fail(first, ValueError(), "it went wrong", RunReport())

    post(person(*OPERATOR), stream, "retry")

    new = Run.objects.exclude(pk=first.pk).get()
    assert (new.state, new.request, new.allow_deletes) == ("queued", request_made, 7)
    assert new.trigger == ("backfill" if request_made else "admin")


def test_what_ended_well_is_not_tried_again(stream: Stream) -> None:
    client = person(*OPERATOR)
    assert "not run yet" in post(client, stream, "retry")[0]
    run = active(stream)
    runs.succeed(run, RunReport())

    assert "did not fail; run it now instead" in post(client, stream, "retry")[0]
    assert Run.objects.count() == 1


def test_stream_that_somebody_stopped_is_tried_again(stream: Stream) -> None:
    runs.stop(active(stream), StopReason.OPERATOR, "an operator stopped it", RunReport())

    assert "Queued run" in post(person(*OPERATOR), stream, "retry")[0]


def test_data_check_is_begun_once(stream: Stream, processes: list[Any]) -> None:
    client = person(*OPERATOR)

    assert "The data check has begun" in post(client, stream, "verify")[0]
    assert "goes on already" in post(client, stream, "verify")[0]

    assert processes == [
        (("shop", ["--table=orders", "--destination=warehouse", "--keep"]), {"command": "verify_migration"})
    ]
    assert DataCheck.objects.get().requested_by == "ann"


def test_data_check_is_cancelled_once(stream: Stream, processes: list[Any]) -> None:
    client = person(*OPERATOR)
    assert "no data check goes on" in post(client, stream, "cancel_check")[0]
    post(client, stream, "verify")

    assert "ends within seconds" in post(client, stream, "cancel_check")[0]

    check = DataCheck.objects.get()
    assert (check.stop_requested, check.stop_requested_by, check.finished_at) == (True, "ann", None)
    assert len(processes) == 1
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["verify", "cancel_check"]
    assert "no data check goes on" in post(client, stream, "cancel_check")[0]


@pytest.mark.parametrize("name", ACTIONS)
def test_looking_does_nothing(stream: Stream, name: str) -> None:
    assert person(*EDITOR).get(url_of(stream, name)).status_code == 405
    assert not Run.objects.exists()
    assert not AuditEntry.objects.exists()
    assert not Stream.objects.get().paused


@pytest.mark.parametrize("name", ACTIONS)
def test_viewer_does_nothing(stream: Stream, name: str) -> None:
    assert person(*VIEWER).post(url_of(stream, name), {"from_key": "1"}).status_code == 403
    assert not Run.objects.exists()
    assert not Stream.objects.get().paused


def test_operator_does_not_reset(stream: Stream) -> None:
    client = person(*OPERATOR)

    assert client.post(url_of(stream, "reset"), {"confirm": str(stream)}).status_code == 403
    assert client.get(url_of(stream, "resetting")).status_code == 403


@pytest.mark.parametrize("permissions", [VIEWER, OPERATOR, EDITOR])
def test_page_offers_what_the_person_may_do(stream: Stream, permissions: tuple[str, ...]) -> None:
    shown = person(*permissions).get(url(Stream, "change", stream.pk)).content.decode()

    assert (url_of(stream, "run") in shown) == ("run_mapping" in permissions)
    assert (url_of(stream, "backfilling") in shown) == ("run_mapping" in permissions)
    assert (url_of(stream, "resetting") in shown) == ("reset_checkpoint" in permissions)


def test_several_are_paused_resumed_and_run_at_a_time(stream: Stream) -> None:
    client = person(*OPERATOR)
    for action, paused in (("pause_all", True), ("resume_all", False)):
        form = {"action": action, "_selected_action": [stream.pk]}
        client.post(url(Stream, "changelist"), form)
        assert Stream.objects.get().paused is paused
    client.post(url(Stream, "changelist"), {"action": "run_now", "_selected_action": [stream.pk]})

    assert Run.objects.get().requested_by == "ann"
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["pause", "resume", "run"]


def test_several_are_nothing_done_to_by_a_viewer(stream: Stream, client: Client) -> None:
    form = {"action": "pause_all", "_selected_action": [stream.pk]}
    person(*VIEWER).post(url(Stream, "changelist"), form)

    assert not Stream.objects.get().paused
