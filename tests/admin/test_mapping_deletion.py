"""Deleting a mapping on the pages: what goes with it is counted, and one that runs stays."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from migrations_app.enums import RunState
from migrations_app.models import AuditEntry, Mapping, Run, RunEvent, Stream
from tests.admin.made_runs import failed, text_of
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

_MAPPINGS = "/admin/migrations_app/mapping/"


def _ended(stream: Stream, count: int) -> None:
    for _ in range(count):
        make_run(stream, state=RunState.SUCCEEDED).events.create(message="succeeded")


def test_page_counts_the_runs_and_neither_reads_nor_names_them(admin_client: Client) -> None:
    stream = make_stream()
    page = url(Mapping, "delete", stream.mapping_id)
    _ended(stream, 1)
    admin_client.get(page)
    with CaptureQueriesContext(connection) as of_one:
        admin_client.get(page)
    _ended(stream, 30)

    with CaptureQueriesContext(connection) as of_many:
        answer = admin_client.get(page)

    assert len(of_many) == len(of_one)
    assert "Streams: 1 Runs, with their logs: 31" in text_of(answer)
    assert str(Run.objects.earliest("created_at").pk) not in answer.content.decode()


def test_mapping_goes_with_its_streams_runs_and_logs(admin_client: Client) -> None:
    run = failed()
    mapping = run.stream.mapping

    answer = admin_client.post(url(Mapping, "delete", mapping.pk), {"post": "yes"})

    assert answer["Location"] == _MAPPINGS
    assert not any(model.objects.exists() for model in (Mapping, Stream, Run, RunEvent))
    assert AuditEntry.objects.get().action == "delete"


def test_mapping_that_runs_stays_with_the_reason(admin_client: Client) -> None:
    run = make_run(state=RunState.RUNNING)
    mapping = run.stream.mapping

    one = admin_client.post(url(Mapping, "delete", mapping.pk), {"post": "yes"})
    selected = {"action": "delete_selected", "_selected_action": [mapping.pk], "post": "yes"}
    several = admin_client.post(_MAPPINGS, selected)

    reason = f"a run of {run.stream.unique_id}, which is running; wait for its end, or stop it"
    assert reason in text_of(one)
    assert reason in text_of(several)
    assert Mapping.objects.filter(pk=mapping.pk).exists()


def test_mapping_that_is_kept_elsewhere_is_deleted_with_no_other(admin_client: Client) -> None:
    mine, theirs = make_stream().mapping, make_stream("lake").mapping
    Mapping.objects.filter(pk=theirs.pk).update(managed_by="git")

    selected = {"action": "delete_selected", "_selected_action": [mine.pk, theirs.pk], "post": "yes"}
    answer = admin_client.post(_MAPPINGS, selected)

    assert answer.status_code == 403
    assert Mapping.objects.count() == 2
