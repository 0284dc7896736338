"""Which runs are resumed, when, and when that ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from connectors.base import Commit, RunReport
from connectors.errors import ConnectorError, DestinationUnavailable, SchemaMismatch, SourceUnavailable
from connectors.mapping import Mode
from migrations_app import dispatch, recovery, resumption, runs
from migrations_app.enums import RunState, StopReason, TriggerKind
from migrations_app.models import Mapping, Run, Stream
from migrations_app.owner import Owner
from migrations_app.reconnecting import Reconnecting
from tests.scheduling.builders import scheduled

pytestmark = pytest.mark.django_db


def _claimed(**fields: Any) -> Run:
    stream = Stream.objects.first() or scheduled().streams.get()
    runs.queue(stream, trigger=TriggerKind.SCHEDULE)
    run = dispatch.claim_next("here")
    assert run is not None
    if fields:
        Run.objects.filter(pk=run.pk).update(**fields)
        run.refresh_from_db()
    return run


def _expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def _make_due(run: Run) -> None:
    assert Run.objects.filter(pk=run.pk, resume_at__isnull=False).update(resume_at=timezone.now())


def _unavailable() -> ConnectorError:
    return SourceUnavailable("the server restarts; wait for it", connector="pgsql source", stream="s")


def test_silent_run_is_lost_and_goes_on_after_ten_seconds() -> None:
    run = _claimed(request={"backfill": {"from_key": ["1"]}}, allow_deletes=7)
    assert recovery.reap() == 0
    _expire(run)
    began = timezone.now()

    assert recovery.reap() == 0

    run.refresh_from_db()
    assert (run.state, run.attempt) == ("lost", 0)
    assert run.resume_at is not None
    # The database's clock tells milliseconds.
    grain = timedelta(milliseconds=1)
    assert began - grain <= run.resume_at - timedelta(seconds=10) <= timezone.now() + grain
    _make_due(run)
    assert recovery.reap() == 1
    assert recovery.reap() == 0
    new = Run.objects.get(state=RunState.QUEUED)
    assert (new.resumes, new.attempt, new.request, new.allow_deletes) == (run, 1, run.request, 7)


def test_run_that_is_lost_while_an_operator_waits_for_its_stop_is_not_resumed() -> None:
    run = _claimed()
    assert runs.request_stop(run)
    _expire(run)

    recovery.reap()

    run.refresh_from_db()
    assert (run.state, run.resume_at) == ("lost", None)


def test_stop_for_a_drain_after_an_operator_asked_for_one_is_not_resumed() -> None:
    run = _claimed()
    assert runs.request_stop(run)

    runs.stop(run, StopReason.DRAIN, "it was so", RunReport())

    assert Run.objects.get(pk=run.pk).resume_at is None


def test_run_that_never_comes_further_is_given_up_with_the_reason(settings: Settings) -> None:
    settings.DMS_RESUME_LIMIT = 3
    run = _claimed()
    delays = []
    for attempt in range(3):
        _expire(run)
        recovery.reap()
        run.refresh_from_db()
        assert run.attempt == attempt
        delays.append(resumption.delay_s(attempt))
        _make_due(run)
        assert recovery.reap() == 1
        resumed = dispatch.claim_next("here")
        assert resumed is not None
        run = resumed
    _expire(run)
    recovery.reap()

    run.refresh_from_db()
    assert delays == [10, 20, 40]
    assert (run.state, run.attempt, run.resume_at) == ("lost", 3, None)
    assert "resumed 3 times in a row without coming further" in run.reason
    assert resumption.delay_s(9) == 600


def test_commit_starts_the_count_anew() -> None:
    run = _claimed(attempt=4, lease_epoch=1)
    commit = Commit(position={"cursor": 1}, read=1, inserted=1, updated=0, deleted=0, byte_count=1)

    runs.record_commit(run, commit, RunReport(), is_progress=False)
    assert Run.objects.get(pk=run.pk).attempt == 4
    runs.record_commit(run, commit, RunReport(), is_progress=True)

    assert Run.objects.get(pk=run.pk).attempt == 0


@pytest.mark.parametrize(
    ("reason", "is_resumed"),
    [
        (StopReason.PARENT_DIED, True),
        (StopReason.DRAIN, True),
        (StopReason.SIGTERM, True),
        (StopReason.CUT_OFF, False),
        (StopReason.OPERATOR, False),
    ],
)
def test_which_stops_are_resumed(reason: StopReason, *, is_resumed: bool) -> None:
    run = _claimed(attempt=2)
    runs.stop(run, reason, "it was so", RunReport())

    assert recovery.reap() == int(is_resumed)

    if is_resumed:
        # Nothing was wrong with it.
        assert Run.objects.get(state=RunState.QUEUED).attempt == 2


@pytest.mark.parametrize(
    ("error", "is_resumed"),
    [
        (_unavailable(), True),
        (SchemaMismatch("does not fit; change it", connector="pgsql destination", stream="s"), False),
        (OperationalError("the control database was away"), True),
        (MemoryError(), True),
        (RuntimeError("a defect"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_failures_are_resumed(error: Exception, *, is_resumed: bool) -> None:
    run = _claimed()
    runs.fail(run, error, "it failed", RunReport())

    run.refresh_from_db()
    assert (run.resume_at is not None) is is_resumed


def test_dump_whose_snapshot_is_whole_is_not_dumped_again() -> None:
    run = _claimed(plan={"mode": "dumping"}, inserted=3)
    _expire(run)
    recovery.reap()

    assert Run.objects.get(pk=run.pk).resume_at is None


def test_command_that_died_on_another_host_before_it_claimed_its_run_holds_the_stream_no_longer_than_a_lease() -> None:
    stream = scheduled().streams.get()
    gone = Owner("pod-that-is-gone", "", 7, "1")
    run = runs.queue(stream, trigger=TriggerKind.CLI, owner=gone)
    assert recovery.reap() == 0
    with pytest.raises(runs.AlreadyRunningError):
        runs.queue(stream, trigger=TriggerKind.CLI)
    _expire(run)

    recovery.reap()

    run.refresh_from_db()
    assert (run.state, run.resume_at) == ("lost", None)
    runs.queue(stream, trigger=TriggerKind.CLI)


def test_what_a_command_ran_is_left_to_whoever_ran_it() -> None:
    run = _claimed(supervised=False)
    _expire(run)
    recovery.reap()

    run.refresh_from_db()
    assert (run.state, run.resume_at) == ("lost", None)


def test_stream_that_has_gone_on_is_not_resumed() -> None:
    run = _claimed()
    _expire(run)
    recovery.reap()
    _make_due(run)
    runs.queue(run.stream, trigger=TriggerKind.ADMIN)

    assert recovery.reap() == 0

    assert Run.objects.get(pk=run.pk).resume_at is None


def test_backfill_waits_for_the_run_that_came_between() -> None:
    run = _claimed(request={"backfill": {"from_key": ["1"]}})
    _expire(run)
    recovery.reap()
    _make_due(run)
    between = runs.queue(run.stream, trigger=TriggerKind.ADMIN)
    assert recovery.reap() == 0
    Run.objects.filter(pk=between.pk).update(state=RunState.SUCCEEDED)

    assert recovery.reap() == 1

    assert Run.objects.get(state=RunState.QUEUED).request == run.request


@pytest.mark.parametrize(
    "rest",
    [
        lambda: Stream.objects.update(paused=True),
        lambda: Stream.objects.update(active=False),
        lambda: Mapping.objects.update(enabled=False),
    ],
    ids=["paused", "inactive", "disabled"],
)
def test_stream_at_rest_is_resumed_when_it_is_back(rest: Any) -> None:
    run = _claimed()
    runs.stop(run, StopReason.DRAIN, "it was so", RunReport())
    rest()
    assert recovery.reap() == 0
    Stream.objects.update(paused=False, active=True)
    Mapping.objects.update(enabled=True)

    assert recovery.reap() == 1


def test_poison_streams_do_not_hold_the_others_up(settings: Settings) -> None:
    settings.DMS_SOURCE_CONCURRENCY = 0
    mapping = scheduled(tables=12)
    for stream in mapping.streams.all():
        runs.queue(stream, trigger=TriggerKind.SCHEDULE)
        assert dispatch.claim_next("here")
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    recovery.reap()
    poison = Run.objects.order_by("created_at")[:10]
    Run.objects.filter(pk__in=[run.pk for run in poison]).update(attempt=4)
    Run.objects.update(resume_at=timezone.now())

    assert recovery.reap() == 12


class TestReconnecting:
    """What one run does about a connection that is cut."""

    def test_waits_longer_each_time_and_gives_up(self) -> None:
        reconnecting = Reconnecting(3, Mode.SYNCING)
        reconnecting.opened(None)

        delays = [reconnecting.delay_s(_unavailable()) for _ in range(4)]

        assert delays == [1, 2, 4, None]

    def test_commit_that_comes_further_starts_the_count_anew(self) -> None:
        reconnecting = Reconnecting(1, Mode.SYNCING)
        reconnecting.opened({"cursor": 1})
        assert reconnecting.delay_s(_unavailable()) == 1
        assert not reconnecting.committed({"cursor": 1})
        assert reconnecting.delay_s(_unavailable()) is None
        assert reconnecting.committed({"cursor": 2})
        assert reconnecting.delay_s(_unavailable()) == 1

    def test_what_was_never_connected_ends_at_once(self) -> None:
        assert Reconnecting(3, Mode.SYNCING).delay_s(_unavailable()) is None

    def test_what_does_not_pass_is_not_tried_again(self) -> None:
        reconnecting = Reconnecting(3, Mode.SYNCING)
        reconnecting.opened(None)
        error = SchemaMismatch("does not fit; change it", connector="pgsql destination", stream="s")

        assert reconnecting.delay_s(error) is None

    def test_durable_dump_is_not_begun_again(self) -> None:
        reconnecting = Reconnecting(3, Mode.DUMPING)
        reconnecting.opened(None)
        away = DestinationUnavailable("it restarts; wait", connector="pgsql destination", stream="s")
        assert reconnecting.delay_s(away) == 1
        reconnecting.committed({"snapshot": "x"})

        assert reconnecting.delay_s(away) is None
