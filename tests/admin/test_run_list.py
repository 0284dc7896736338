"""The list of runs: what it says, what it can be narrowed to, and what it costs."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app.admin.run_columns import against_usual
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Run, Stream
from tests.admin.people import staff
from tests.admin.test_durations import took
from tests.controlplane.builders import make_run, make_stream
from tests.controlplane.pages import url

pytestmark = pytest.mark.django_db


def ended(stream: Stream, **fields: Any) -> Run:
    moment = timezone.now()
    return make_run(stream, **({"state": RunState.SUCCEEDED, "finished_at": moment, "created_at": moment} | fields))


def shown(client: Client, **query: Any) -> set[str]:
    """Beginnings of the ids of the runs on the page."""
    answer = client.get(url(Run, "changelist"), query)
    assert answer.status_code == 200, answer
    return set(re.findall(r'<code class="dms-typed">([0-9a-f]{8})</code>', answer.content.decode()))


def short(*runs: Run) -> set[str]:
    return {str(run.pk)[:8] for run in runs}


def text_of(client: Client) -> str:
    page = client.get(url(Run, "changelist")).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_run_that_waits_is_not_said_to_have_started(admin_client: Client) -> None:
    run = make_run(state=RunState.QUEUED, started_at=None, created_at=timezone.now() - timedelta(minutes=7))
    assert "asked for 7 min ago" in text_of(admin_client)

    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, started_at=timezone.now() - timedelta(minutes=3))
    assert "asked for" not in text_of(admin_client)


def test_row_says_state_stream_origin_rows_and_size(admin_client: Client) -> None:
    ended(
        make_stream(),
        read=4321,
        inserted=1200,
        deleted=3,
        byte_count=5_000_000,
        requested_by="mia",
        trigger=TriggerKind.ADMIN,
        attempt=2,
    )

    text = text_of(admin_client)

    assert "succeeded" in text
    assert "orders shop to warehouse" in text
    assert "admin, mia, attempt 3" in text
    assert "4,321 read, 5.0 MB 1,200 inserted, 3 deleted" in text


def test_duration_is_told_against_the_median(admin_client: Client) -> None:
    stream = make_stream()
    took(stream, 41, 41, 41)
    began = timezone.now()
    ended(stream, started_at=began, finished_at=began + timedelta(seconds=86))

    assert "1 min 26 s 2.1x the median of 41 s" in text_of(admin_client)


def test_without_a_median_nothing_is_compared() -> None:
    assert against_usual(5.0, None) == ""
    assert against_usual(5.0, 0.0) == ""
    assert against_usual(20.5, 41.0) == "0.5x the median of 41 s"
    assert against_usual(1.0, 41.0) == "under 0.1x the median of 41 s"


def test_filters_narrow_the_list(admin_client: Client) -> None:
    shop, lake = make_stream("shop"), make_stream("lake")
    lost = ended(shop, state=RunState.LOST)
    refused = ended(shop, state=RunState.FAILED, error_class="SourceAuthFailed")
    strange = ended(lake, state=RunState.FAILED, error_class="KeyError", trigger=TriggerKind.SCHEDULE)

    assert shown(admin_client) == short(lost, refused, strange)
    assert shown(admin_client, state__exact="lost") == short(lost)
    assert shown(admin_client, stream__mapping__id__exact="lake") == short(strange)
    assert shown(admin_client, stream__id__exact=shop.pk) == short(lost, refused)
    assert shown(admin_client, stream__mapping__source__id__exact=lake.mapping.source_id) == short(strange)
    assert shown(admin_client, trigger__exact="schedule") == short(strange)
    assert shown(admin_client, error_class="any") == short(refused, strange)
    assert shown(admin_client, error_class="SourceAuthFailed") == short(refused)
    assert shown(admin_client, error_class="other") == short(strange)
    assert shown(admin_client, stream__id__exact=shop.pk, error_class="any") == short(refused)


def test_times_are_those_of_the_settings_zone(admin_client: Client) -> None:
    """Asia/Kolkata, without settings: 10:00 there is 04:30 UTC."""
    stream = make_stream()
    before = ended(stream, created_at=datetime.fromisoformat("2026-01-05T04:29:00+00:00"))
    after = ended(stream, created_at=datetime.fromisoformat("2026-01-05T04:31:00+00:00"))

    assert shown(admin_client, since="2026-01-05T10:00") == short(after)
    assert shown(admin_client, until="2026-01-05T10:00") == short(before)
    assert shown(admin_client, since="2026-01-05T04:30+00:00") == short(after)
    assert shown(admin_client, since="yesterday") == short(before, after)
    assert shown(admin_client, since="0001-01-01T00:00") == short(before, after)
    assert shown(admin_client, since="2026-01-05T09:00", until="2026-01-05T09:59") == set()


def test_search_finds_streams_and_ids(admin_client: Client) -> None:
    shop, lake = make_stream("shop"), make_stream("lake")
    one, other = ended(shop), ended(lake)

    assert shown(admin_client, q="lake orders") == short(other)
    assert shown(admin_client, q=str(one.pk)) == short(one)
    assert shown(admin_client, q=str(other.trigger_id)) == short(other)
    assert shown(admin_client, q=str(uuid.uuid4())) == set()


def test_list_needs_its_permission() -> None:
    assert staff("view_stream").get(url(Run, "changelist")).status_code == 403


def _queries(client: Client, query: str = "") -> int:
    client.get(url(Run, "changelist") + query)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(url(Run, "changelist") + query).status_code == 200
    return len(seen)


@pytest.mark.parametrize("query", ["", "?state__exact=succeeded", "?stream__mapping__id__exact=shop", "?q=orders"])
def test_number_of_queries_is_the_same_for_many_streams(admin_client: Client, query: str) -> None:
    first = make_stream()
    took(first, 5, 5, 5)
    few = _queries(admin_client, query)
    more = [
        Stream(
            unique_id=f"shop_DMS_orders_{n}", mapping=first.mapping, noun="table", name="orders", destination_name="w"
        )
        for n in range(1000)
    ]
    Stream.objects.bulk_create(more)
    now = timezone.now()
    Run.objects.bulk_create(
        Run(stream=stream, trigger="cli", state="succeeded", created_at=now, started_at=now, finished_at=now)
        for stream in more
        for _ in range(3)
    )

    assert _queries(admin_client, query) == few


@pytest.mark.parametrize("place", ["stream", "stream__mapping__source"])
@pytest.mark.parametrize("key", ["x", "9" * 23, "-1", "1.5"])
def test_no_run_has_what_is_no_key(admin_client: Client, place: str, key: str) -> None:
    make_run()

    assert shown(admin_client, **{f"{place}__id__exact": key}) == set()


@pytest.mark.parametrize("name", ["state__exact", "error_class", "stream__mapping__id__exact", "trigger__exact", "q"])
def test_text_that_no_database_holds_is_not_looked_for(admin_client: Client, name: str) -> None:
    answer = admin_client.get(url(Run, "changelist"), {name: "a\0b"})

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{url(Run, 'changelist')}?e=1")


@pytest.mark.parametrize("way", ["regex", "iregex"])
def test_what_could_take_for_ever_is_not_looked_for(admin_client: Client, way: str) -> None:
    # Tried on one name of forty letters, it would end after some years.
    make_run()

    answer = admin_client.get(url(Run, "changelist"), {f"stream__mapping__id__{way}": r"(\w+)+!"})

    assert answer.status_code == 400
