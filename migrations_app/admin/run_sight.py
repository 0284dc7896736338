"""A run as its page shows it: numbers in order, and nothing that the person who looks may not see.

Keys of rows stand in positions, windows and, now and then, in messages: all of that needs `view_checkpoint`. Everybody
who may see runs sees states, counts, classes of errors and what they mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.urls import reverse
from django.utils import timezone

from migrations_app.enums import RunState
from migrations_app.error_guide import Guide, Side, guide_of
from migrations_app.history import SchemaChange, changes_of_run
from migrations_app.live import CommitRow, HowFar, commit_rows, how_far, phase_alone, phase_words
from migrations_app.models import Run, RunProgress

_FAILED_CASTS = "failed_casts."
_INEXACT_CASTS = "inexact_casts."
_COUNTS = {
    "null_bookmarks": "rows without a bookmark",
    "unparsed_bookmarks": "bookmarks that tell no time",
    "ids_compared": "ids compared",
    "documents_compared": "documents compared",
    "expired": "rows of expired snapshots deleted",
    "chunks_written_again": "chunks written again",
    "requests_repeated": "requests repeated",
    "reconnects": "times connected anew",
}
_SHOWN_COMMITS = 20
#: A line of code in a trace, as `migrations_app/traces.py` writes it; behind the last one stands the error.
_FRAME = re.compile(r"  (\(\d+ frames left out\)|[^:]+:\d+ in [\w.<>]+)")
#: What comes after a phase in every run of a mode, as far as it is sure.
_NEXT = {
    "syncing": ("open", "follow"),
    "logging": ("open", "follow"),
    "mirroring": ("open", "follow", "delete"),
    "dumping": ("open",),
}


@dataclass(frozen=True, slots=True)
class PhaseStep:
    """One step of the phase bar.

    Attributes:
        words: What goes on.
        state: ``done``, ``now``, ``next``, or ``bad`` for the one in which it failed.
        seconds: How long it took, or has taken.
    """

    words: str
    state: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CastRow:
    """Values of one column that could not arrive as they were.

    Attributes:
        keys: Of a few rows of which one could not be cast; None for who may not see keys.
    """

    column: str
    failed: int
    inexact: int
    keys: list[str] | None


class RunSight:
    """Everything that the templates of a run's page ask for.

    Args:
        run: The run, with its stream, its mapping and what it resumes.
        may_see_values: Whether the person may see keys and positions.
    """

    def __init__(self, run: Run, *, may_see_values: bool) -> None:
        self.run = run
        self.may_see_values = may_see_values
        self.progress: RunProgress | None = RunProgress.objects.filter(pk=run.pk).first()
        self.commits: list[CommitRow] = commit_rows(self.progress) if self.progress else []
        self.state = RunState(run.state)

    @property
    def is_active(self) -> bool:
        """Whether it holds its stream."""
        return self.state.is_active

    @property
    def is_silent(self) -> bool:
        """Whether its process has not renewed its lease: nobody may be left who ends it."""
        return self.is_active and self.run.lease_until is not None and self.run.lease_until < timezone.now()

    @property
    def mode(self) -> str:
        """The mode that it ran in; empty before it has a plan."""
        return str(self.run.plan.get("mode", ""))

    @property
    def is_problem(self) -> bool:
        """Whether it ended otherwise than it was to."""
        return self.state in {RunState.FAILED, RunState.LOST}

    # --- How far it is ---------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """What goes on, in words."""
        return phase_words(self._phase or "open")

    @property
    def _phase(self) -> str:
        """The newest that is known: the run's row has it as of the last commit or heartbeat."""
        seen = self.progress.phases if self.progress else []
        return str(seen[-1][0]) if seen else phase_alone(self.run.phase)

    @property
    def phases(self) -> list[PhaseStep]:
        """The phases that it went through, and those that are sure to come."""
        seen: list[Any] = self.progress.phases if self.progress else []
        ends = [began for _, began in seen[1:]]
        ends.append((self.run.finished_at or timezone.now()).timestamp())
        last = len(seen) - 1
        steps = [
            PhaseStep(phase_words(name), self._last_step if place == last else "done", max(0.0, ends[place] - began))
            for place, (name, began) in enumerate(seen)
        ]
        if self.is_active:
            known = {name for name, _ in seen}
            coming = [name for name in _NEXT.get(self.mode, ()) if name not in known]
            steps += [PhaseStep(phase_words(name), "next", None) for name in coming]
        return steps

    @property
    def _last_step(self) -> str:
        if self.is_active:
            return "now"
        return "bad" if self.is_problem else "done"

    @property
    def seconds_left(self) -> float | None:
        """Of a first copy or a backfill whose size is estimated; None where nobody can say."""
        return self._far.seconds_left

    @property
    def percent_done(self) -> int | None:
        """The same as a share of the estimate."""
        return self._far.percent

    @property
    def _far(self) -> HowFar:
        before = self.progress.rows_before if self.progress else None
        done = None if before is None or not self.is_active else before + self.run.read
        return how_far(self._phase, done, self.run.rows_expected, self.rows_per_s)

    @property
    def rows_per_s(self) -> float | None:
        """Over the last commits."""
        return self.progress.rows_per_s if self.progress else None

    @property
    def mean_rows_per_s(self) -> float | None:
        """Over the whole run."""
        return self.run.read / self.run.seconds if self.run.seconds and self.run.read else None

    @property
    def rows_as_they_were(self) -> int:
        """Rows that it read and that stood at the destination already, as they are, once it has ended well."""
        run = self.run
        if run.state != RunState.SUCCEEDED:
            return 0
        return max(0, run.read - run.inserted - run.updated)

    @property
    def bytes_moved(self) -> int:
        """With those that are under way."""
        return max(self.run.byte_count, self.progress.bytes_moved if self.progress else 0)

    @property
    def window(self) -> str:
        """What it reads, in words; empty for who may not see it, and before it reads."""
        if self.progress is None or not self.may_see_values:
            return ""
        return " to ".join(word for word in (self.progress.lower, self.progress.upper) if word)

    @property
    def has_hidden_window(self) -> bool:
        """Whether there is one that the person may not see."""
        return bool(self.progress and self.progress.lower and not self.may_see_values)

    # --- What came of it -------------------------------------------------------------------------

    @property
    def shown_commits(self) -> list[tuple[CommitRow, datetime]]:
        """The newest first, with the time of each."""
        wanted = self.commits[-_SHOWN_COMMITS:] if self.is_active else self.commits
        return [(row, datetime.fromtimestamp(row.at, tz=UTC)) for row in reversed(wanted)]

    @property
    def commit_count(self) -> int:
        """All of them."""
        return self.progress.commits if self.progress else 0

    @property
    def casts(self) -> list[CastRow]:
        """Columns with values that could not be cast, or not exactly."""
        counters: dict[str, int] = self.run.counters
        names = {
            key.removeprefix(prefix)
            for prefix in (_FAILED_CASTS, _INEXACT_CASTS)
            for key in counters
            if key.startswith(prefix)
        }
        known: dict[str, list[str]] = self.progress.uncast if self.progress else {}
        return [
            CastRow(
                name,
                counters.get(_FAILED_CASTS + name, 0),
                counters.get(_INEXACT_CASTS + name, 0),
                known.get(name, []) if self.may_see_values else None,
            )
            for name in sorted(names)
        ]

    @property
    def other_counts(self) -> list[tuple[str, int]]:
        """Countable facts, in words."""
        return [(words, self.run.counters[key]) for key, words in _COUNTS.items() if self.run.counters.get(key)]

    @property
    def altered(self) -> list[tuple[str, str]]:
        """Columns that are not what they were."""
        return sorted(self.progress.altered.items()) if self.progress else []

    @cached_property
    def changes(self) -> list[SchemaChange]:
        """Those of its changes of columns that it was the first to meet, with who has seen them."""
        return changes_of_run(self.run)

    @property
    def is_first(self) -> bool:
        """Whether no run of the stream had begun before it."""
        earlier = Run.objects.filter(stream=self.run.stream_id, created_at__lt=self.run.created_at)
        return not earlier.filter(started_at__isnull=False).exists()

    # --- Why it ended ----------------------------------------------------------------------------

    @property
    def guide(self) -> Guide | None:
        """What its class of error means."""
        return guide_of(self.run.error_class) if self.run.error_class else None

    @property
    def end_to_look_at(self) -> tuple[str, str]:
        """Name and address of the source or destination that the error came from; empty for other errors."""
        guide, stream = self.guide, self.run.stream
        if guide is not None and guide.side is Side.SOURCE:
            source = stream.mapping.source
            return source.name, reverse("admin:migrations_app_source_change", args=(source.pk,))
        if guide is not None and guide.side is Side.DESTINATION:
            named = stream.mapping.named_destinations.filter(name=stream.destination_name).first()
            if named is not None:
                where = reverse("admin:migrations_app_destination_change", args=(named.destination_id,))
                return stream.destination_name, where
        return "", ""

    @property
    def message(self) -> str:
        """Why it is in its state: an error's own words can name a key."""
        if self.run.error_class and not self.may_see_values:
            return ""
        return self.run.reason

    @property
    def trace(self) -> str:
        """Where it failed."""
        return self.run.trace if self.may_see_values else without_messages(self.run.trace)

    @property
    def going_on(self) -> str:
        """Whether it is resumed by itself, in words; where that is known, the time stands beside it."""
        if self.run.resume_at is not None:
            return "It goes on by itself"
        if self.resumed_by:
            return "It went on as another run"
        if not self.run.supervised:
            return "It is not repeated by itself: a command ran it, and told whoever started it"
        return "It is not repeated by itself"

    @cached_property
    def resumed_by(self) -> list[Run]:
        """The runs that went on from it."""
        return list(self.run.resumed_by.order_by("created_at"))

    # --- What it ran by --------------------------------------------------------------------------

    @property
    def plan(self) -> list[tuple[str, str]]:
        """The configuration that it ran by, key by key."""
        head = [(key, str(value)) for key, value in self.run.plan.items() if not isinstance(value, dict)]
        return [*head, *_flat(self.run.plan)]

    @property
    def plan_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.run.plan, indent=2, ensure_ascii=False)

    @property
    def request(self) -> str:
        """What was asked for beside the plan; a backfill's range holds keys."""
        return json.dumps(self.run.request, ensure_ascii=False) if self.run.request and self.may_see_values else ""


def without_messages(trace: str) -> str:
    """A trace with its lines of code and types of errors alone; a message may have several lines."""
    told: list[str] = []
    lines = trace.splitlines()
    for place, line in enumerate(lines):
        if _FRAME.fullmatch(line):
            told.append(line)
        elif place == 0 or _FRAME.fullmatch(lines[place - 1]):
            told.append(f"{line.partition(': ')[0]}\n")
    return "\n".join(told).rstrip()


def _flat(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for value in document.values():
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key, inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
