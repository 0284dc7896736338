"""What pages tell by other ways than showing it: filters that somebody writes into an address, the API, the audit."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from migrations_app import audit
from migrations_app.audit import Actor
from migrations_app.enums import Door, EventLevel, OutboxKind, RoleName, RunState
from migrations_app.models import AuditEntry, Mapping, OutboxEntry, Run, Source, Stream
from tests.admin.people import signed_in, staff
from tests.controlplane.builders import make_run, raw_mapping
from tests.controlplane.pages import save_mapping, url

pytestmark = pytest.mark.django_db

KEY = "key (4711)"


@pytest.fixture
def failed() -> Run:
    """A run whose error names a key, as its request and its log do."""
    asked = {"selection": {"from_key": ["4711"], "to_key": None, "since": None, "until": None}}
    told: dict[str, Any] = {"reason": KEY, "error_message": KEY, "trace": KEY, "error_class": "ValueNotRepresentable"}
    run = make_run(state=RunState.FAILED, request=asked, **told)
    run.events.create(level=EventLevel.ERROR, message=f"failed: {KEY}")
    OutboxEntry.objects.create(kind=OutboxKind.LAST_RECORD, key="a", sequence=1, payload={"record_id": "4711"})
    audit.record(Actor("ann", Door.API), "backfill", run.stream.mapping, details={"from_key": "4711"})
    return run


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (Run, "reason__startswith"),
        (Run, "error_message__contains"),
        (Run, "trace__contains"),
        (Run, "request__selection__from_key__0"),
        (OutboxEntry, "payload__record_id__startswith"),
        (Source, "secrets__password__startswith"),
        (Mapping, "secrets__startswith"),
    ],
)
def test_list_is_not_narrowed_by_what_its_rows_do_not_show(failed: Run, model: Any, asked: str) -> None:
    viewer = signed_in(RoleName.VIEWER)
    assert viewer.get(url(model, "changelist")).status_code == 200
    assert viewer.get(url(model, "changelist"), {asked: "4"}).status_code == 400


def test_audit_log_is_not_narrowed_by_keys(failed: Run) -> None:
    auditor = staff("view_auditentry")
    assert auditor.get(url(AuditEntry, "changelist"), {"details__from_key": '"4711"'}).status_code == 400


def test_filters_narrow_their_lists(failed: Run) -> None:
    admin = signed_in(RoleName.ADMIN)
    stream = failed.stream
    for model, asked in (
        (Run, {"state__exact": "failed", "error_class": "any", "since": "2020-01-01T00:00", "trigger__exact": "cli"}),
        (Run, {"stream__id__exact": str(stream.pk), "stream__mapping__id__exact": stream.mapping_id}),
        (Mapping, {"standing": "failing", "enabled__exact": "1"}),
        (AuditEntry, {"actor": "ann", "via__exact": "api", "at__year": "2026"}),
        (OutboxEntry, {"delivered_at__isempty": "1", "kind__exact": "last_record"}),
    ):
        assert admin.get(url(model, "changelist"), asked).status_code == 200, (model, asked)
    assert admin.get(reverse("admin:auth_user_changelist"), {"groups__id__exact": "1"}).status_code == 200


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "-1", "1e9"])
def test_numbers_that_no_row_has_lead_back_to_the_list(failed: Run, number: str) -> None:
    admin = signed_in(RoleName.ADMIN)
    for model, asked in (
        *((Mapping, "source"), (Mapping, "destination"), (Stream, "source"), (Stream, "destination")),
        *((Source, "pk__in"), (AuditEntry, "at__year"), (Run, "stream__id__exact")),
    ):
        assert admin.get(url(model, "changelist"), {asked: number}).status_code in {200, 302}, (model, asked)
    assert admin.get(url(Stream, "change", number)).status_code == 404
    for model, action in ((Run, "stop_selected"), (Stream, "pause_all"), (Source, "delete_selected")):
        answer = admin.post(url(model, "changelist"), {"action": action, "_selected_action": [number]})
        assert answer.status_code in {200, 302}, model


@pytest.mark.parametrize("model", [Run, Mapping, Stream, Source, AuditEntry, OutboxEntry])
def test_search_for_very_many_words_is_answered(failed: Run, model: Any) -> None:
    assert signed_in(RoleName.ADMIN).get(url(model, "changelist"), {"q": "a " * 2000}).status_code == 200


@pytest.mark.parametrize(("role", "sees"), [(RoleName.VIEWER, False), (RoleName.OPERATOR, True)])
def test_api_tells_a_person_what_the_pages_tell(failed: Run, role: RoleName, sees: bool) -> None:
    person = signed_in(role)
    for path in ("runs", f"runs/{failed.pk}", f"runs/{failed.pk}/logs", f"triggers/{failed.trigger_id}"):
        answer = person.get(f"/api/v1/{path}")
        assert answer.status_code == 200, path
        assert (KEY in answer.content.decode()) is sees, path


@pytest.mark.parametrize(("role", "status"), [(RoleName.VIEWER, 403), (RoleName.OPERATOR, 404)])
def test_source_is_asked_by_the_api_for_people_who_may_test_it(role: RoleName, status: int) -> None:
    assert signed_in(role).get("/api/v1/sources/none/catalog").status_code == status


@pytest.mark.parametrize(("more", "status"), [((), 403), (("delete_source", "delete_destination"), 409)])
def test_api_deletes_for_people_who_may_delete(more: tuple[str, ...], status: int) -> None:
    name = save_mapping().source.name
    ends = ("source", "destination")
    person = staff(*(f"{verb}_{end}" for verb in ("view", "add", "change") for end in ends), *more)

    # It is used by a mapping, and stays for that reason.
    assert person.delete(f"/api/v1/sources/{name}").status_code == status


@pytest.mark.parametrize(("role", "status"), [(RoleName.EDITOR, 403), (RoleName.ADMIN, 200)])
def test_document_of_a_mapping_is_put_by_who_may_change_its_ends(role: RoleName, status: int) -> None:
    source = save_mapping().source
    document = raw_mapping()
    document["source"] |= {"url": "elsewhere.example", "password": "other"}
    answer = signed_in(role).put("/api/v1/mappings/shop?allow=destructive", document, content_type="application/json")

    assert answer.status_code == status, answer.content
    source.refresh_from_db()
    assert (source.config["url"] == "elsewhere.example") is (status == 200)


@pytest.mark.parametrize(("more", "sees"), [((), False), (("view_checkpoint",), True)])
def test_audit_on_a_mappings_page_hides_keys(failed: Run, more: tuple[str, ...], sees: bool) -> None:
    client: Client = staff("view_mapping", "view_auditentry", *more)
    text = client.get(reverse("admin:migrations_app_mapping_see_overview", args=("shop",))).content.decode()
    assert "from_key" in text
    assert ("4711" in text) is sees
