"""Actions and pages of an admin class: by which method, for whom, on which row, and what the audit log gets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.test import Client, RequestFactory
from django.urls import path

from migrations_app import audit, hosts
from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.admin.posting import Done, Refused, addresses_of, posted, shown, url_of
from migrations_app.models import AuditEntry, Channel, Mapping, Run, Stream
from tests.admin.acting import save_settings
from tests.admin.people import staff
from tests.controlplane.builders import make_run, make_stream

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class _ChannelAdmin(ReadOnlyAdmin):
    """A class with one of each."""

    @posted("migrations_app.run_mapping")
    def silence(self, request: HttpRequest, channel: Channel) -> Done:
        if channel.problem:
            message = "it is broken; mend it first"
            raise Refused(message)
        Channel.objects.filter(pk=channel.pk).update(failures=7)
        return Done("It is silent.", before={"failures": 0}, after={"failures": 7})

    @posted("migrations_app.run_mapping", confirm=True)
    def forget(self, request: HttpRequest, channel: Channel) -> str:
        channel.delete()
        return "It is forgotten."

    @posted("migrations_app.run_mapping", on_list=True)
    def ring(self, request: HttpRequest) -> str:
        return "It rings."

    @posted("migrations_app.run_mapping", reaches_out=True)
    def call(self, request: HttpRequest, channel: Channel) -> str:
        Channel.objects.filter(pk=channel.pk).update(failures=len(connection.savepoint_ids))
        return "It was called."

    @posted("migrations_app.run_mapping")
    def halve(self, request: HttpRequest, channel: Channel) -> str:
        Channel.objects.filter(pk=channel.pk).update(failures=1)
        message = "only half of it can be done"
        raise Refused(message)

    @shown("migrations_app.view_channel")
    def history(self, request: HttpRequest, channel: Channel) -> HttpResponse:
        return HttpResponse(f"history of {channel}")


_site = admin.AdminSite("admin")
_site.register(Channel, _ChannelAdmin)
urlpatterns = [path("admin/", _site.urls)]
_BASE = "/admin/migrations_app/channel"


@pytest.fixture
def channel() -> Channel:
    return Channel.objects.create(name="slack:#data")


def address(channel: Channel, name: str, kind: str = "do") -> str:
    return f"{_BASE}/slack_3A_23data/{kind}/{name}/"


def test_action_is_done_by_post_and_recorded(channel: Channel) -> None:
    client = staff("run_mapping", "view_channel")

    answer = client.post(address(channel, "silence"), HTTP_X_REQUEST_ID="r-1")

    assert (answer.status_code, Channel.objects.get().failures) == (302, 7)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.action, entry.target_id) == ("ann", "admin", "silence", "slack:#data")
    assert (entry.before, entry.after, entry.request_id) == ({"failures": 0}, {"failures": 7}, "r-1")


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_action_does_nothing_by_another_method(channel: Channel, method: str) -> None:
    client = staff("run_mapping", "view_channel")

    assert getattr(client, method)(address(channel, "silence")).status_code == 405
    assert Channel.objects.get().failures == 0
    assert not AuditEntry.objects.exists()


def test_action_needs_the_token_of_the_form(channel: Channel) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))

    assert client.post(address(channel, "silence")).status_code == 403
    assert Channel.objects.get().failures == 0


@pytest.mark.parametrize("permissions", [(), ("view_channel", "change_channel")])
def test_action_needs_its_permission(channel: Channel, permissions: tuple[str, ...]) -> None:
    assert staff(*permissions).post(address(channel, "silence")).status_code == 403
    assert Channel.objects.get().failures == 0


def test_stranger_is_led_to_the_login(channel: Channel) -> None:
    answer: Any = Client().post(address(channel, "silence"))

    assert answer.status_code == 302
    # The address of the action itself would refuse to be looked at.
    assert answer.headers["Location"] == "/admin/login/?next=/admin/migrations_app/channel/slack_3A_23data/"
    assert [str(message) for message in answer.wsgi_request._messages] == [
        "Nothing was done, as you were signed out. Sign in, then ask for it again."
    ]
    assert Channel.objects.get().failures == 0


@pytest.mark.parametrize(("asked", "led_to"), [("/admin/x/", "/admin/x/"), ("https://evil.example/", f"{_BASE}/")])
def test_stranger_comes_back_to_where_the_action_was_asked_for(asked: str, led_to: str) -> None:
    answer = Client().post(f"{_BASE}/do/ring/", {"next": asked})

    assert answer.headers["Location"] == f"/admin/login/?next={led_to}"


def test_action_on_a_row_that_is_not_there_is_not_found(channel: Channel) -> None:
    assert staff("run_mapping", "view_channel").post(f"{_BASE}/webhook/do/silence/").status_code == 404


def test_refusal_is_told_and_not_recorded(channel: Channel) -> None:
    Channel.objects.update(problem="no such channel")

    answer: Any = staff("run_mapping", "view_channel").post(address(channel, "silence"))

    assert answer.status_code == 302
    assert [str(message) for message in answer.wsgi_request._messages] == ["it is broken; mend it first"]
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("typed", "left"), [("", 1), ("slack", 1), (" slack:#data ", 0)])
def test_confirmed_action_asks_for_the_name(channel: Channel, typed: str, left: int) -> None:
    staff("run_mapping", "view_channel").post(address(channel, "forget"), {"confirm": typed})

    assert Channel.objects.count() == left
    assert AuditEntry.objects.filter(action="forget", target_name="slack:#data").count() == 1 - left


@pytest.mark.parametrize(
    ("asked", "led_to"), [("/admin/x/?y=1", "/admin/x/?y=1"), ("https://evil.example/", f"{_BASE}/"), ("", f"{_BASE}/")]
)
def test_way_back_stays_on_the_site(channel: Channel, asked: str, led_to: str) -> None:
    answer = staff("run_mapping").post(f"{_BASE}/do/ring/", {"next": asked})

    assert answer.headers["Location"] == led_to


def test_fragment_is_led_away_as_a_whole(channel: Channel) -> None:
    answer = staff("run_mapping").post(f"{_BASE}/do/ring/", HTTP_HX_REQUEST="true")

    assert (answer.status_code, answer.headers["HX-Redirect"]) == (200, f"{_BASE}/")


def test_page_is_shown_by_get_alone(channel: Channel) -> None:
    client = staff("view_channel")

    assert client.get(address(channel, "history", "see")).content == b"history of slack:#data"
    assert client.post(address(channel, "history", "see")).status_code == 405


def test_page_needs_its_permission(channel: Channel) -> None:
    assert staff("run_mapping").get(address(channel, "history", "see")).status_code == 403


def test_audit_entry_is_neither_changed_nor_removed(channel: Channel) -> None:
    entry = AuditEntry.objects.create(actor="ann", via="admin", action="run", target_type="channel")

    with pytest.raises(TypeError, match="neither changed nor removed"):
        entry.save()
    with pytest.raises(TypeError, match="neither changed nor removed"):
        entry.delete()
    assert AuditEntry.objects.count() == 1


@pytest.mark.urls("controlplane.urls")
@pytest.mark.parametrize(
    ("word", "tone"), [("succeeded", "dms-good"), ("Late", "dms-warning"), ("lost", "dms-bad"), ("odd", "dms-still")]
)
def test_status_says_it_in_words_and_colour(word: str, tone: str) -> None:
    request = RequestFactory().get("/")
    shown = Template("{% load dms %}{% status word %}").render(RequestContext(request, {"word": word}))

    assert tone in shown
    assert shown.endswith(f"{word}</span>")


@pytest.mark.urls("controlplane.urls")
def test_times_are_shown_in_the_zone_of_the_settings(admin_client: Client) -> None:
    AuditEntry.objects.create(
        actor="ann", via="admin", action="run", target_type="channel", at=datetime(2026, 11, 28, 20, 30, tzinfo=UTC)
    )

    assert "2026-11-29 02:00:00 IST" in admin_client.get("/admin/migrations_app/auditentry/").content.decode()


def test_where_htmx_is_sent_to_is_an_address_whatever_is_asked_for() -> None:
    asked = {"next": f"{_BASE}/\r\nSet-Cookie: a=b"}
    answer = staff("run_mapping").post(f"{_BASE}/do/ring/", asked, HTTP_HX_REQUEST="true")
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"].startswith(f"{_BASE}/%0D%0A")


# --- The action and its entry ------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries cannot be written."""

    def fail(*_: Any, **__: Any) -> None:
        message = "the disk is full"
        raise DatabaseError(message)

    monkeypatch.setattr(audit, "record", fail)


def test_action_without_entry_is_not_done(channel: Channel, full_disk: None) -> None:
    with pytest.raises(DatabaseError, match="the disk is full"):
        staff("run_mapping", "view_channel").post(address(channel, "silence"))

    assert Channel.objects.get().failures == 0


def test_entry_of_what_reaches_out_follows_it_and_no_transaction_waits(channel: Channel, full_disk: None) -> None:
    depth = len(connection.savepoint_ids)

    with pytest.raises(DatabaseError, match="the disk is full"):
        staff("run_mapping", "view_channel").post(address(channel, "call"))

    assert Channel.objects.get().failures == depth


def test_refused_action_leaves_nothing_of_what_it_began(channel: Channel) -> None:
    staff("run_mapping", "view_channel").post(address(channel, "halve"))

    assert Channel.objects.get().failures == 0
    assert not AuditEntry.objects.exists()


#: Actions that ask a source or destination, or start a process. Whatever else is done and entered is one transaction;
#: a new action belongs here only if a transaction would wait for something outside of the control database.
_REACH_OUT = {
    *("mapping run", "mapping verify"),
    *("stream run", "stream verify", "stream backfill", "stream reset"),
}


@pytest.mark.urls("controlplane.urls")
def test_only_these_actions_are_entered_after_they_were_done() -> None:
    import controlplane.urls  # noqa: F401 - registers the pages

    found = {
        f"{model._meta.model_name} {name}"
        for model, model_admin in admin.site._registry.items()
        for name, each in addresses_of(type(model_admin)).items()
        if each.is_post and each.is_audited and not each.is_one
    }

    assert found == _REACH_OUT


@pytest.mark.urls("controlplane.urls")
@pytest.mark.parametrize("name", ["pause", "stop", "retry"])
def test_stream_is_as_it_was_when_the_entry_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, full_disk: None, name: str
) -> None:
    monkeypatch.setenv("DEST_PASSWORD", "x")
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    save_settings()
    hosts.beat("here", "holder", {"slots": 2})
    stream = make_stream()
    run = make_run(stream, state="failed" if name == "retry" else "queued")

    with pytest.raises(DatabaseError, match="the disk is full"):
        staff("run_mapping", "view_stream").post(url_of(stream, name))

    assert not Stream.objects.get().paused
    assert list(Run.objects.values_list("pk", "state")) == [(run.pk, run.state)]


@pytest.mark.urls("controlplane.urls")
@pytest.mark.parametrize(("model", "action"), [("stream", "pause_all"), ("mapping", "pause"), ("run", "")])
def test_selected_rows_are_as_they_were_when_the_entry_cannot_be_written(
    admin_client: Client, full_disk: None, model: str, action: str
) -> None:
    run = make_run(make_stream(), state="queued")
    chosen = {"stream": run.stream.pk, "mapping": run.stream.mapping_id, "run": run.pk}[model]

    where = f"/admin/migrations_app/{model}/" if action else url_of(Run, "stop_several")

    with pytest.raises(DatabaseError, match="the disk is full"):
        admin_client.post(where, {"action": action, "_selected_action": [chosen], "runs": str(chosen)})

    assert not Stream.objects.get().paused
    assert Mapping.objects.get().enabled
    assert Run.objects.get().state == "queued"
