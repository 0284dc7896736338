"""What the page of a mapping shows of the past of all its streams together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app import history
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import Mapping, Run, RunProgress, Stream
from migrations_app.monitoring.history import days, fill_of_mapping
from migrations_app.zones import zone_named
from tests.admin.acting import EDITOR, OPERATOR, VIEWER, person, see
from tests.admin.many import Size, make_many
from tests.controlplane.builders import make_run, raw_table
from tests.controlplane.pages import save_mapping

pytestmark = pytest.mark.django_db

RESETTER = (*OPERATOR, "view_checkpoint", "reset_checkpoint")


def ended(stream: Stream, ago: timedelta, state: RunState = RunState.SUCCEEDED, **fields: Any) -> Run:
    moment = timezone.now() - ago
    took = timedelta(seconds=fields.pop("took_s", 60))
    times = {"created_at": moment - took, "started_at": moment - took, "finished_at": moment}
    return make_run(stream, state=state, **times, **fields)


@pytest.fixture
def mapping() -> Mapping:
    """A mapping with two streams, neither of which has run."""
    return save_mapping(tables=[raw_table(), raw_table(table_name="items")])


def test_runs_of_all_streams_are_one_strip_with_their_names(mapping: Mapping) -> None:
    client = person(*VIEWER)
    assert "Nothing of it has run yet." in see(client, mapping, "overview")
    orders, items = mapping.streams.get(name="orders"), mapping.streams.get(name="items")
    ended(orders, timedelta(hours=2))
    ended(items, timedelta(hours=1), RunState.FAILED)

    shown = see(client, mapping, "overview")

    assert "The last 2 runs, the newest to the right: 1 succeeded, 1 failed." in shown
    assert shown.index('class="dms-is-succeeded" title="orders, ') < shown.index('"dms-is-failed" title="items, ')
    assert 'id="mapping-strip"' in see(client, mapping, "overview_live")


def test_charts_add_up_what_all_streams_did_on_each_day(mapping: Mapping) -> None:
    for stream in mapping.streams.all():
        ended(stream, timedelta(), inserted=100, updated=20, deleted=3, took_s=30)
        ended(stream, timedelta(days=20), inserted=1000)
    ended(stream, timedelta(), RunState.FAILED, took_s=90.5)
    other = save_mapping("other", tables=[raw_table()]).streams.get()
    ended(other, timedelta(), inserted=5, took_s=500)

    answer: Any = person(*VIEWER).get(url_of(mapping, "overview"))
    runs, rows, longest = (json.loads(chart["data"])["datasets"] for chart in answer.context["charts"])

    assert {each["label"]: sum(each["data"]) for each in runs} == {"Succeeded": 2, "Stopped": 0, "Failed": 1, "Lost": 0}
    assert sum(rows[0]["data"]) == 246
    assert max(longest[0]["data"]) == pytest.approx(90.5, abs=0.1)
    assert answer.context["charts"][2]["rows"][-1][1] == "1 min 30 s"


def test_changes_of_columns_are_told_with_their_stream(mapping: Mapping) -> None:
    orders, items = mapping.streams.get(name="orders"), mapping.streams.get(name="items")
    run = ended(orders, timedelta(hours=3))
    RunProgress.objects.create(run=run, at=timezone.now(), altered={"colour": "added as text"})
    ended(items, timedelta(hours=1), RunState.FAILED, error_class="SchemaMismatch", error_message="size is text now")
    ended(orders, timedelta(hours=2), warnings=["something else"])

    shown = see(person(*EDITOR, "view_checkpoint"), mapping, "overview")

    assert "colour (added as text)" in shown
    assert "size is text now" in shown
    told, searched = history.schema_changes_of(mapping, 2)
    assert [(each.stream_name, each.is_refused) for each in told] == [("items", True), ("orders", False)]
    assert searched == 500
    assert "size is text now" not in see(person(*VIEWER, name="bob"), mapping, "overview"), "it can name a key"


def test_streams_are_read_again_from_the_page_of_their_mapping(mapping: Mapping) -> None:
    mapping.tables.filter(table_name="items").update(mode="dumping")
    orders, items = mapping.streams.get(name="orders"), mapping.streams.get(name="items")

    shown = see(person(*RESETTER), mapping, "overview")

    for stream in (orders, items):
        assert shown.count(url_of(stream, "resetting")) == 1
    assert shown.count(url_of(orders, "backfilling")) == 1
    assert url_of(items, "backfilling") not in shown, "a snapshot has no range"
    shown = see(person(*VIEWER, name="bob"), mapping, "overview")
    assert url_of(orders, "backfilling") not in shown
    assert url_of(orders, "resetting") not in shown


def test_stream_that_is_alone_is_read_again_from_the_buttons_of_its_mapping() -> None:
    mapping = save_mapping(tables=[raw_table()])
    stream = mapping.streams.get()

    shown = see(person(*RESETTER), mapping, "overview")

    for page in ("backfilling", "resetting"):
        assert f'<a class="dms-button" href="{url_of(stream, page)}">' in shown
        assert shown.count(url_of(stream, page)) == 1
    assert "backfilling" not in see(person(*RESETTER, name="bob"), mapping, "overview_live")


def test_newest_runs_are_those_that_an_order_over_all_runs_finds() -> None:
    make_many(Size(streams=120, runs=1200, mappings=2, running=3))
    mapping = Mapping.objects.earliest("pk")
    mine = Run.objects.filter(stream__mapping=mapping)
    expected = list(mine.order_by("-created_at", "-pk").values_list("created_at", flat=True)[:50])

    with CaptureQueriesContext(connection) as queries:
        found = history.last_runs_of(mapping)

    assert [run.created_at for run in reversed(found)] == expected
    assert len(queries) == 2
    plan = explained(queries.captured_queries[0]["sql"])
    assert "INDEX run_of_stream" in plan, plan
    assert "SCAN n" not in plan
    assert "SCAN o" not in plan
    assert "SCAN r" not in plan


def test_days_of_a_mapping_are_one_query_that_reads_the_index_alone() -> None:
    make_many(Size(streams=20, runs=400, mappings=2))
    mapping = Mapping.objects.earliest("pk")
    slots = days(zone_named("Asia/Kolkata"), datetime.now(UTC))

    with CaptureQueriesContext(connection) as queries:
        fill_of_mapping(slots, mapping.pk)

    finished = Run.objects.filter(stream__mapping=mapping, finished_at__isnull=False)
    assert sum(slot.total for slot in slots) == finished.count() > 100
    assert sum(slot.rows for slot in slots) == sum(run.inserted + run.updated + run.deleted for run in finished)
    plan = explained(queries.captured_queries[0]["sql"])
    assert len(queries) == 1
    assert plan.count("COVERING INDEX run_stream_history") == 14, plan


def explained(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%', '%%')}")
        return "\n".join(str(row) for row in cursor.fetchall())
