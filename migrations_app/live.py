"""What a run shows of itself while it works: its last commits, its rates, what it reads, how far it is.

Recorded every other second, and at the end: whoever looks on sees a long commit move, and a run with thousands of
short ones does not write thousands of times. It is for people alone: what a run is, and what is counted, is in its own
row, and a record that could not be written ends nothing.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from django.db import Error, InterfaceError, OperationalError, connection, transaction

from connectors.base import Commit, Position, RunReport
from migrations_app import runs
from migrations_app.enums import EventLevel
from migrations_app.models import Checkpoint, Run, RunProgress, StreamTotals

logger = logging.getLogger(__name__)

#: More would make the record longer than it is worth: it is written anew every other second.
KEPT_COMMITS = 200
RECORD_EVERY_S = 2.0
#: Rates are those of about so many seconds.
_RECENT_S = 30.0
_KEPT_PHASES = 50
#: Phases of a run as people read them; one without an entry is shown as it is.
_WORDS = {
    "open": "connecting",
    "fields": "looking for fields",
    "copy": "first copy",
    "dump": "copying one snapshot",
    "follow": "reading what changed",
    "buffer": "reading once more what changed within buffer_updation_lag",
    "delete": "comparing keys for deletions",
    "columns": "adding columns",
    "indexes": "building indexes",
    "backfill": "reading a range again",
    "compact": "merging small files",
}
#: The phases in which the rows that are expected are those that are read. In others the number is an estimate of
#: something else, and a share of it would mislead.
_COUNTABLE = frozenset({"copy", "backfill"})
_FIELDS = tuple(field.name for field in RunProgress._meta.concrete_fields if not field.primary_key)


@dataclass(frozen=True, slots=True)
class CommitRow:
    """A commit as people look at it.

    Attributes:
        number: Counted from 1 in this run.
        at: Unix time when it was recorded.
        seconds: Since the one before it.
        read, inserted, updated, deleted, byte_count: As in `Commit`.
    """

    number: int
    at: float
    seconds: float
    read: int
    inserted: int
    updated: int
    deleted: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far a first copy or a backfill is, by an estimate of its rows.

    Attributes:
        percent: As people read it, and not all of it before it is; None where nobody can say.
        seconds_left: At the present rate; None where nobody can say.
    """

    percent: int | None = None
    seconds_left: float | None = None


def how_far(phase: str, done: int | None, expected: int | None, rows_per_s: float | None) -> HowFar:
    """How far a run is, everywhere that is shown.

    Args:
        phase: What goes on.
        done: Rows that are durable, those of earlier runs of a first copy too; None when that is not known.
        expected: Estimate of all its rows; None or 0 when there is none.
        rows_per_s: Over the last while; None or 0 when nothing has moved.
    """
    if phase_alone(phase) not in _COUNTABLE or done is None or not expected or expected < 0:
        return HowFar()
    # An estimate that has been reached does not mean that it is done.
    percent = max(0, min(99, 100 * done // expected))
    is_told = rows_per_s is not None and rows_per_s > 0 and done < expected
    return HowFar(percent, (expected - done) / rows_per_s if is_told and rows_per_s else None)


def phase_words(phase: str) -> str:
    """A phase, for people."""
    return _WORDS.get(phase, phase)


def phase_alone(phase: str) -> str:
    """The phase without what a backfill says after its first word: a key, which is a value of a row."""
    return phase.partition(" ")[0]


def doing(run: Run) -> str:
    """What a run that has begun is at, in the same words everywhere."""
    return phase_words(phase_alone(run.phase) or "open")


def commit_rows(progress: RunProgress) -> list[CommitRow]:
    """The commits that were kept, the oldest first."""
    return [CommitRow(*row) for row in progress.last_commits]


class LiveRecord:
    """Collects what one run shows, and records it from time to time.

    Args:
        run: The run.
        report: What the connectors tell.
    """

    def __init__(self, run: Run, report: RunReport) -> None:
        self._run = run
        self._report = report
        self._rows: deque[CommitRow] = deque(maxlen=KEPT_COMMITS)
        self._moved: deque[tuple[float, int]] = deque([(time.monotonic(), report.bytes_moved)])
        self._commits = 0
        self._rows_before: int | None = None
        self._phases: deque[tuple[str, float]] = deque(maxlen=_KEPT_PHASES)
        self._committed_at = time.monotonic()
        self._record_at = self._committed_at + RECORD_EVERY_S
        self._was: object = None
        self._logged = 0

    def opened(self, position: Position | None) -> None:
        """Both ends are connected; the stream stands there."""
        self._committed_at = time.monotonic()
        if self._run.is_backfill:
            # It reads its range from the beginning each time that it connects.
            self._rows_before = -self._run.read
        elif position is None:
            self._rows_before = self._rows_before or 0
        elif self._rows_before is None:
            try:
                self._rows_before = _rows_of_first_copy(self._run)
            except Error as error:
                _leave(error)

    def committed(self, commit: Commit) -> None:
        """Rows are durable."""
        now = time.monotonic()
        self._commits += 1
        self._rows.append(
            CommitRow(
                self._commits,
                round(time.time(), 3),
                round(now - self._committed_at, 3),
                commit.read,
                commit.inserted,
                commit.updated,
                commit.deleted,
                commit.byte_count,
            )
        )
        self._committed_at = now

    def look(self) -> None:
        """Record when it is time to; cheap enough to be called often."""
        self._note_phase()
        now = time.monotonic()
        if now >= self._record_at:
            self._record_at = now + RECORD_EVERY_S
            self._moved.append((now, self._report.bytes_moved))
            while len(self._moved) > 2 and now - self._moved[0][0] > _RECENT_S:
                self._moved.popleft()
            self.record()

    def record(self) -> None:
        """Write down what is known now, unless nothing of it is new."""
        self._note_phase()
        row = self._row()
        what = [len(self._report.warnings), *(getattr(row, name) for name in _FIELDS if name != "at")]
        if what == self._was:
            return
        warnings = self._report.warnings[self._logged :]
        try:
            with transaction.atomic():
                for sentence in warnings:
                    runs.log(self._run, EventLevel.WARNING, sentence)
                RunProgress.objects.bulk_create(
                    [row], update_conflicts=True, update_fields=_FIELDS, unique_fields=["run"]
                )
        except Error as error:
            _leave(error)
        else:
            self._was = what
            self._logged += len(warnings)

    def _note_phase(self) -> None:
        phase = phase_alone(self._report.phase)
        if not self._phases or self._phases[-1][0] != phase:
            self._phases.append((phase, round(time.time(), 3)))

    def _row(self) -> RunProgress:
        report = self._report
        return RunProgress(
            run=self._run,
            at=datetime.now(tz=UTC),
            commits=self._commits,
            last_commits=[list(asdict(row).values()) for row in self._rows],
            phases=[list(pair) for pair in self._phases],
            bytes_moved=report.bytes_moved,
            rows_before=self._rows_before,
            rows_per_s=rows_per_s(list(self._rows)),
            bytes_per_s=self._bytes_per_s(),
            lower=report.lower,
            upper=report.upper,
            altered=dict(report.altered),
            uncast=dict(report.uncast),
        )

    def _bytes_per_s(self) -> float | None:
        (then, before), (now, after) = self._moved[0], self._moved[-1]
        return (after - before) / (now - then) if now > then else None


def _leave(error: Error) -> None:
    """The control database cannot be asked now: the run goes on, with a new connection."""
    is_away = isinstance(error, OperationalError | InterfaceError)
    cause = "control database away" if is_away else "progress not recorded"
    logger.warning("%s: %s", cause, type(error).__name__, extra={"action": "progress"})
    if not connection.in_atomic_block:
        connection.close()


def rows_per_s(rows: list[CommitRow]) -> float | None:
    """Of the last commits, those of about half a minute; None before there is one."""
    recent: list[CommitRow] = []
    for row in reversed(rows):
        recent.append(row)
        if rows[-1].at - row.at + row.seconds >= _RECENT_S:
            break
    seconds = sum(row.seconds for row in recent)
    return sum(row.read for row in recent) / seconds if seconds > 0 else None


def _rows_of_first_copy(run: Run) -> int | None:
    """What earlier runs have copied, as long as none has ended its first copy."""
    if StreamTotals.objects.filter(pk=run.stream_id, succeeded__gt=0).exists():
        return None
    return Checkpoint.objects.filter(pk=run.stream_id).values_list("rows_total", flat=True).first()
