"""A run's log as people read it, and the text that they send to whoever helps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from migrations_app.admin.run_sight import RunSight, without_messages
from migrations_app.admin.versions import versions
from migrations_app.enums import EventLevel
from migrations_app.formats import human_bytes, human_seconds
from migrations_app.live import phase_words
from migrations_app.masking import mask
from migrations_app.templatetags.dms import stamp

#: What each choice of the level filter shows.
LEVELS: dict[str, tuple[EventLevel, ...]] = {
    "info": tuple(EventLevel),
    "warning": (EventLevel.WARNING, EventLevel.ERROR),
    "error": (EventLevel.ERROR,),
}
_MOST_LINES = 500
_HIDDEN = "what the error says can name a key; it needs the permission to see checkpoints"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log.

    Attributes:
        at: When.
        level: How much it matters.
        text: One sentence, or several.
        is_first_error: Whether it is the first one of its level.
    """

    at: datetime
    level: EventLevel
    text: str
    is_first_error: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """Lines, the oldest first.

    Attributes:
        lines: Those that are shown.
        left_out: How many older ones are not.
        level: The choice that was made.
    """

    lines: list[Line]
    left_out: int
    level: str

    @property
    def has_error(self) -> bool:
        """Whether there is an error to jump to."""
        return any(line.is_first_error for line in self.lines)


def log_of(sight: RunSight, level: str = "info", *, limit: int | None = _MOST_LINES) -> Log:
    """The log: what the run recorded, with its beginning and its phases.

    Args:
        sight: The run.
        level: A key of LEVELS; anything else is the first.
        limit: Lines at most, the newest; None for all.
    """
    chosen = level if level in LEVELS else "info"
    lines = sorted([*_of_record(sight), *_of_events(sight)], key=lambda line: line.at)
    lines = [line for line in lines if line.level in LEVELS[chosen]]
    errors = [place for place, line in enumerate(lines) if line.level is EventLevel.ERROR]
    if errors:
        first = lines[errors[0]]
        lines[errors[0]] = Line(first.at, first.level, first.text, is_first_error=True)
    left_out = max(0, len(lines) - limit) if limit is not None else 0
    return Log(lines[left_out:], left_out, chosen)


def as_text(log: Log) -> str:
    """The log as a file."""
    return "".join(f"{stamp(line.at)} {line.level.upper():7} {line.text}\n" for line in log.lines)


def diagnostics(sight: RunSight) -> str:
    """What helps to find a fault, without a value, a key or a secret, for whoever is asked for help."""
    run = sight.run
    guide = sight.guide
    facts: list[tuple[str, object]] = [
        ("run", run.pk),
        ("stream", run.stream.unique_id),
        ("mode", sight.mode),
        ("from", run.plan.get("source_type")),
        ("to", run.plan.get("destination_type")),
        ("state", run.state),
        ("stop reason", run.stop_reason),
        ("phase", sight.phase),
        ("trigger", run.trigger),
        ("attempt", run.attempt),
        ("resumes", run.resumes_id),
        ("queued", stamp(run.created_at)),
        ("started", stamp(run.started_at) if run.started_at else None),
        ("ended", stamp(run.finished_at) if run.finished_at else None),
        ("took", human_seconds(run.seconds) if run.seconds is not None else None),
        ("host", f"{run.owner_host} pid {run.owner_pid}" if run.owner_pid else None),
        ("lease epoch", run.lease_epoch),
        ("rows", f"read {run.read}, inserted {run.inserted}, updated {run.updated}, deleted {run.deleted}"),
        ("moved", human_bytes(sight.bytes_moved)),
        ("commits", sight.commit_count),
        ("phases", ", ".join(f"{step.words} {human_seconds(step.seconds or 0)}" for step in sight.phases)),
        ("counts", ", ".join(f"{key} {count}" for key, count in run.counters.items())),
        ("columns changed", ", ".join(name for name, _ in sight.altered)),
        ("warnings", len(run.warnings)),
        ("error", f"{run.error_class} ({guide.side})" if guide else None),
        ("cause", guide.cause if guide else None),
        ("remedy", guide.remedy if guide else None),
        ("goes on", sight.going_on if sight.is_problem else None),
        ("versions", versions()),
    ]
    lines = [f"{name}: {value}" for name, value in facts if value not in (None, "")]
    if run.trace:
        lines += ["trace:", without_messages(run.trace)]
    return mask("\n".join(lines))


def _of_record(sight: RunSight) -> list[Line]:
    """What the run's row says of its way."""
    run = sight.run
    by = f" by {run.requested_by}" if run.requested_by else ""
    lines = [Line(run.created_at, EventLevel.INFO, f"queued ({run.trigger}{by})")]
    if run.started_at is not None:
        owner = f" by process {run.owner_pid} on {run.owner_host}" if run.owner_pid else ""
        lines.append(Line(run.started_at, EventLevel.INFO, f"started{owner}"))
    phases = sight.progress.phases if sight.progress else []
    lines += [Line(_moment(began), EventLevel.INFO, f"phase: {phase_words(name)}") for name, began in phases]
    return lines


def _of_events(sight: RunSight) -> list[Line]:
    events = sight.run.events.order_by("id")
    return [Line(each.at, EventLevel(each.level), _told(sight, each.level, each.message)) for each in events]


def _told(sight: RunSight, level: str, message: str) -> str:
    """The message, unless it is an error's own and the person may not see keys."""
    if level != EventLevel.ERROR or sight.may_see_values or not sight.run.error_class:
        return message
    return f"{sight.run.state}: {sight.run.error_class} ({_HIDDEN})"


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, tz=UTC)
