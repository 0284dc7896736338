"""Changes of columns: put on record when a run ends, and marked as seen by people; nothing about data follows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from connectors.base import RunReport
from connectors.errors import SchemaMismatch
from migrations_app import column_changes, history, runs
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import AuditEntry, ColumnChange, Run, RunProgress, Stream
from tests.admin.acting import OPERATOR, VIEWER, person, post
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db

KEY = "4711"
LEFT = "the source has no column note any more; it stays as it is"


def ended(stream: Stream, *warnings: str, **altered: str) -> Run:
    """A run that has succeeded, as the runner records it."""
    run = queued(stream)
    runs.succeed(run, RunReport(warnings=list(warnings), altered=altered))
    return run


def queued(stream: Stream) -> Run:
    run = make_run(stream, state=RunState.QUEUED, started_at=None)
    assert runs.claim(run)
    return run


def refused(stream: Stream) -> Run:
    run = queued(stream)
    error = SchemaMismatch(f"size fits no more, see key {KEY}", connector="pgsql destination", stream="s")
    runs.fail(run, error, error.message, RunReport())
    return run


def see(client: Client, stream: Stream) -> str:
    return client.get(url(Stream, "change", stream.pk)).content.decode()


def words_of(stream: Stream, **wanted: Any) -> set[str]:
    return set(ColumnChange.objects.filter(stream=stream, **wanted).values_list("words", flat=True))


def test_each_change_is_on_record_once_with_the_run_that_met_it_first() -> None:
    stream = make_stream()
    first = ended(stream, LEFT, "something else", city="added")
    ended(stream, LEFT)
    refused(stream)
    refused(stream)
    again = ended(stream, city="added")

    assert words_of(stream) == {LEFT, "city (added)", f"size fits no more, see key {KEY}"}
    assert ColumnChange.objects.get(words=LEFT).run_id == first.pk
    assert set(ColumnChange.objects.filter(words="city (added)").values_list("run", flat=True)) == {first.pk, again.pk}
    assert [change.is_unseen for change in history.schema_changes(stream)] == [True] * 4


def test_run_that_was_killed_tells_by_what_it_had_recorded() -> None:
    run = queued(make_stream())
    RunProgress.objects.create(run=run, at=timezone.now(), altered={"city": "added"})

    assert runs.lose(run, "killed")

    assert words_of(run.stream) == {"city (added)"}


def test_what_was_seen_does_not_come_back_when_it_is_said_again() -> None:
    stream = make_stream()
    ended(stream, LEFT)
    (row,) = ColumnChange.objects.all()
    assert column_changes.mark_seen(stream, [row.pk], "ann") == [row]
    assert column_changes.mark_seen(stream, [row.pk], "bob") == []

    ended(stream, LEFT)

    assert column_changes.unseen() == []
    (change,) = history.schema_changes(stream)
    assert (change.is_unseen, change.seen_by) == (False, "ann")


def test_operator_marks_changes_as_seen_and_the_log_says_who() -> None:
    stream = make_stream()
    ended(stream, LEFT, city="added")
    refused(stream)
    client = person(*OPERATOR)
    page = see(client, stream)
    assert page.count("not seen yet") == 3
    assert "Mark all as seen" in page
    left = ColumnChange.objects.get(words=LEFT)

    said = post(client, stream, "mark_seen", change=str(left.pk))

    assert said == ["Marked 1 change of columns as seen."]
    assert (ColumnChange.objects.get(words=LEFT).seen_by, len(words_of(stream, seen_at=None))) == ("ann", 2)
    page = see(client, stream)
    assert "Seen by ann" in page
    assert page.count("not seen yet") == 2
    post(client, stream, "mark_seen", change=" ".join(map(str, ColumnChange.objects.values_list("pk", flat=True))))
    assert words_of(stream, seen_at=None) == set()
    entries = AuditEntry.objects.filter(action="mark_seen")
    assert {entry.actor for entry in entries} == {"ann"}
    assert KEY not in str([entry.details for entry in entries])
    assert post(client, stream, "mark_seen", change="1 x") == [
        "Nothing was marked: these changes have been seen already."
    ]


def test_changes_of_another_stream_are_not_marked() -> None:
    stream, other = make_stream(), make_stream("lake")
    ended(other, LEFT)

    post(person(*OPERATOR), stream, "mark_seen", change=str(ColumnChange.objects.get().pk))

    assert words_of(other, seen_at=None) == {LEFT}


def test_viewer_sees_changes_and_marks_none() -> None:
    stream = make_stream()
    run = refused(stream)
    client = person(*VIEWER)

    for page in (see(client, stream), client.get(url(Run, "change", run.pk)).content.decode()):
        assert "not seen yet" in page
        assert "Mark as seen" not in page
        assert KEY not in page
    assert client.post(url_of(stream, "mark_seen"), {"change": "1"}).status_code == 403
    assert ColumnChange.objects.get().seen_at is None


def test_run_that_met_a_change_first_shows_it(admin_client: Client) -> None:
    stream = make_stream()
    run = ended(stream, city="added")
    other = ended(stream)

    assert "Mark as seen" in admin_client.get(url(Run, "change", run.pk)).content.decode()
    assert "Mark as seen" not in admin_client.get(url(Run, "change", other.pk)).content.decode()


def test_home_and_the_list_show_streams_with_unseen_changes_alone(admin_client: Client) -> None:
    seen, unseen, gone = make_stream("seen"), make_stream("unseen"), make_stream("gone")
    for stream in (seen, unseen, gone):
        ended(stream, LEFT)
    ended(unseen, city="added")
    column_changes.mark_seen(seen, list(ColumnChange.objects.values_list("pk", flat=True)), "ann")
    Stream.objects.filter(pk=gone.pk).update(active=False)

    home = " ".join(admin_client.get("/admin/").content.decode().split())
    narrowed: Any = admin_client.get(url(Stream, "changelist"), {"columns": "unseen", "active__exact": "1"})
    everything = admin_client.get(url(Stream, "changelist")).content.decode()

    assert 'Changed columns <span class="dms-faint">(1 stream)' in home
    assert "2 changes that nobody has marked as seen." in home
    assert f"home-changed-{unseen.pk}" in home
    assert [stream.pk for stream in narrowed.context["cl"].result_list] == [unseen.pk]
    assert everything.count("columns changed") == 2


def test_unseen_changes_stay_on_the_page_however_old_they_are() -> None:
    stream = make_stream()
    ended(stream, city="added")
    Run.objects.update(created_at=timezone.now() - timedelta(days=400))
    for _ in range(3):
        ended(stream)
    (row,) = ColumnChange.objects.all()
    Run.objects.filter(pk=row.run_id).update(warnings=[])
    RunProgress.objects.all().delete()

    assert [change.pk for change in history.schema_changes(stream)] == [row.pk]
