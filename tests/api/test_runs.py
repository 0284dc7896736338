"""Runs are started once, watched to their end, stopped and tried again."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from migrations_app import mapping_io, runs, settings_io, starting
from migrations_app.enums import EventLevel, RunState, Scope, TriggerKind
from migrations_app.error_guide import guide_of
from migrations_app.models import Heartbeat, IdempotencyKey, Run, RunEvent, Stream
from tests.api.calling import Caller, caller
from tests.controlplane.builders import make_run, raw_mapping, raw_settings, raw_table

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping of two tables that can be started, and a worker that would take its runs."""
    monkeypatch.setenv("DEST_PASSWORD", "dest-secret")
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    tables = [raw_table(), raw_table(table_name="customers")]
    mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping(tables=tables)))
    Heartbeat.objects.create(name="worker:here", details={"slots": 4})


def test_start_queues_a_run_for_each_stream_under_one_trigger(api: Caller) -> None:
    answer = api.post("/mappings/shop/runs")

    assert answer.status == 202
    assert {run["table"] for run in answer.body["runs"]} == {"orders", "customers"}
    assert set(Run.objects.values_list("state", "trigger", "requested_by")) == {("queued", "api", "token ci")}
    assert answer.headers["Location"] == f"/api/v1/triggers/{answer.body['trigger_id']}"
    watched = api.get(answer.headers["Location"].removeprefix("/api/v1"))
    assert (watched.body["is_final"], watched.body["states"]) == (False, {"queued": 2})


def test_start_of_one_table_leaves_the_others(api: Caller) -> None:
    assert len(api.post("/mappings/shop/runs", {"table": "orders", "allow_deletes": 7}).body["runs"]) == 1
    assert Run.objects.get().allow_deletes == 7

    rest = api.post("/mappings/shop/runs")
    assert [len(rest.body["runs"]), len(rest.body["busy"])] == [1, 1]
    refused = api.post("/mappings/shop/runs")
    assert (refused.status, refused.body["code"]) == (409, "already_running")
    assert len(refused.body["runs"]) == 2
    unknown = api.post("/mappings/shop/runs", {"table": "nothing"})
    assert (unknown.status, unknown.pointers) == (422, ["/table"])


def test_mapping_that_cannot_run_is_refused_before_a_run_is_made(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEST_PASSWORD")

    answer = api.post("/mappings/shop/runs")

    assert (answer.status, answer.pointers) == (422, ["/destination/warehouse/password"])
    assert not Run.objects.exists()


def test_command_under_one_key_is_carried_out_once(api: Caller) -> None:
    first = api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="build-1")
    again = api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="build-1")

    assert (again.status, again.body, again.headers["Location"]) == (202, first.body, first.headers["Location"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Run.objects.count() == 1
    other = api.post("/mappings/shop/runs", {"table": "customers"}, Idempotency_Key="build-1")
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    assert api.post("/mappings/shop/runs", Idempotency_Key="x" * 201).status == 400


def test_refused_command_may_be_sent_again_under_its_key(api: Caller) -> None:
    run = make_run(Stream.objects.get(name="orders"), state=RunState.QUEUED)
    assert api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="k").status == 409
    runs.request_stop(run)

    assert api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="k").status == 202


def test_key_is_forgotten_after_a_day(api: Caller) -> None:
    api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="k")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    Run.objects.update(state=RunState.FAILED)

    assert (
        "Idempotent-Replayed" not in api.post("/mappings/shop/runs", {"table": "orders"}, Idempotency_Key="k").headers
    )
    assert Run.objects.count() == 2


def test_without_a_worker_a_process_is_started_for_the_runs(
    api: Caller, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    Heartbeat.objects.all().delete()
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(starting, "_start_process", lambda mapping, arguments: started.append((mapping, arguments)))

    with django_capture_on_commit_callbacks(execute=True):
        answer = api.post("/mappings/shop/runs")

    ids = [run["id"] for run in answer.body["runs"]]
    assert started == [("shop", ["--run", ids[0], "--run", ids[1]])]


def test_retry_asks_for_the_same_again(api: Caller) -> None:
    request = {"backfill": {"from_key": ["1"], "to_key": ["9"]}}
    run = make_run(Stream.objects.get(name="orders"), request=request, trigger=TriggerKind.BACKFILL, allow_deletes=3)
    assert api.post(f"/runs/{run.pk}:retry").body["code"] == "not_final"
    Run.objects.update(state=RunState.FAILED)

    answer = api.post(f"/runs/{run.pk}:retry")

    assert answer.status == 202
    new = Run.objects.exclude(pk=run.pk).get()
    assert (new.request, new.allow_deletes, new.trigger) == (request, 3, "backfill")
    assert answer.headers["Location"] == f"/api/v1/runs/{new.pk}"
    busy = api.post(f"/runs/{run.pk}:retry")
    assert (busy.status, busy.body["code"]) == (409, "already_running")


def test_stop_asks_a_run_to_end_and_changes_nothing_later(api: Caller) -> None:
    run = make_run(Stream.objects.get(name="orders"), state=RunState.QUEUED)

    assert api.post(f"/runs/{run.pk}:stop").body["stopping"] is True
    assert api.get(f"/runs/{run.pk}").body["state"] == "stopped"
    assert api.post(f"/runs/{run.pk}:stop").body["stopping"] is False


def test_backfill_is_queued_with_its_range(api: Caller) -> None:
    answer = api.post("/mappings/shop/backfills", {"table": "orders", "from_key": "5", "to_key": "9"})

    assert answer.status == 202
    assert Run.objects.get().request == {"backfill": {"from_key": ["5"], "to_key": ["9"]}}
    assert api.post("/mappings/shop/backfills", {"table": "orders"}).status == 422
    assert api.post("/mappings/shop/backfills", {"from_key": "5"}).pointers == ["/table"]
    assert api.post("/mappings/shop/backfills", {"table": "orders", "to_key": "abc"}).pointers == ["/to_key"]
    wrong = {"table": "orders", "since": "yesterday"}
    assert api.post("/mappings/shop/backfills", wrong).pointers == ["/since"]


def test_list_filters_and_pages_the_newest_first(api: Caller, django_assert_num_queries: Any) -> None:
    orders, customers = Stream.objects.get(name="orders"), Stream.objects.get(name="customers")
    made = [make_run(stream, state=RunState.SUCCEEDED) for stream in (orders, customers) * 3]
    Run.objects.filter(pk__in=[run.pk for run in made[:3]]).update(created_at=made[0].created_at)

    api.get("/runs")
    seen: list[str] = []
    cursor = ""
    with django_assert_num_queries(6):
        while True:
            page = api.get(f"/runs?limit=2{cursor}").body
            seen += [run["id"] for run in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(str(run.pk) for run in made)
    assert seen[0] == str(made[-1].pk)
    assert len(api.get("/runs?mapping=shop&table=orders&state=succeeded").body["items"]) == 3
    assert api.get("/runs?state=failed").body["items"] == []
    assert api.get(f"/runs?trigger_id={made[0].trigger_id}").body["items"][0]["id"] == str(made[0].pk)
    assert api.get("/runs?state=sleeping").status == 400
    for moment in ("0001-01-01T00:00:00%2B19:11", "9999-12-31T23:59:59-19:11", "yesterday"):
        assert api.get(f"/runs?since={moment}").status == 400
    assert len(api.get("/runs?since=1927-01-18T08:03:04%2B19:11&until=2999-01-01").body["items"]) == 6
    assert api.get("/runs?limit=0").status == 400


@pytest.mark.parametrize(("more", "sees"), [((), False), ((Scope.STATE_READ,), True)])
def test_what_can_name_a_key_is_told_with_the_scope_for_checkpoints(more: tuple[Scope, ...], sees: bool) -> None:
    orders, customers = Stream.objects.order_by("-name")
    failed = make_run(orders, state="failed", phase="backfill 4711")
    Run.objects.filter(pk=failed.pk).update(error_class="SourceUnavailable", reason="key 4711 cannot be read")
    RunEvent.objects.create(run=failed, level="error", message="failed: key 4711 cannot be read")
    running = make_run(customers, state="running", phase="backfill 4711")
    reader = caller("reader", (Scope.RUN_READ, *more))

    for path in ("/runs", f"/runs/{failed.pk}", f"/runs/{failed.pk}/logs", f"/triggers/{failed.trigger_id}"):
        assert ("4711" in reader.get(path).text) is sees, path
    assert reader.get(f"/runs/{running.pk}").body["phase"] == ("backfill 4711" if sees else "backfill")
    told = reader.get(f"/runs/{failed.pk}").body
    assert told["error_class"] == "SourceUnavailable"
    assert ("state:read" in told["reason"]) is not sees
    assert (guide_of("SourceUnavailable").remedy in told["reason"]) is not sees


def test_sentence_of_a_run_without_an_error_is_told_to_everybody() -> None:
    run = make_run(Stream.objects.earliest("pk"), state="stopped", reason="stopped before it began")

    assert caller("reader", (Scope.RUN_READ,)).get(f"/runs/{run.pk}").body["reason"] == "stopped before it began"


def test_log_is_read_on_from_its_last_line(api: Caller) -> None:
    run = make_run(Stream.objects.get(name="orders"))
    for number in range(5):
        runs.log(run, EventLevel.WARNING if number == 3 else EventLevel.INFO, f"line {number}")

    first = api.get(f"/runs/{run.pk}/logs?limit=2").body
    rest = api.get(f"/runs/{run.pk}/logs?after={first['last']}").body

    assert [line["message"] for line in first["items"] + rest["items"]] == [f"line {n}" for n in range(5)]
    assert [line["message"] for line in api.get(f"/runs/{run.pk}/logs?level=warning").body["items"]] == ["line 3"]


@pytest.mark.parametrize("run_id", ["nonsense", "22222222-2222-4222-8222-222222222222", "%00"])
def test_unknown_run_is_not_found(api: Caller, run_id: str) -> None:
    assert api.get(f"/runs/{run_id}").status == 404
    assert api.get(f"/triggers/{run_id}").status == 404
    assert api.post(f"/runs/{run_id}:stop").status == 404


def test_wait_answers_when_the_run_ends(api: Caller) -> None:
    run = make_run(Stream.objects.get(name="orders"))
    began = time.monotonic()
    assert api.get(f"/runs/{run.pk}?wait=1").body["is_final"] is False
    assert time.monotonic() - began >= 1

    with _ending(run):
        began = time.monotonic()
        assert api.get(f"/runs/{run.pk}?wait=30").body["state"] == "succeeded"
        assert time.monotonic() - began < 10
    assert api.get(f"/runs/{run.pk}?wait=31").status == 400


class _ending:  # noqa: N801 - reads like what it does
    """Ends the run a moment later, in the same database: in memory, so from the thread that asks."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looks = 0

    def __enter__(self) -> None:
        self._wrapper = connection.execute_wrapper(self._look)
        self._wrapper.__enter__()

    def _look(self, execute: Any, *arguments: Any) -> Any:
        self._looks += 1
        if self._looks == 4:
            Run.objects.filter(pk=self._run.pk).update(state=RunState.SUCCEEDED)
        return execute(*arguments)

    def __exit__(self, *_: object) -> None:
        self._wrapper.__exit__(None, None, None)


def test_pause_and_resume_a_mapping_and_its_streams(api: Caller) -> None:
    paused = api.post("/mappings/shop:pause", {"table": "orders"}).body
    assert (paused["enabled"], paused["paused"]) == (True, ["shop_DMS_orders_warehouse"])
    assert api.post("/mappings/shop:pause").body["enabled"] is False
    assert api.post("/mappings/shop:pause").body["enabled"] is False
    resumed = api.post("/mappings/shop:resume").body
    assert (resumed["enabled"], resumed["paused"]) == (True, [])
    assert api.post("/mappings/shop:pause", {"table": "nothing"}).status == 422


def test_schedule_lists_what_is_due_next(api: Caller, settings: Settings) -> None:
    settings_io.save_settings(settings_io.parse_settings(raw_settings(fastapi_server=True, timezone="UTC")))
    table = raw_table(cron="* * * * * 7 0 0")
    mapping_io.save_mapping("daily", mapping_io.parse(raw_mapping(tables=[table])))

    body = api.get("/mappings/daily/schedule?next=3").body

    assert (body["is_on"], body["timezone"]) == (True, "UTC")
    (stream,) = body["streams"]
    assert [at[11:] for at in stream["next"]] == ["07:00:00+00:00"] * 3
    assert api.get("/mappings/shop/schedule").body["streams"] == []
