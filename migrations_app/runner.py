"""One run from claim to outcome: START HERE to see how data travels.

The steps, in order:

1. claim the run: queued becomes running by one filtered UPDATE; a loser leaves quietly
2. build the plan: the mapping with secrets resolved and everything validated
3. open source and destination: the destination raises its epoch and tells where it stands
4. prepare the destination: make the table, or add columns
5. read and write: chunk after chunk, each durable with its position in one transaction
6. record the commit: checkpoint and counters, one transaction
7. finish: indexes, statistics, expiry
8. record the outcome, on every way out
9. mirror to the stores: best effort, after the record

Rows first, checkpoint second, acknowledgement third. Steps 3 to 5 and 7 run in a thread (transfer.py); this one
records, renews the lease and watches for reasons to stop.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from connectors import faults
from connectors.base import RunReport
from connectors.errors import ConnectorError
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import MappingError
from migrations_app import mirror, notify, resumption, runs
from migrations_app.enums import EventLevel, StopReason
from migrations_app.live import LiveRecord
from migrations_app.log_context import belonging_to
from migrations_app.models import Run
from migrations_app.plans import Plan
from migrations_app.reconnecting import Reconnecting
from migrations_app.secrets import SecretUnreadableError
from migrations_app.transfer import Committed, Ended, Message, Opened, Opening, Ready, Transfer
from migrations_app.watch import Stop, Watch

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_LOOK_FOR_OPERATOR_EVERY_S = 1.0
#: How long a cancelled transfer may take to end before the run is recorded without it.
_STOP_WITHIN_S = 4.0
_DRAIN_S = 5.0
_NOTIFY_S = 2.0
#: Shorter than the first pause after a failure: a channel that is down is not asked again.
_LAST_NOTIFY_S = 4.0
#: How long an outcome waits for a control database that is away.
_OUTCOME_WITHIN_S = 15.0
_TRY_AGAIN_AFTER_S = 0.5

T = TypeVar("T")


@dataclass(slots=True)
class Progress:
    """What somebody who looks on sees: the run's row and the connectors' report."""

    run: Run
    report: RunReport


Onlooker = Callable[[Progress], None]


def execute(
    run: Run,
    plan: Callable[[], Plan],
    *,
    onlooker: Onlooker | None = None,
    watch: Watch | None = None,
    claim: Callable[[Run], bool] | None = None,
) -> Run:
    """Run a queued run to its outcome, which is on record when this returns or raises.

    Args:
        run: In state queued.
        plan: Builds the plan; its errors are the run's.
        onlooker: Called a few times a second while the run goes on.
        watch: Notices why to stop, when the caller has one for several runs.
        claim: Makes the run this process's; `runs.claim` unless it has been claimed for it already.

    Returns:
        The run with its outcome; in state queued or running when somebody else had claimed it.

    Raises:
        BaseException: What was neither foreseen nor an Exception (SystemExit), after it was recorded.
    """
    faults.configure(settings.DMS_FAULT)
    with contextlib.ExitStack() as stack:
        if watch is None:
            watch = Watch()
            stack.enter_context(watch.signals())
        if not (claim or runs.claim)(run):
            run.refresh_from_db()
            return run
        stream = run.stream
        stack.enter_context(belonging_to(run_id=str(run.pk), mapping=stream.mapping_id, stream=stream.unique_id))
        report = RunReport()
        try:
            pass_point(FaultPoint.AFTER_CLAIM)
            execution = _Execution(run, _planned(plan, watch), report, onlooker, watch)
            pass_point(FaultPoint.AFTER_PLAN)
            execution.go()
            pass_point(FaultPoint.BEFORE_OUTCOME)
            _patiently(lambda: runs.succeed(run, report), _OUTCOME_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - here a run's outcome is recorded, whatever it was
            _record_failure(run, error, report)
        except BaseException as error:
            _record_failure(run, error, report)
            raise
        finally:
            _mirror()
    return run


def _planned(plan: Callable[[], Plan], watch: Watch) -> Plan:
    """The plan; what goes wrong with it after a stop is the stop's doing."""
    try:
        return plan()
    except Exception as error:
        if (stop := watch.look()) is not None:
            raise _StoppedEarlyError(stop) from error
        raise


class _StoppedEarlyError(Exception):
    """The run ended at its last commit for this reason."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.sentence)
        self.stop = stop


class _Execution:
    """Steps 3 to 7: watches one transfer and records what it tells."""

    def __init__(self, run: Run, plan: Plan, report: RunReport, onlooker: Onlooker | None, watch: Watch) -> None:
        self._run = run
        self._report = report
        self._onlooker = onlooker
        self._plan = plan.for_run(str(run.pk), run.allow_deletes)
        self._watch = watch
        self._watch.watch_the_clock(plan.service.cut_off_time, plan.service.timezone)
        self._renew_at = time.monotonic() + settings.DMS_HEARTBEAT_S
        self._look_for_operator_at = 0.0
        self._operators_stop: Stop | None = None
        self._lease_ends_at = time.monotonic() + settings.DMS_LEASE_S
        self._reconnecting = Reconnecting(settings.DMS_RECONNECTS, plan.stream.mode)
        self._live = LiveRecord(run, report)
        runs.record_plan(run, plan.snapshot())

    def go(self) -> None:
        """Run the transfer to its end; one whose connection is cut goes on from its last commit.

        Raises:
            _StoppedEarlyError: It was stopped.
            LeaseLostError: Somebody has taken the stream over.
            ConnectorError: What ended it.
        """
        try:
            self._go_on()
        finally:
            self._live.record()

    def _go_on(self) -> None:
        while True:
            try:
                self._go_once()
            except ConnectorError as error:
                delay_s = self._reconnecting.delay_s(error)
                if delay_s is None:
                    raise
                self._report.counts["reconnects"] += 1
                runs.log(self._run, EventLevel.WARNING, f"{error}; connects anew in {delay_s} s")
                self._pause(delay_s)
            else:
                return

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (stop := self._look()) is not None:
                raise _StoppedEarlyError(stop)
            self._renew()
            time.sleep(_LOOK_EVERY_S)

    def _go_once(self) -> None:
        transfer = Transfer(self._plan, self._report, self._run.stream.epoch)
        transfer.start()
        try:
            self._attend(transfer)
        finally:
            if transfer.is_alive() and self._look() is None:
                transfer.stop()
                transfer.join(_STOP_WITHIN_S)

    def _attend(self, transfer: Transfer) -> None:
        while (stop := self._look()) is None:
            message = transfer.receive(_LOOK_EVERY_S)
            if isinstance(message, Ended):
                if message.error is not None:
                    raise message.error
                return
            if message is not None:
                self._record(message)
                transfer.recorded()
            self._renew()
            if self._onlooker is not None:
                self._onlooker(Progress(self._run, self._report))
        self._end_early(transfer, stop)

    def _look(self) -> Stop | None:
        return self._operators_stop or self._watch.look()

    def _end_early(self, transfer: Transfer, stop: Stop) -> None:
        """Cancel the transfer and record what it had committed; one that does not end in time is left behind.

        What a server still does for it is rolled back when this process ends, or refused when the next run has begun.
        """
        transfer.stop()
        give_up_at = time.monotonic() + _STOP_WITHIN_S
        while time.monotonic() < give_up_at:
            message = transfer.receive(_LOOK_EVERY_S)
            if isinstance(message, Ended):
                if message.error is None:
                    return
                if not isinstance(message.error, ConnectorError):
                    raise message.error
                break
            if message is not None:
                self._record(message)
        raise _StoppedEarlyError(stop)

    def _record(self, message: Message) -> None:
        match message:
            case Opening():
                self._renewing(lambda: runs.renew(self._run, self._report))
            case Opened(resume):
                self._reconnecting.opened(resume.position)
                self._live.opened(resume.position)
                self._renewing(lambda: runs.record_opening(self._run, resume.epoch, resume.position))
            case Ready(prepared):
                for note in prepared.notes:
                    self._report.warn(note)
            case Committed(commit):
                pass_point(FaultPoint.BEFORE_CHECKPOINT)
                is_progress = self._reconnecting.committed(commit.position)
                self._renewing(lambda: runs.record_commit(self._run, commit, self._report, is_progress=is_progress))
                self._live.committed(commit)
                pass_point(FaultPoint.AFTER_CHECKPOINT)

    def _renew(self) -> None:
        self._live.look()
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + settings.DMS_HEARTBEAT_S
            self._renewing(lambda: runs.renew(self._run, self._report))
        if now >= self._look_for_operator_at:
            self._look_for_operator_at = now + _LOOK_FOR_OPERATOR_EVERY_S
            if _patiently(lambda: runs.is_asked_to_stop(self._run), self._lease_ends_at - now):
                self._operators_stop = Stop(StopReason.OPERATOR, "an operator stopped it")

    def _renewing(self, record: Callable[[], None]) -> None:
        """Record what prolongs the lease, again while the control database is away and the lease lasts."""
        _patiently(record, self._lease_ends_at - time.monotonic())
        self._lease_ends_at = time.monotonic() + settings.DMS_LEASE_S


def _patiently(ask: Callable[[], T], for_s: float) -> T:
    """A control database that restarts holds a run up and does not end it."""
    give_up_at = time.monotonic() + for_s
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() >= give_up_at:
                raise
            logger.warning("control database away: %s", type(error).__name__, extra={"action": "record"})
            connection.close()
            time.sleep(_TRY_AGAIN_AFTER_S)


def _record_failure(run: Run, error: BaseException, report: RunReport) -> None:
    """Step 8 for every way out but success."""
    extra = {"action": "outcome", "run_id": str(run.pk), "stream": run.stream.unique_id}
    try:
        match error:
            case runs.LeaseLostError():
                logger.warning("lease lost: another run has taken over", extra=extra)
            case _StoppedEarlyError():
                stop = error.stop
                _patiently(lambda: runs.stop(run, stop.reason, stop.sentence, report), _OUTCOME_WITHIN_S)
                return
            case _:
                message = _sentence(error, extra)
                _patiently(lambda: runs.fail(run, error, message, report), _OUTCOME_WITHIN_S)
                return
    except runs.LeaseLostError:
        logger.warning("lease lost before the outcome was recorded", extra=extra)
    with contextlib.suppress(Run.DoesNotExist):
        # One that was deleted with its mapping has no outcome.
        run.refresh_from_db()


def _sentence(error: BaseException, extra: dict[str, str]) -> str:
    """What the record shows. Whoever started the run shows it to people; a log line of its own would be the second."""
    match error:
        case MappingError():
            return "; ".join(str(issue) for issue in error.issues)
        case ConnectorError() | SecretUnreadableError():
            return str(error)
        case OperationalError() | InterfaceError():
            return f"the control database could not be asked ({type(error).__name__}); see that it is up"
        case _ if resumption.is_short_of_memory(error):
            return f"memory ran out in its process; {resumption.MEMORY_REMEDY}"
        case Exception():
            # A defect of ours: the type is on record, the traceback in the log; its message could quote a row.
            logger.error("run failed unexpectedly", exc_info=error, extra=extra)
            return f"unexpected {type(error).__name__}; the log of the process has the traceback"
        case _:
            return f"the process was ended by {type(error).__name__}"


def deliver_rest() -> None:
    """Send what the pace of a channel held back, before a process ends that may be the only one for hours."""
    try:
        notify.drain(_LAST_NOTIFY_S, is_patient=True)
    except Exception:
        logger.exception("notifications failed", extra={"action": "notify"})


def _mirror() -> None:
    """Step 9. The outbox keeps what cannot be delivered now."""
    try:
        pass_point(FaultPoint.BEFORE_MIRROR)
        problems = mirror.drain(_DRAIN_S).problems
        pass_point(FaultPoint.BEFORE_NOTIFY)
        notify.drain(_NOTIFY_S)
    except Exception:
        # The outcome stands; a defect here must not make it look like a failure.
        logger.exception("mirror or notifications failed", extra={"action": "mirror"})
        return
    for problem in problems:
        logger.warning("mirror delayed: %s", problem, extra={"action": "mirror"})
