"""Which run begins next, on which host, and how many tokens are sent: every run is claimed by one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from migrations_app import dispatch, hosts, runs
from migrations_app.enums import RunState, TriggerKind
from migrations_app.models import Drain, Heartbeat, Mapping, Run, Source
from migrations_app.owner import this_process
from tests.scheduling.builders import many_streams, scheduled

pytestmark = pytest.mark.django_db

HOST = "here"


def _queued(mapping: Mapping, count: int = 1) -> list[Run]:
    return [runs.queue(stream, trigger=TriggerKind.API) for stream in mapping.streams.order_by("pk")[:count]]


def _claimed_mappings() -> list[str]:
    found = []
    while (run := dispatch.claim_next(HOST)) is not None:
        found.append(run.stream.mapping_id)
    return found


def test_queue_is_served_by_priority_then_by_age() -> None:
    for name, priority in (("low", -5), ("first", 0), ("second", 0), ("high", 9)):
        mapping = scheduled(mapping_id=name)
        Mapping.objects.filter(pk=name).update(priority=priority)
        _queued(mapping)

    assert _claimed_mappings() == ["high", "first", "second", "low"]


def test_claimed_run_is_supervised_and_this_process_owns_it() -> None:
    _queued(scheduled())

    run = dispatch.claim_next(HOST)

    assert run is not None
    assert (run.state, run.supervised, run.owner_pid) == ("running", True, this_process().pid)


def test_source_never_gets_more_runs_than_it_may_have(settings: Settings) -> None:
    settings.DMS_SOURCE_CONCURRENCY = 2
    _queued(scheduled(mapping_id="shop", tables=5), 5)
    _queued(scheduled(mapping_id="other"))
    Source.objects.filter(mappings="other").update(max_runs=1)

    assert _claimed_mappings() == ["shop", "shop", "other"]
    Run.objects.filter(state=RunState.RUNNING, stream__mapping="shop").first().delete()  # type: ignore[union-attr]
    assert _claimed_mappings() == ["shop"]


def test_source_without_a_cap_gets_any_number(settings: Settings) -> None:
    settings.DMS_SOURCE_CONCURRENCY = 0
    _queued(scheduled(tables=9), 9)

    assert len(_claimed_mappings()) == 9


def test_more_than_a_batch_behind_a_full_source_is_no_obstacle(settings: Settings) -> None:
    settings.DMS_SOURCE_CONCURRENCY = 1
    many_streams(80, ["self-managed"])
    _queued(Mapping.objects.get(pk="large"), 80)
    _queued(scheduled(mapping_id="other"))

    assert sorted(_claimed_mappings()) == ["large", "other"]


def test_what_a_command_has_queued_for_itself_is_left_to_it() -> None:
    runs.queue(scheduled().streams.get(), trigger=TriggerKind.CLI, owner=this_process())

    assert dispatch.claim_next(HOST) is None


def test_drained_host_claims_nothing() -> None:
    _queued(scheduled())
    hosts.drain(HOST)
    assert dispatch.claim_next(HOST) is None

    assert hosts.undrain(HOST)

    assert dispatch.claim_next(HOST) is not None


def _tokens() -> int:
    return len(OrmQ.objects.filter(key="runs"))


def test_tokens_are_sent_for_free_slots_only_and_sent_again_when_lost(settings: Settings) -> None:
    _queued(scheduled(tables=5), 5)
    assert dispatch.wake() == 0

    hosts.beat("a", "x", {"slots": 2})
    hosts.beat("b", "y", {"slots": 1})
    assert dispatch.wake() == 3
    assert dispatch.wake() == 0
    OrmQ.objects.all().delete()
    hosts.drain("b")
    assert dispatch.wake() == 2
    OrmQ.objects.all().delete()
    settings.DMS_SOURCE_CONCURRENCY = 1
    assert dispatch.wake() == 1
    Run.objects.all().delete()
    OrmQ.objects.all().delete()
    assert dispatch.wake() == 0
    assert _tokens() == 0


def test_busy_host_gets_tokens_for_what_it_has_free(settings: Settings) -> None:
    settings.DMS_HOST = "a"
    _queued(scheduled(tables=4), 4)
    hosts.beat("a", "x", {"slots": 3})
    for _ in range(2):
        dispatch.claim_next("a")

    assert dispatch.wake() == 1


def test_queries_of_a_wake_do_not_grow_with_what_waits() -> None:
    many_streams(101, ["self-managed"])
    mapping = Mapping.objects.get(pk="large")
    hosts.beat("a", "x", {"slots": 1})
    counted = []
    for count in (1, 100):
        Run.objects.all().delete()
        OrmQ.objects.all().delete()
        _queued(mapping, count)
        with CaptureQueriesContext(connection) as queries:
            assert dispatch.wake() == 1
        counted.append(len(queries))
    assert counted[0] == counted[1]


def test_run_that_waits_long_is_noticed_unless_its_source_is_full(settings: Settings) -> None:
    (run,) = _queued(scheduled())
    Run.objects.filter(pk=run.pk).update(created_at=run.created_at - timedelta(minutes=1))
    assert dispatch.is_waiting_for(timedelta(seconds=30))
    assert not dispatch.is_waiting_for(timedelta(minutes=5))
    Source.objects.update(max_runs=0)
    assert dispatch.is_waiting_for(timedelta(seconds=30))


def test_hosts_that_are_gone_for_long_are_forgotten() -> None:
    long_ago = timezone.now() - timedelta(days=2)
    for name in ("up", "gone"):
        hosts.beat(name, "x", {"slots": 1})
        hosts.drain(name)
    Drain.objects.update(since=long_ago)
    Heartbeat.objects.filter(name="worker:gone").update(at=long_ago)

    hosts.forget_silent()

    assert list(Heartbeat.objects.values_list("name", flat=True)) == ["worker:up"]
    assert list(Drain.objects.values_list("host", flat=True)) == ["up"]
