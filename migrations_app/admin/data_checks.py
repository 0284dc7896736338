"""The last data check of a stream in words: what goes on, what came of it, or why nothing comes."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from connectors.comparison import Work
from migrations_app import formats
from migrations_app.models import DataCheck, Stream
from migrations_app.verbs import checking

_FIGURES = {
    "rows at the source": "source_rows",
    "rows at the destination": "destination_rows",
    "missing at the destination": "missing",
    "only at the destination": "extra",
    "different": "different",
    "more than once": "repeated",
}
_OTHER = {"source": "destination", "destination": "source"}


def check_of(stream: Stream) -> dict[str, Any] | None:
    """The last data check as templates/parts/data_check.html shows it; None for none."""
    check: DataCheck | None = getattr(stream, "data_check", None)
    if check is None:
        return None
    why_none = checking.why_none(check)
    result = check.result
    figures = [
        (name, result[key])
        for name, key in _FIGURES.items()
        if isinstance(result.get(key), int) and (result[key] or key.endswith("_rows"))
    ]
    is_going_on = check.finished_at is None and not why_none
    return {
        "row": check,
        "is_going_on": is_going_on,
        "is_cancelled": check.verdict == checking.CANCELLED,
        "doing": doing(check) if is_going_on else "",
        "since_s": (timezone.now() - check.asked_at).total_seconds(),
        "percent": _percent(check.progress),
        "why_none": why_none,
        "figures": figures,
        "error": result.get("error", ""),
        "reasons": result.get("reasons", []),
        "notes": result.get("notes", []),
        "keys": result.get("differing_keys", []),
        "seconds": result.get("seconds"),
    }


def doing(check: DataCheck) -> str:
    """What a data check that goes on is at, in a sentence without its end."""
    if check.stop_requested:
        return f"ends, since {check.stop_requested_by or 'somebody'} cancelled it"
    if check.owner_pid is None:
        return "waits until its process begins"
    progress = check.progress
    if not progress:
        return "waits for its turn, behind other streams of the mapping"
    return _SENTENCES[Work(progress["work"])](progress)


def _hashing(progress: dict[str, Any]) -> str:
    rows, ranges = progress["rows_expected"], progress["ranges"]
    about = f" (about {formats.human_count(rows)} at the source)" if rows else ""
    within = f", in {formats.human_count(ranges)} ranges of the key" if ranges > 1 else ""
    done = progress["hashed"]
    ends = f"; the {done[0]} is done, the {_OTHER[done[0]]} is not yet" if len(done) == 1 else ""
    return f"counts and hashes all rows at both ends{about}{within}{ends}"


def _searching(progress: dict[str, Any]) -> str:
    looked_at = f"range {progress['ranges_done'] + 1} of {progress['ranges']} that differ"
    return f"looks for the keys that differ, in {looked_at}; {formats.human_count(progress['mismatches'])} found so far"


_SENTENCES = {
    Work.CONNECTING: lambda _: "connects to both ends",
    Work.CUTTING: lambda _: "cuts the key into ranges",
    Work.HASHING: _hashing,
    Work.SEARCHING: _searching,
}


def _percent(progress: dict[str, Any]) -> int | None:
    """Of the search, whose steps are known; how long hashing takes is nobody's knowledge."""
    if progress.get("work") != Work.SEARCHING or progress["ranges"] < 2:
        return None
    return int(100 * progress["ranges_done"] // progress["ranges"])
