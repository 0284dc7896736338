"""The page of a mapping as a whole, and what people do to it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.base import RunReport
from migrations_app import hosts, runs, starting
from migrations_app.admin.posting import url_of
from migrations_app.enums import TriggerKind
from migrations_app.models import AuditEntry, Checkpoint, DataCheck, Mapping, Run, Stream, StreamTotals
from tests.admin.acting import EDITOR, OPERATOR, VIEWER, person, post, save_settings, see
from tests.controlplane.builders import make_stream, raw_table
from tests.controlplane.pages import save_mapping, url

pytestmark = pytest.mark.django_db

ACTIONS = ("run", "stop", "disable", "enable", "resume_all", "verify", "clone")


@pytest.fixture
def mapping(monkeypatch: pytest.MonkeyPatch) -> Mapping:
    """A mapping with two streams that could run, and a worker that would take their runs."""
    monkeypatch.setenv("DEST_PASSWORD", "x")
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    save_settings()
    hosts.beat("here", "holder", {"slots": 2})
    return save_mapping(tables=[raw_table(), raw_table(table_name="items")])


def fail(stream: Stream) -> None:
    StreamTotals.objects.create(stream=stream, last_state="failed", failures_in_row=1, last_finished_at=timezone.now())


def test_overview_says_how_it_stands_and_what_it_copies(mapping: Mapping) -> None:
    fail(mapping.streams.get(name="items"))

    shown = see(person(*VIEWER), mapping, "overview")

    assert "Its 2 streams: 1 failing, 1 never run." in shown
    assert shown.index("shop_DMS_items_warehouse") < shown.index("shop_DMS_orders_warehouse"), "failing comes first"
    assert "source.example / shop" in shown
    assert "source-secret" not in shown
    assert url_of(mapping, "run") not in shown


def test_streams_are_shown_by_status(mapping: Mapping) -> None:
    fail(mapping.streams.get(name="items"))

    shown = see(person(*VIEWER), mapping, "overview", standing="failing")

    assert "shop_DMS_items_warehouse" in shown
    assert "shop_DMS_orders_warehouse" not in shown


def test_mapping_without_streams_says_what_to_do() -> None:
    shown = see(person(*VIEWER), save_mapping(destination={}), "overview")

    assert "Give it a destination" in shown
    assert "nowhere: give it a destination" in shown


def test_all_streams_are_run_and_stopped(mapping: Mapping) -> None:
    client = person(*OPERATOR)

    assert "Queued 2 of 2 streams" in post(client, mapping, "run")[0]
    assert set(Run.objects.values_list("state", flat=True)) == {"queued"}
    assert "2 runs stop within seconds" in post(client, mapping, "stop")[0]
    assert set(Run.objects.values_list("state", flat=True)) == {"stopped"}
    assert "has a run to stop" in post(client, mapping, "stop")[0]


def test_mapping_is_disabled_and_enabled_and_keeps_what_is_paused_by_itself(mapping: Mapping) -> None:
    Stream.objects.filter(name="items").update(paused=True)
    client = person(*OPERATOR)

    assert "Nothing of shop is scheduled any more" in post(client, mapping, "disable")[0]
    assert "disabled already" in post(client, mapping, "disable")[0]
    assert "Disabled" in see(client, mapping, "overview")
    assert "1 of its streams stay paused" in post(client, mapping, "enable")[0]
    assert "enabled already" in post(client, mapping, "enable")[0]
    assert Stream.objects.get(name="items").paused

    assert "all its streams are scheduled again" in post(client, mapping, "resume_all")[0]
    assert not Stream.objects.filter(paused=True).exists()
    assert "Nothing of shop is paused" in post(client, mapping, "resume_all")[0]
    found = list(AuditEntry.objects.order_by("id").values_list("action", "target_id"))
    assert found == [("disable", "shop"), ("enable", "shop"), ("resume_all", "shop")]


def test_all_streams_are_compared_in_one_process(mapping: Mapping, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(starting, "_start_process", lambda *args, **options: started.append((args, options)))

    assert "data check of 2 streams has begun" in post(person(*OPERATOR), mapping, "verify")[0]

    assert started == [(("shop", ["--keep"]), {"command": "verify_migration"})]
    assert DataCheck.objects.count() == 2


def test_data_checks_of_all_streams_are_cancelled_together(mapping: Mapping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_start_process", lambda *_args, **_options: 1)
    client = person(*OPERATOR)
    assert "Cancel data checks" not in see(client, mapping, "overview")
    post(client, mapping, "verify")
    assert "Cancel data checks" in see(client, mapping, "overview")

    assert "2 data checks end within seconds" in post(client, mapping, "cancel_checks")[0]

    assert DataCheck.objects.filter(stop_requested_by="ann").count() == 2
    assert "Cancel data checks" not in see(client, mapping, "overview")


def test_mapping_is_cloned(mapping: Mapping) -> None:
    client = person(*EDITOR)

    answer: Any = client.post(url_of(mapping, "clone"), {"new_id": "other"})

    assert answer.headers["Location"] == url(Mapping, "change", "other")
    made = Mapping.objects.get(pk="other")
    assert (made.enabled, made.streams.count(), made.source_id) == (False, 2, mapping.source_id)
    said = [str(message) for message in client.get(answer.headers["Location"]).context["messages"]]
    assert any("same tables as shop" in each for each in said)
    assert AuditEntry.objects.get().details == {"new mapping": "other"}


@pytest.mark.parametrize(("new_id", "says"), [("shop", "already"), ("a b", "letters, digits"), ("", "letters, digits")])
def test_clone_that_cannot_be_is_refused(mapping: Mapping, new_id: str, says: str) -> None:
    assert says in post(person(*EDITOR), mapping, "clone", new_id=new_id)[0]
    assert Mapping.objects.count() == 1


@pytest.mark.parametrize("name", ACTIONS)
def test_looking_does_nothing_and_a_viewer_neither(mapping: Mapping, name: str) -> None:
    assert person(*EDITOR).get(url_of(mapping, name)).status_code == 405
    viewer = person(*VIEWER, name="bob")
    assert viewer.post(url_of(mapping, name), {"new_id": "other"}).status_code == 403

    assert Mapping.objects.get().enabled
    assert not Run.objects.exists()
    assert not AuditEntry.objects.exists()


def test_operator_does_not_clone(mapping: Mapping) -> None:
    client = person(*OPERATOR)

    assert client.post(url_of(mapping, "clone"), {"new_id": "other"}).status_code == 403
    assert url_of(mapping, "clone") not in see(client, mapping, "overview")


def test_piece_tells_how_each_stream_of_the_page_stands(mapping: Mapping) -> None:
    stream = mapping.streams.get(name="orders")
    runs.queue(stream, trigger=TriggerKind.CLI)

    piece = see(person(*VIEWER), mapping, "overview_live", standing="", p="1")

    assert "every 3s" in piece
    assert f'id="standing-{stream.pk}"' in piece
    assert "Queued" in piece


def test_piece_brings_all_that_a_run_changes(mapping: Mapping) -> None:
    orders, items = mapping.streams.get(name="orders"), mapping.streams.get(name="items")
    client = person(*OPERATOR)
    run = runs.queue(orders, trigger=TriggerKind.CLI)
    busy = see(client, mapping, "overview_live", standing="", p="1")
    assert url_of(mapping, "stop") in busy
    assert url_of(orders, "stop") in busy

    runs.claim(run)
    runs.succeed(run, RunReport())
    Checkpoint.objects.create(stream=orders, position={}, epoch=1, rows_total=4321)
    fail(items)
    piece = see(client, mapping, "overview_live", standing="", p="1")

    assert url_of(mapping, "stop") not in piece
    assert url_of(orders, "stop") not in piece
    assert url_of(orders, "run") in piece
    assert "Failing (1)" in piece
    assert "On time (1)" in piece
    assert "<dt>Rows changed</dt><dd>4,321</dd>" in piece
    assert "<dt>Last success</dt><dd>-</dd>" not in piece
    assert piece.index(f"stream-{items.pk}") < piece.index(f"stream-{orders.pk}"), "failing comes first"
    for part in ("actions", "sums", "strip", "counts", "rows"):
        assert f'id="mapping-{part}"' in piece
    assert piece.count('hx-swap-oob="true"') == 5
    assert f'name="next" value="{url_of(mapping, "overview")}?standing=&amp;p=1"' in piece


def test_page_is_asked_for_anew_where_it_has_no_place_for_what_came(mapping: Mapping) -> None:
    client = person(*VIEWER)
    none = "?standing=failing&p=1&has=100"
    assert "HX-Refresh" not in client.get(url_of(mapping, "overview_live") + none).headers

    fail(mapping.streams.get(name="items"))

    assert client.get(url_of(mapping, "overview_live") + none).headers["HX-Refresh"] == "true"


def test_overview_of_what_is_not_there_is_not_found() -> None:
    client: Client = person(*VIEWER)

    assert client.get("/admin/migrations_app/mapping/none/see/overview/").status_code == 404


@pytest.mark.parametrize("count", [10, 1000])
def test_number_of_queries_does_not_grow_with_the_streams(count: int) -> None:
    mapping = make_stream().mapping
    Stream.objects.bulk_create(
        Stream(unique_id=f"shop_DMS_{n}_lake", mapping=mapping, noun="table", name=str(n), destination_name="lake")
        for n in range(count)
    )
    client = person(*EDITOR)
    see(client, mapping, "overview")

    with CaptureQueriesContext(connection) as seen:
        shown = see(client, mapping, "overview")

    assert len(seen) <= 30, [query["sql"][:120] for query in seen]
    assert shown.count('id="standing-') == min(count + 1, 50)

    with CaptureQueriesContext(connection) as seen:
        piece = see(client, mapping, "overview_live")

    assert len(seen) <= 20, [query["sql"][:120] for query in seen]
    assert piece.count('id="standing-') == min(count + 1, 50)
