"""What a run tells while it works."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class RunReport:
    """What a run tells while it works; written by the connectors, read by whoever shows progress.

    Attributes:
        phase: What is going on, in a few words: ``copy``, ``follow``, ``delete``, ``indexes``.
        bytes_moved: Bytes that went from the source to the destination so far.
        rows_expected: Estimate of the rows that this run will move; None when unknown.
        warnings: Sentences for the operator.
        counts: Countable facts such as ``null_bookmarks`` or ``unparsed_bookmarks``.
        t0: The source's clock when the run began to read.
        lower, upper: The bounds of what is being read, in words. May name keys, which are values of rows.
        uncast: Keys of a few rows whose value could not be cast, by the column's name at the source.
        altered: What became of columns since the run before, in words, by the column's name at the destination.
    """

    phase: str = "open"
    bytes_moved: int = 0
    rows_expected: int | None = None
    warnings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    t0: datetime | None = None
    lower: str = ""
    upper: str = ""
    altered: dict[str, str] = field(default_factory=dict)
    uncast: dict[str, list[str]] = field(default_factory=dict)

    def reads(self, lower: str, upper: str) -> None:
        """Say which part of the source is being read."""
        self.lower, self.upper = lower, upper

    def warn(self, sentence: str) -> None:
        """Add a warning once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
