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

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytz
from django.conf import settings

from connectors import faults
from connectors.base import RunReport
from connectors.errors import ConnectorError
from connectors.faults import FaultPoint, pass_point
from connectors.mapping import MappingError
from migrations_app import mirror, runs
from migrations_app.models import Run
from migrations_app.plans import Plan
from migrations_app.secrets import SecretUnreadableError
from migrations_app.transfer import Committed, Ended, Message, Opened, Ready, Transfer
from migrations_app.watch import Stop, Watch, next_cut_off

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
#: How long a cancelled transfer may take to end before the run is recorded without it.
_STOP_WITHIN_S = 30.0
_DRAIN_S = 5.0


@dataclass(slots=True)
class Progress:
    """What somebody who looks on sees: the run's row and the connectors' report."""

    run: Run
    report: RunReport


Onlooker = Callable[[Progress], None]


def execute(
    run: Run, plan: Callable[[], Plan], *, onlooker: Onlooker | None = None, parent_pid: int | None = None
) -> Run:
    """Run a queued run to its outcome, which is on record when this returns or raises.

    Args:
        run: In state queued.
        plan: Builds the plan; its errors are the run's.
        onlooker: Called a few times a second while the run goes on.
        parent_pid: Stop when this process is no longer the parent.

    Returns:
        The run with its outcome; in state queued or running when somebody else had claimed it.

    Raises:
        BaseException: What was neither foreseen nor an Exception (SystemExit), after it was recorded.
    """
    faults.configure(settings.DMS_FAULT)
    if not runs.claim(run):
        run.refresh_from_db()
        return run
    report = RunReport()
    try:
        pass_point(FaultPoint.AFTER_CLAIM)
        execution = _Execution(run, plan(), report, onlooker, parent_pid)
        pass_point(FaultPoint.AFTER_PLAN)
        execution.go()
        pass_point(FaultPoint.BEFORE_OUTCOME)
        runs.succeed(run, report)
    except Exception as error:  # noqa: BLE001 - here a run's outcome is recorded, whatever it was
        _record_failure(run, error, report)
    except BaseException as error:
        runs.fail(run, error, f"the process was ended by {type(error).__name__}", report)
        raise
    finally:
        _mirror()
    return run


class _StoppedEarlyError(Exception):
    """The run ended at its last commit for this reason."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.sentence)
        self.stop = stop


class _Execution:
    """Steps 3 to 7: watches one transfer and records what it tells."""

    def __init__(
        self, run: Run, plan: Plan, report: RunReport, onlooker: Onlooker | None, parent_pid: int | None
    ) -> None:
        self._run = run
        self._report = report
        self._onlooker = onlooker
        self._plan = plan.for_run(str(run.pk), run.allow_deletes)
        now = datetime.now(tz=pytz.utc)
        self._watch = Watch(next_cut_off(plan.service.cut_off_time, plan.service.timezone, now), parent_pid)
        self._renew_at = 0.0
        runs.record_plan(run, plan.snapshot())

    def go(self) -> None:
        """Run the transfer to its end.

        Raises:
            _StoppedEarlyError: It was stopped.
            ConnectorError: What ended it.
        """
        transfer = Transfer(self._plan, self._report, self._run.stream.epoch)
        with self._watch.signals():
            transfer.start()
            try:
                self._attend(transfer)
            except BaseException:
                transfer.stop()
                transfer.join(_STOP_WITHIN_S)
                raise

    def _attend(self, transfer: Transfer) -> None:
        give_up_at: float | None = None
        while True:
            message = transfer.receive(_LOOK_EVERY_S)
            if isinstance(message, Ended):
                self._raise_end(message)
                return
            if message is not None:
                self._record(message)
                transfer.recorded()
            self._renew()
            if self._watch.look() is not None and give_up_at is None:
                transfer.stop()
                give_up_at = time.monotonic() + _STOP_WITHIN_S
            if give_up_at is not None and time.monotonic() > give_up_at and self._watch.stop is not None:
                raise _StoppedEarlyError(self._watch.stop)
            if self._onlooker is not None:
                self._onlooker(Progress(self._run, self._report))

    def _record(self, message: Message) -> None:
        match message:
            case Opened(resume):
                runs.record_opening(self._run, resume.epoch, resume.position)
            case Ready(prepared):
                for note in prepared.notes:
                    self._report.warn(note)
            case Committed(commit):
                pass_point(FaultPoint.BEFORE_CHECKPOINT)
                runs.record_commit(self._run, commit, self._report)
                pass_point(FaultPoint.AFTER_CHECKPOINT)

    def _renew(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + settings.DMS_HEARTBEAT_S
        if runs.renew(self._run, self._report):
            self._watch.operator_asked()

    def _raise_end(self, ended: Ended) -> None:
        if isinstance(ended.error, ConnectorError) and self._watch.stop is not None:
            raise _StoppedEarlyError(self._watch.stop) from ended.error
        if ended.error is not None:
            raise ended.error


def _record_failure(run: Run, error: Exception, report: RunReport) -> None:
    """Step 8 for every way out but success."""
    match error:
        case _StoppedEarlyError():
            runs.stop(run, error.stop.reason, error.stop.sentence, report)
            return
        case runs.LeaseLostError():
            logger.error("lease lost", extra={"action": "outcome", "run_id": str(run.pk)})
            run.refresh_from_db()
            return
        case MappingError():
            message = "; ".join(str(issue) for issue in error.issues)
        case ConnectorError() | SecretUnreadableError():
            message = str(error)
        case _:
            # A defect of ours: the type is on record, the traceback in the log; its message could quote a row.
            message = f"unexpected {type(error).__name__}; the log of the process has the traceback"
    logger.error(
        "run failed: %s",
        message,
        exc_info=error if not isinstance(error, ConnectorError | MappingError) else None,
        extra={"action": "outcome", "run_id": str(run.pk), "stream": run.stream.unique_id},
    )
    runs.fail(run, error, message, report)


def _mirror() -> None:
    """Step 9. The outbox keeps what cannot be delivered now."""
    pass_point(FaultPoint.BEFORE_MIRROR)
    result = mirror.drain(_DRAIN_S)
    for problem in result.problems:
        logger.warning("mirror delayed: %s", problem, extra={"action": "mirror"})
    pass_point(FaultPoint.BEFORE_NOTIFY)
