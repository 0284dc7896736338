"""Several runs at once: which of them are stopped or tried again, what that does in numbers, and doing it.

What is chosen is looked at twice, when it is shown and when it is done: runs end meanwhile, and others begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Max

from connectors.mapping import MappingError
from connectors.wording import counted
from migrations_app import audit, runs, secrets, starting
from migrations_app.audit import Actor
from migrations_app.enums import ACTIVE_STATES, RunState, TriggerKind
from migrations_app.models import Mapping, Run

_ENDED_BADLY = frozenset({RunState.FAILED, RunState.STOPPED, RunState.LOST})


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of the runs that somebody chose.

    Attributes:
        runs: Those that something is done to, the newest first.
        left: How many are left alone, by the reason, such as "ended already".
    """

    runs: list[Run]
    left: Counter[str]

    @property
    def stream_count(self) -> int:
        """Of how many streams they are."""
        return len({run.stream_id for run in self.runs})

    @property
    def mapping_count(self) -> int:
        """Of how many mappings these are."""
        return len({run.stream.mapping_id for run in self.runs})


@dataclass(slots=True)
class Outcome:
    """What was done.

    Attributes:
        done: To how many runs.
        problems: Why nothing was done to others, each as a sentence.
    """

    done: int = 0
    problems: list[str] = field(default_factory=list)


def to_stop(chosen: Sequence[Run]) -> Choice:
    """Those that hold their stream."""
    active = [run for run in _newest_first(chosen) if run.state in ACTIVE_STATES]
    left = Counter({"ended already": len(chosen) - len(active)})
    return Choice(active, +left)


def to_retry(chosen: Sequence[Run]) -> Choice:
    """Those that ended badly: of each stream the newest one, where no run holds it."""
    found: list[Run] = []
    left: Counter[str] = Counter()
    streams = {run.stream_id for run in chosen}
    busy = set(Run.objects.filter(stream__in=streams, state__in=ACTIVE_STATES).values_list("stream_id", flat=True))
    taken: set[int] = set()
    for run in _newest_first(chosen):
        reason = _why_not_again(run, busy, taken)
        if reason:
            left[reason] += 1
            continue
        taken.add(run.stream_id)
        found.append(run)
    return Choice(found, left)


def succeeded_since(chosen: Sequence[Run]) -> int:
    """How many of these runs were followed by one of their stream that succeeded."""
    streams = {run.stream_id for run in chosen}
    rows = Run.objects.filter(stream__in=streams, state=RunState.SUCCEEDED).order_by()
    last = dict(rows.values_list("stream_id").annotate(Max("created_at")))
    return sum(run.stream_id in last and last[run.stream_id] > run.created_at for run in chosen)


def stop(choice: Choice, *, by: Actor) -> Outcome:
    """Ask each of the runs to end at its last commit."""
    outcome = Outcome()
    for run in choice.runs:
        with transaction.atomic():
            is_stopping = runs.request_stop(run)
            if is_stopping:
                audit.record(by, "stop", run)
        if is_stopping:
            outcome.done += 1
        else:
            outcome.problems.append(f"{run.stream.unique_id}: its run ended meanwhile.")
    return outcome


def retry(choice: Choice, *, by: Actor) -> Outcome:
    """Queue for each of the runs one that does what it was to do, from where its stream is now."""
    outcome = Outcome()
    by_mapping: dict[str, list[Run]] = {}
    for run in choice.runs:
        by_mapping.setdefault(run.stream.mapping_id, []).append(run)
    for found in by_mapping.values():
        problems = _why_not_startable(found[0].stream.mapping)
        if problems:
            outcome.problems += problems
            continue
        queued = list(_queued(found, outcome, by))
        outcome.done += len(queued)
        # One process for all of them, where no worker is up.
        starting.see_to(queued)
    return outcome


def left_in_words(left: Counter[str]) -> list[str]:
    """Why runs are left alone, each reason as a sentence."""
    return [
        f"{counted(count, 'run')} {'is' if count == 1 else 'are'} left alone: {why}." for why, count in left.items()
    ]


def _queued(found: Iterable[Run], outcome: Outcome, by: Actor) -> Iterable[Run]:
    for run in found:
        try:
            with transaction.atomic():
                new = starting.queue_again(run, requested_by=by.name, trigger=TriggerKind.ADMIN)
                audit.record(by, "retry", run, details={"run": str(new.pk)})
        except runs.AlreadyRunningError as error:
            outcome.problems.append(f"{error}.")
            continue
        yield new


def _why_not_again(run: Run, busy: set[int], taken: set[int]) -> str:
    if run.state in ACTIVE_STATES:
        return "not ended yet"
    if run.state not in _ENDED_BADLY:
        return "succeeded"
    if not run.stream.active:
        return "the stream is no longer part of its mapping"
    if run.stream_id in busy:
        return "the stream has a run already"
    if run.stream_id in taken:
        return "a newer one of the stream is chosen too"
    return ""


def _why_not_startable(mapping: Mapping) -> list[str]:
    try:
        starting.check_startable(mapping)
    except MappingError as error:
        return [f"{mapping.pk}: {issue}" for issue in error.issues]
    except secrets.SecretUnreadableError as error:
        return [f"{mapping.pk}: {error}"]
    return []


def _newest_first(chosen: Iterable[Run]) -> list[Run]:
    return sorted(chosen, key=lambda run: (run.created_at, run.pk), reverse=True)
