"""The rules: what is known of a stream, or of a mapping's streams, becomes one word, its reason and what to do.

Pure: no query, no clock but the one that is given. The first rule that fits decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from migrations_app.enums import RunState, StopReason
from migrations_app.formats import human_age

#: A due time that nobody has taken for longer is late, and so is a process that is silent for longer, whatever the
#: schedule: as long as the scheduler may be silent.
LATE_AFTER_S = 180.0
#: In line for a worker a run may stand for this share of the time between two due times, within bounds: a thousand
#: streams that are due each midnight cannot all begin at once, and one that is due each minute is not to wait for ten.
_WAITING_SHARE = 0.1
_WAITING_AT_MOST_S = 3600.0


class Standing(StrEnum):
    """How a stream or a mapping stands; the values are what people read."""

    FAILING = "Failing"
    LATE = "Late"
    STOPPED = "Stopped"
    RUNNING = "Running"
    QUEUED = "Queued"
    NEVER_RUN = "Never run"
    PAUSED = "Paused"
    DISABLED = "Disabled"
    ON_TIME = "On time"
    GONE = "No longer part of its mapping"

    @property
    def wants_attention(self) -> bool:
        """True where somebody should look."""
        return self in {Standing.FAILING, Standing.LATE, Standing.STOPPED}

    @property
    def rank(self) -> int:
        """Lower for what comes first in a list: late and failing before all that is well."""
        return list(Standing).index(self)


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the newest finished run ended, where it did not succeed.

    Attributes:
        reason: Why, in words that are the same for every run of that kind.
        remedy: What to do about it.
        quote: Why, in the run's own words, which can name the key of a row.
    """

    state: str
    reason: str = ""
    remedy: str = ""
    quote: str = ""
    stop_reason: str = ""
    resume_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """The run that holds the stream."""

    state: str
    created_at: datetime
    started_at: datetime | None = None
    lease_until: datetime | None = None
    stop_requested: bool = False
    resumes: bool = False
    is_backfill: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stream.

    Attributes:
        is_part: False when its mapping no longer has it.
        is_paused: By itself.
        is_enabled: Its mapping is.
        is_scheduling: The service schedules at all.
        cron: What its schedule follows; empty for a stream that is not scheduled.
        schedule_problem: Why the cron cannot be followed.
        next_due_at, last_due_at, last_skip_at: Of its schedule.
        last_state, last_finished_at, last_success_at, failures_in_row: Of its totals.
        active: The run that holds it.
        last: Its newest finished run, where that did not succeed.
    """

    is_part: bool = True
    is_paused: bool = False
    is_enabled: bool = True
    is_scheduling: bool = True
    cron: str = ""
    schedule_problem: str = ""
    next_due_at: datetime | None = None
    last_due_at: datetime | None = None
    last_skip_at: datetime | None = None
    last_state: str = ""
    last_finished_at: datetime | None = None
    last_success_at: datetime | None = None
    failures_in_row: int = 0
    active: ActiveRun | None = None
    last: LastRun | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands.

    Attributes:
        standing: One word.
        reason: One sentence on why.
        remedy: What to do; empty when there is nothing to do.
        quote: What the run itself says, for those who may see checkpoints: it can name the key of a row.
    """

    standing: Standing
    reason: str
    remedy: str = ""
    quote: str = ""


def of_stream(facts: Facts, now: datetime) -> Verdict:
    """How a stream stands at that moment."""
    if facts.active is not None:
        return _active(facts, facts.active, now)
    for rule in (_at_rest, _ended_badly, _overdue):
        found = rule(facts, now)
        if found is not None:
            return found
    if not facts.last_state:
        return Verdict(Standing.NEVER_RUN, f"It has not run yet{_schedule(facts, now)}.", _first_run(facts))
    return Verdict(
        Standing.ON_TIME, f"Its last run succeeded {_ago(facts.last_success_at, now)}{_schedule(facts, now)}."
    )


def of_mapping(standings: Iterable[Standing], *, is_enabled: bool) -> Verdict:
    """How a mapping stands, by its streams: what needs somebody gives the word, then what goes on."""
    counts: Counter[Standing] = Counter(standing for standing in standings if standing is not Standing.GONE)
    if not counts:
        remedy = "Give it a destination and a spec; tables behind `*` appear when its source has been asked."
        return Verdict(Standing.NEVER_RUN if is_enabled else Standing.DISABLED, "It has no streams.", remedy)
    word = _word(counts)
    listed = ", ".join(f"{counts[each]} {each.lower()}" for each in Standing if counts[each])
    reason = f"Its stream: {word.lower()}." if counts.total() == 1 else f"Its {counts.total()} streams: {listed}."
    return Verdict(word, reason, _MAPPING_REMEDIES.get(word, ""))


_MAPPING_REMEDIES = {
    Standing.FAILING: "Look at the failing streams, which are named first.",
    Standing.LATE: "Look at the late streams, which are named first.",
    Standing.STOPPED: "Run what has stopped to go on from there.",
    Standing.DISABLED: "Enable it to schedule its streams again.",
    Standing.PAUSED: "Resume all to schedule its streams again.",
}


_WAITS = (
    "See that a worker is up, not drained, and has a free slot: ./run worker. A source's limit of runs at a time holds"
    " runs back too."
)


def _word(counts: Counter[Standing]) -> Standing:
    first = min(counts, key=lambda standing: standing.rank)
    # One stream that is paused, or that is new, does not make the mapping so.
    return Standing.ON_TIME if first.rank >= Standing.NEVER_RUN.rank and counts[Standing.ON_TIME] else first


def _active(facts: Facts, run: ActiveRun, now: datetime) -> Verdict:
    after = _after_it(facts)
    its = "Its backfill" if run.is_backfill else "Its run"
    if run.state == RunState.QUEUED:
        waited = (now - run.created_at).total_seconds()
        reason = f"{its} has waited for a worker for {human_age(max(0.0, waited))}{after}."
        if waited > _may_wait_s(facts):
            return Verdict(Standing.LATE, reason, _WAITS)
        return Verdict(Standing.QUEUED, reason)
    since = human_age(max(0.0, (now - (run.started_at or run.created_at)).total_seconds()))
    if run.lease_until is not None and (now - run.lease_until).total_seconds() > LATE_AFTER_S:
        reason = f"{its} began {since} ago, and its process has gone silent."
        return Verdict(Standing.LATE, reason, "A worker that is up finds that and resumes it; or run it now.")
    if run.stop_requested:
        return Verdict(Standing.RUNNING, f"{its} began {since} ago and stops within seconds{after}.")
    began = "goes on where the last one ended, and began" if run.resumes else "began"
    skipped = facts.last_skip_at is not None and facts.last_skip_at >= run.created_at
    late = "; it was due again meanwhile, and that time was skipped" if skipped else ""
    failed = f"; before it {_failures(facts.failures_in_row)}" if facts.failures_in_row else ""
    return Verdict(Standing.RUNNING, f"{its} {began} {since} ago{late}{failed}{after}.")


def _may_wait_s(facts: Facts) -> float:
    if facts.next_due_at is None or facts.last_due_at is None:
        return LATE_AFTER_S
    interval_s = (facts.next_due_at - facts.last_due_at).total_seconds()
    return min(_WAITING_AT_MOST_S, max(LATE_AFTER_S, interval_s * _WAITING_SHARE))


def _at_rest(facts: Facts, now: datetime) -> Verdict | None:
    """Nobody expects it to run."""
    if not facts.is_part:
        reason = "Its mapping has this table or destination no more; its history and the rows that arrived stay."
        return Verdict(Standing.GONE, reason)
    last = f" Its last run {_ended(facts)} {_ago(facts.last_finished_at, now)}." if facts.last_state else ""
    if not facts.is_enabled:
        return Verdict(Standing.DISABLED, f"Its mapping is disabled.{last}", "Enable the mapping to schedule it again.")
    if facts.is_paused:
        return Verdict(Standing.PAUSED, f"Somebody has paused it.{last}", "Resume it to schedule it again.")
    return None


def _ended_badly(facts: Facts, now: datetime) -> Verdict | None:
    """The last run did not succeed."""
    last = facts.last or LastRun(facts.last_state)
    again = _again(last, facts, now)
    when = _ago(facts.last_finished_at, now)
    if facts.last_state in {RunState.FAILED, RunState.LOST}:
        said = f" {_sentence(last.reason)}" if last.reason else ""
        since = facts.last_success_at
        success = f"It last succeeded {_ago(since, now)}." if since else "It never succeeded."
        reason = f"{_failures(facts.failures_in_row).capitalize()}, the last {when}.{said} {success}"
        remedy = " ".join(part for part in (last.remedy, again) if part) or "Mend the cause, then run it now."
        return Verdict(Standing.FAILING, reason, remedy, last.quote)
    if facts.last_state == RunState.STOPPED:
        said = _sentence(last.reason or "it ended early")
        return Verdict(
            Standing.STOPPED, f"Its last run stopped {when}. {said}", again or "Run it now to go on from there."
        )
    return None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _overdue(facts: Facts, now: datetime) -> Verdict | None:
    """A due time has passed without a run."""
    if facts.schedule_problem:
        return Verdict(Standing.LATE, f"It is never due: {facts.schedule_problem.rstrip('.')}.", "Correct its cron.")
    if not facts.cron or not facts.is_scheduling:
        return None
    due = facts.next_due_at
    if due is not None and (now - due).total_seconds() > LATE_AFTER_S:
        reason = f"It was due {_ago(due, now)} and nobody has started it."
        return Verdict(Standing.LATE, reason, "The scheduler does not run; start or restart a worker: ./run worker.")
    missed = facts.last_due_at
    if (
        missed is None
        or not _is_later(missed, facts.last_finished_at)
        or (now - missed).total_seconds() <= LATE_AFTER_S
    ):
        return None
    reason = f"It was due {_ago(missed, now)} and no run of it has ended since."
    return Verdict(Standing.LATE, reason, "Run it now, or wait for the next due time.")


def _is_later(moment: datetime, than: datetime | None) -> bool:
    return than is None or moment > than


def _again(last: LastRun, facts: Facts, now: datetime) -> str:
    """When it goes on by itself; empty when it does not."""
    if last.resume_at is not None:
        left = (last.resume_at - now).total_seconds()
        return f"It goes on by itself{f' in {human_age(left)}' if left > 0 else ' within seconds, by a worker'}."
    if last.stop_reason == StopReason.CUT_OFF and facts.next_due_at is not None:
        return "It goes on from there when it is due next; or run it now."
    return ""


def _after_it(facts: Facts) -> str:
    """What is worth saying of a stream that runs although nothing schedules it."""
    if not facts.is_part:
        return "; its mapping has it no more"
    if not facts.is_enabled:
        return "; its mapping is disabled, so nothing follows by itself"
    return "; it is paused, so nothing follows by itself" if facts.is_paused else ""


def _schedule(facts: Facts, now: datetime) -> str:
    if not facts.is_scheduling:
        return "; schedules are off in the settings"
    if not facts.cron:
        return "; it has no schedule of its own"
    if facts.next_due_at is None:
        return "; its schedule never comes again"
    left = (facts.next_due_at - now).total_seconds()
    return f"; it is due in {human_age(left)}" if left > 0 else "; it is due now"


def _first_run(facts: Facts) -> str:
    return "" if facts.cron and facts.is_scheduling and facts.next_due_at else "Run it now, or give it a schedule."


def _failures(count: int) -> str:
    return f"{count} runs failed in a row" if count > 1 else "a run failed"


def _ended(facts: Facts) -> str:
    words = {RunState.FAILED: "failed", RunState.LOST: "was lost", RunState.STOPPED: "stopped"}
    return words.get(RunState(facts.last_state), "succeeded")


def _ago(moment: datetime | None, now: datetime) -> str:
    return "some time ago" if moment is None else f"{human_age(max(0.0, (now - moment).total_seconds()))} ago"
