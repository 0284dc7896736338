"""Events in the words of a Slack message, and the trace of a failure as its reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrations_app.enums import StopReason
from migrations_app.notify.events import Event

#: Slack cuts texts that are longer than 4,000 characters into several messages' worth.
#: Source: docs.slack.dev/reference/methods/chat.postMessage
_LONGEST_TRACE = 3500

_ICONS = {
    Event.SUCCEEDED: ":white_check_mark:",
    Event.RECOVERED: ":large_green_circle:",
    Event.FAILED: ":x:",
    Event.STOPPED: ":double_vertical_bar:",
    Event.LOST: ":warning:",
}
_GOES_ON = {
    StopReason.OPERATOR: "It goes on from its last commit when somebody starts it.",
    StopReason.CUT_OFF: "It goes on from its last commit when it is due next.",
}
_RESUMES = "It goes on from its last commit by itself."
_NEXT_RUN = "What it had committed stands; the next run goes on from there."


def message_of(content: Mapping[str, Any]) -> str:
    """The message: stream, outcome, counts, and for what went wrong the sentence with the remedy."""
    event = Event(content["event"])
    head = f"{_ICONS[event]} *{escaped(content['stream'])}* {_outcome(event, content)}"
    return "\n".join([head, *_details(event, content)])


def trace_of(content: Mapping[str, Any]) -> str:
    """The reply below a failure: where it happened; empty when there is nothing to tell."""
    trace = content.get("trace") or ""
    if not trace:
        return ""
    # The end is where it was raised last; what is cut is the first cause.
    shown = trace if len(trace) <= _LONGEST_TRACE else f"(cut)\n{trace[-_LONGEST_TRACE:]}"
    return f"Where run {content['run']} failed:\n```{escaped(shown)}```"


def escaped(text: str) -> str:
    """Slack reads & < > as its own: names of channels and people to call. Backticks would end a block of code."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _outcome(event: Event, content: Mapping[str, Any]) -> str:
    after = "" if content["seconds"] is None else f" {_preposition(event)} {_duration(content['seconds'])}"
    target = escaped(content["destination"])
    if content["destination_type"]:
        target += f" ({content['destination_type']})"
    match event:
        case Event.SUCCEEDED:
            return f"was copied to {target}{after}"
        case Event.RECOVERED:
            count = content["failures_before"]
            runs = "a run that failed" if count == 1 else f"{count:,} runs that failed"
            return f"works again: it was copied to {target}{after}, after {runs} or got lost"
        case Event.STOPPED:
            return f"to {target} stopped early{after}"
        case Event.LOST:
            return f"to {target} got lost{after}"
        case Event.FAILED:
            return f"to {target} failed{after}"


def _details(event: Event, content: Mapping[str, Any]) -> list[str]:
    lines = []
    if event in {Event.FAILED, Event.LOST, Event.STOPPED} and content["reason"]:
        lines.append(escaped(_sentence(content["reason"])))
    lines.append(_counts(content))
    if content["resumes"]:
        lines.append(_RESUMES)
    elif event in {Event.STOPPED, Event.LOST}:
        lines.append(_GOES_ON.get(content["stop_reason"], _NEXT_RUN))
    lines.append(f"run {content['run']}")
    return lines


def _counts(content: Mapping[str, Any]) -> str:
    counts = content["counts"]
    told = ", ".join(f"{counts[name]:,} {name}" for name in ("read", "inserted", "updated", "deleted"))
    warnings = content["warnings"]
    if warnings:
        told += f"; {warnings} warning{'' if warnings == 1 else 's'}, see the run"
    return f"Rows: {told}"


def _preposition(event: Event) -> str:
    return "in" if event in {Event.SUCCEEDED, Event.RECOVERED} else "after"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
