"""Verify: is at the destination what is at the source?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from connectors.base import HashForm, RunReport
from connectors.comparison import Comparison, Verdict, compare
from connectors.errors import ConnectorError
from migrations_app.plans import Plan

NAMED_KEYS = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of one stream's comparison.

    Attributes:
        stream_id: The stream.
        mode: Its mode.
        comparison: None when it could not be made.
        error: Why it could not.
        seconds: How long it took.
    """

    stream_id: str
    mode: str
    comparison: Comparison | None
    error: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """What could not be compared is unknown, never equal."""
        return Verdict.UNKNOWN if self.comparison is None else self.comparison.verdict

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        found = {"verdict": self.verdict.value} if self.comparison is None else self.comparison.as_dict()
        return {
            "stream": self.stream_id,
            "mode": self.mode,
            **found,
            "error": self.error,
            "seconds": round(self.seconds, 3),
        }


def verify(plan: Plan, *, named_keys: int = NAMED_KEYS) -> Verification:
    """Compare both ends of a stream. Changes nothing; an end that cannot be asked is part of the answer.

    Args:
        plan: The stream.
        named_keys: How many differing keys to name.
    """
    started = time.monotonic()
    comparison, error = None, ""
    try:
        comparison = _compare(plan, named_keys)
    except ConnectorError as caught:
        error = str(caught)
    return Verification(plan.stream.unique_id, plan.stream.mode.value, comparison, error, time.monotonic() - started)


def _compare(plan: Plan, named_keys: int) -> Comparison:
    report = RunReport()
    source, destination = plan.source(report), plan.destination(report)
    try:
        source.open()
        destination.connect()
        schema = source.describe(destination.stored_position())
        is_quick = {source.hash_form, destination.hash_form} == {HashForm.QUICK}
        form = HashForm.QUICK if is_quick else HashForm.PORTABLE
        ours = source.comparable(form)
        theirs = destination.comparable(schema, ours.key, form, source.snapshot_of) if ours is not None else None
        if ours is None or theirs is None:
            end = plan.source_config.source_type if ours is None else plan.destination_config.destination_type
            reason = f"the {end} connector cannot compare its rows yet"
            return Comparison(plan.stream.mode, reasons=[reason])
        return compare(ours, theirs, schema, plan.stream.mode, named_keys=named_keys)
    finally:
        source.close()
        destination.close()
