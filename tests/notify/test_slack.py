"""Slack hears of every outcome once, in words, at its own pace, and never a secret or a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connectors.base import RunReport
from connectors.errors import SourceUnavailable, ValueNotRepresentable
from migrations_app import notify, outbox, runs
from migrations_app.enums import OutboxKind, RunState, StopReason, TriggerKind
from migrations_app.models import Channel, OutboxEntry, Run, Stream
from migrations_app.outbox import DrainResult
from tests.controlplane.builders import make_stream, raw_table
from tests.notify.conftest import save_settings
from tests.notify.outcomes import UNAVAILABLE, begun, drain, fail, succeed
from tests.notify.servers import TOKEN, Answer, Clock, SlackServer, error, too_many

pytestmark = pytest.mark.django_db


def test_success_tells_counts_duration_and_destination(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    report = RunReport(warnings=["a", "b"])
    started = timezone.now() - timedelta(minutes=2, seconds=5)
    run = succeed(stream, report, started_at=started, read=12345, inserted=12000, updated=345, deleted=7)

    assert drain(clock) == DrainResult(delivered=1)

    (text,) = slack.texts()
    assert "*shop_DMS_orders_warehouse* was copied to warehouse (pgsql) in 2 min 5 s" in text
    assert "12,345 read, 12,000 inserted, 345 updated, 7 deleted; 2 warnings" in text
    assert str(run.pk) in text
    assert slack.messages[0].metadata["event_payload"] == {"run": str(run.pk), "event": "succeeded", "part": "message"}
    assert drain(clock) == DrainResult()


def test_failure_tells_the_sentence_and_its_trace_in_the_thread(
    slack: SlackServer, clock: Clock, stream: Stream
) -> None:
    fail(stream)

    drain(clock)

    message, reply = slack.messages
    assert "failed" in message.text
    assert "it is restarting; nothing to do" in message.text
    assert (message.thread_ts, reply.thread_ts) == ("", message.ts)
    assert "SourceUnavailable" in reply.text
    assert "tests/notify/outcomes.py" in reply.text
    assert message.client_msg_id != reply.client_msg_id


def test_first_success_after_failures_is_told_as_recovery(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    for _ in range(2):
        fail(stream)
    succeed(stream)
    succeed(stream)

    drain(clock)

    texts = [message.text for message in slack.messages if not message.thread_ts]
    assert ["x: *" in text for text in texts] == [True, True, False, False]
    assert "works again" in texts[2]
    assert "after 2 runs that failed or got lost" in texts[2]
    assert "was copied to" in texts[3]


def test_stopped_and_lost_say_how_it_goes_on(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    runs.stop(begun(stream), StopReason.OPERATOR, "an operator stopped it", RunReport())
    runs.stop(begun(stream), StopReason.CUT_OFF, "the cut-off time was reached", RunReport())
    assert runs.lose(begun(stream), "it was killed by signal 9")
    runs.stop(begun(stream, supervised=True), StopReason.DRAIN, "its host is emptied", RunReport())

    drain(clock)

    by_hand, cut_off, lost, drained = slack.texts()
    assert "an operator stopped it" in by_hand
    assert "when somebody starts it" in by_hand
    assert "when it is due next" in cut_off
    assert "got lost" in lost
    assert "killed by signal 9" in lost
    assert "the next run goes on" in lost
    assert "by itself" in drained


def test_spec_has_a_channel_of_its_own(slack: SlackServer, clock: Clock) -> None:
    save_settings()
    stream = make_stream(tables=[raw_table(slack_channel="#ops")])
    run = begun(stream, started_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(plan={"spec": {"slack_channel": "#ops"}})
    run.refresh_from_db()
    runs.succeed(run, RunReport())
    # Failed before it had a plan.
    early = runs.queue(stream, trigger=TriggerKind.CLI)
    runs.claim(early)
    runs.fail(early, UNAVAILABLE, "no plan", RunReport())

    drain(clock)

    assert {message.channel for message in slack.messages} == {"#ops"}
    assert len(slack.messages) == 3


def test_nothing_is_written_without_notify(slack: SlackServer, clock: Clock, settings: Any) -> None:
    settings.DMS_WEBHOOK_URL = "http://127.0.0.1:1/"
    save_settings(notify=False, slack_notif={})
    succeed(make_stream())

    assert not OutboxEntry.objects.filter(kind__in=notify.KINDS).exists()
    assert drain(clock) == DrainResult()
    assert slack.calls == 0


def test_what_waits_when_notify_is_switched_off_is_not_sent(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    succeed(stream)
    save_settings(notify=False)

    drain(clock)

    assert slack.calls == 0
    entry = OutboxEntry.objects.get(kind="slack")
    assert entry.given_up_at is not None
    assert "notify" in entry.last_error


def test_two_hundred_outcomes_keep_the_pace(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    succeed(stream)
    told = OutboxEntry.objects.get(kind="slack")
    for number in range(199):
        outbox.put_once(OutboxKind.SLACK, f"run {number}", told.payload, clock=clock)
    began = clock()

    result = drain(clock)

    assert (result.delivered, result.problems) == (200, ())
    assert slack.calls == 200
    assert timedelta(seconds=199) <= clock() - began < timedelta(seconds=205)


def test_impatient_drain_sends_what_is_free_and_does_not_wait(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    for _ in range(3):
        succeed(stream)
    OutboxEntry.objects.update(next_attempt_at=clock())

    result = notify.drain(2.0, clock=clock, sleep=clock.sleep)

    assert (result.delivered, result.pending, clock.slept) == (1, 2, [])


def test_rate_limit_is_waited_for_as_long_as_slack_says(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    succeed(stream)
    slack.instead = [too_many(42)]
    began = clock()

    result = drain(clock)

    assert (result.delivered, slack.calls) == (1, 2)
    assert clock() - began == timedelta(seconds=42)
    assert not Channel.objects.exclude(problem="").exists()


@pytest.mark.parametrize(
    "down",
    [
        pytest.param(Answer(500, "it is broken"), id="500"),
        pytest.param(Answer(503, "<html>no</html>"), id="503-html"),
        pytest.param(Answer(200, "not json at all"), id="no-json"),
        pytest.param(Answer(hang_s=0.0), id="cut"),
    ],
)
def test_hour_without_slack_loses_and_repeats_nothing(
    slack: SlackServer, clock: Clock, stream: Stream, down: Answer
) -> None:
    slack.rule = lambda _: down
    began = clock()
    ids = set()
    while clock() - began < timedelta(hours=1):
        ids.add(str(succeed(stream).pk))
        ids.add(str(fail(stream).pk))
        drain(clock, 5.0)
        clock.sleep(290)
    assert slack.messages == []
    assert slack.calls < 40
    (channel,) = Channel.objects.exclude(problem="")
    assert channel.name == "slack"
    assert "Slack" in channel.problem

    slack.rule = lambda _: None
    while drain(clock, 100.0).pending:
        clock.sleep(60)

    posted = [message.metadata["event_payload"] for message in slack.messages]
    assert sorted(each["run"] for each in posted if each["part"] == "message") == sorted(ids)
    assert len({message.client_msg_id for message in slack.messages}) == len(slack.messages)
    assert sum(each["part"] == "trace" for each in posted) == len(ids) / 2
    assert not Channel.objects.exclude(problem="").exists()
    assert set(OutboxEntry.objects.filter(kind="slack").values_list("given_up_at", flat=True)) == {None}


@pytest.mark.parametrize("code", ["channel_not_found", "not_in_channel", "is_archived"])
def test_wrong_channel_holds_up_no_other(slack: SlackServer, clock: Clock, stream: Stream, code: str) -> None:
    slack.rule = lambda form: error(code) if form["channel"] == "#ops" else None
    other = make_stream("second", tables=[raw_table(slack_channel="#ops")])
    run = runs.queue(other, trigger=TriggerKind.CLI)
    runs.claim(run)
    runs.fail(run, UNAVAILABLE, "no plan", RunReport())
    for _ in range(3):
        succeed(stream)

    result = drain(clock, 60.0)

    assert len(slack.texts("#data")) == 3
    assert slack.texts("#ops") == []
    assert any(code in problem and "#ops" in problem for problem in result.problems)
    assert Channel.objects.get(name="slack:#ops").failures >= 1


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "account_inactive", "missing_scope"])
def test_wrong_token_is_shown_and_not_tried_for_ever(
    slack: SlackServer, clock: Clock, stream: Stream, code: str
) -> None:
    slack.rule = lambda _: error(code)
    for _ in range(20):
        succeed(stream)

    drain(clock, 60.0)

    assert slack.calls < 6
    channel = Channel.objects.get(name="slack")
    assert code in channel.problem
    assert "slack_notif.slack_token" in channel.problem
    clock.now += timedelta(days=4)
    result = drain(clock, 60.0)
    assert (result.pending, slack.messages) == (0, [])
    assert OutboxEntry.objects.filter(kind="slack", given_up_at=None).count() == 0


def test_message_that_slack_cannot_take_is_given_up_at_once(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    slack.instead = [error("msg_too_long")]
    succeed(stream)
    succeed(stream)

    drain(clock)

    assert len(slack.messages) == 1
    assert OutboxEntry.objects.filter(kind="slack").exclude(given_up_at=None).count() == 1


def test_answer_that_gets_lost_repeats_the_message_under_its_own_id(
    slack: SlackServer, clock: Clock, stream: Stream
) -> None:
    slack.instead = [Answer(hang_s=0.0, first_do_it=True)]
    succeed(stream)

    drain(clock)

    first, second = slack.messages
    assert first.client_msg_id == second.client_msg_id
    assert first.metadata == second.metadata


def test_crash_between_post_and_record_leaves_the_message_to_the_next_after_its_claim(
    slack: SlackServer, clock: Clock, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed(stream)

    class CrashError(BaseException):
        """What ends a process."""

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr("migrations_app.outbox.delivered", crash)
        with pytest.raises(CrashError):
            drain(clock)
    assert notify.drain(20.0, clock=clock, sleep=clock.sleep).delivered == 0
    clock.sleep(31)

    assert notify.drain(20.0, clock=clock, sleep=clock.sleep).delivered == 1
    assert len({message.client_msg_id for message in slack.messages}) == 1


def test_thread_of_a_message_that_somebody_deleted_is_dropped(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    slack.rule = lambda form: error("thread_not_found") if form.get("thread_ts") else None
    fail(stream)

    assert drain(clock).pending == 0
    assert len(slack.messages) == 1


def test_slow_answer_is_not_waited_for(
    slack: SlackServer, clock: Clock, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrations_app.notify.slack._TIMEOUT_S", 0.3)
    slack.instead = [Answer(hang_s=1.0)]
    succeed(stream)

    result = drain(clock, 1.0)

    assert result.delivered == 0
    assert "could not be reached" in result.problems[0]


def test_outcome_that_is_rolled_back_is_not_told(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    run = begun(stream)
    Run.objects.filter(pk=run.pk).update(owner_pid=1)

    with pytest.raises(runs.LeaseLostError):
        runs.succeed(run, RunReport())

    assert not OutboxEntry.objects.filter(kind="slack").exists()


def test_missing_variable_of_the_token_is_a_problem_that_is_shown(
    slack: SlackServer, clock: Clock, stream: Stream
) -> None:
    save_settings(slack_notif={"slack_token": "env:SLACK_TOKEN_THAT_IS_NOT_SET", "channel": "#data"})
    succeed(stream)

    result = drain(clock, 1.0)

    assert "SLACK_TOKEN_THAT_IS_NOT_SET" in result.problems[0]
    assert slack.calls == 0


def test_no_secret_and_no_row_value_gets_into_a_message(
    slack: SlackServer, clock: Clock, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """What a driver says quotes the address and the row; the message of an unknown exception stays out."""
    planted = ["hunter2-hunter2", "alice@example.org", "4111-1111", TOKEN, "key-of-a-row"]
    driver = RuntimeError(f"connect postgresql://u:{planted[0]}@h/db; Key (email)=({planted[1]}) exists {planted[2]}")
    unknown = ValueError(f"bad row {planted[1]} {planted[2]}")
    unknown.__cause__ = driver
    fail(stream, unknown, "unexpected ValueError; the log of the process has the traceback")
    ours = SourceUnavailable("postgresql://u:hunter2-hunter2@h/db is away; wait", connector="pgsql source", stream="s")
    ours.__cause__ = driver
    fail(stream, ours)
    fail(
        stream,
        ValueNotRepresentable("amount", "key-of-a-row) does", "numeric(38,9)", connector="pgsql source", stream="s"),
    )

    drain(clock)

    assert len(slack.messages) == 6
    said = "\n".join(message.text for message in slack.messages) + caplog.text
    for secret in planted:
        assert secret not in said
    assert "builtins" not in said
    assert "ValueError" in said
    assert "RuntimeError" in said
    assert "does not fit numeric(38,9)" in said
    assert TOKEN not in repr(list(OutboxEntry.objects.values()))


def test_names_cannot_call_people_or_make_links(slack: SlackServer, clock: Clock, stream: Stream) -> None:
    fail(stream, UNAVAILABLE, "<!channel> ```code``` & <http://x|y>")

    drain(clock)

    text = slack.messages[0].text
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text
    assert "&amp;" in text


def test_totals_follow_every_outcome(stream: Stream) -> None:
    succeed(stream, read=10, inserted=9, byte_count=100)
    fail(stream)
    fail(stream)
    assert stream.totals.failures_in_row == 2
    succeed(stream, read=5, updated=4, byte_count=50)

    stream.totals.refresh_from_db()
    totals = stream.totals
    assert (totals.succeeded, totals.failed, totals.read, totals.inserted, totals.updated) == (2, 2, 15, 9, 4)
    assert (totals.byte_count, totals.failures_in_row, totals.last_state) == (150, 0, RunState.SUCCEEDED)
    assert totals.last_success_at == totals.last_finished_at
