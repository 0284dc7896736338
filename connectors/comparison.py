"""Whether the destination holds what the source holds: counts and hashes by key range, then the keys that differ.

Both ends hash their rows where they are; only the ranges whose counts or hashes differ are cut further, until they are
small enough to compare key by key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from connectors.base import Comparable, Digest, KeyRange
from connectors.mapping import Mode
from connectors.types import Column, StreamSchema
from connectors.wording import counted

#: Rows of one range in the first pass.
RANGE_ROWS = 50_000
#: Ranges of at most so many rows are compared key by key; larger ones are cut into at most so many parts.
_DRILLED_ROWS = 100_000
_MOST_PARTS = 64
_MOST_RANGES = 2000
_KEPT_EXTRAS = frozenset({Mode.SYNCING, Mode.LOGGING})

Key = tuple[str, ...]
T = TypeVar("T")


class Verdict(StrEnum):
    """What a comparison found out."""

    EQUAL = "equal"
    DIFFERENT = "different"
    #: It could not be found out, which is not the same as equal.
    UNKNOWN = "unknown"


class Difference(StrEnum):
    """How the rows of one key differ."""

    #: At the source only.
    MISSING = "missing"
    #: At the destination only.
    EXTRA = "extra"
    CHANGED = "different"
    #: At the destination more than once, otherwise as at the source.
    REPEATED = "repeated"


class Work(StrEnum):
    """What a comparison is at."""

    CONNECTING = "connecting"
    #: The key is cut into ranges.
    CUTTING = "cutting"
    #: All rows are counted and hashed at both ends.
    HASHING = "hashing"
    #: Ranges that differ are looked through for the keys that do.
    SEARCHING = "searching"


@dataclass(slots=True)
class ComparisonReport:
    """What a comparison tells while it works; read by whoever shows it. Holds no key.

    Attributes:
        work: What is going on.
        rows_expected: Estimate of the source's rows; None when unknown.
        ranges: Key ranges of what is going on: all of them, or those that differ.
        ranges_done: Those of them that were looked through.
        hashed: The ends whose rows are counted and hashed: `source`, `destination`.
        mismatches: Keys found so far that must not differ and do.
    """

    work: Work = Work.CONNECTING
    rows_expected: int | None = None
    ranges: int = 0
    ranges_done: int = 0
    hashed: tuple[str, ...] = ()
    mismatches: int = 0

    def begins(self, work: Work, ranges: int = 0) -> None:
        """Say what begins, and of how many ranges."""
        self.work, self.ranges, self.ranges_done = work, ranges, 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "work": self.work.value, "hashed": list(self.hashed)}


@dataclass(frozen=True, slots=True)
class DifferingKey:
    """One key whose rows differ, its columns as text."""

    key: Key
    difference: Difference


@dataclass(slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        mode: Of the stream; it decides whether extra rows are allowed.
        key: Destination names of the key; empty when rows cannot be named.
        source_rows, destination_rows: Counts.
        counts: Number of keys by difference.
        is_counted: False when the search ended early, so that `counts` are lower bounds.
        differing: The first keys that differ, mismatches before extras that are allowed.
        absent_columns: Columns that the destination lacks.
        ignored_columns: Columns that only the destination has.
        reasons: Why the verdict is not `equal`.
        notes: What to know besides.
    """

    mode: Mode
    key: Key = ()
    source_rows: int = 0
    destination_rows: int = 0
    counts: Counter[Difference] = field(default_factory=Counter)
    is_counted: bool = True
    differing: list[DifferingKey] = field(default_factory=list)
    absent_columns: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict.UNKNOWN

    @property
    def allows_extras(self) -> bool:
        """Syncing and logging keep rows that the source has deleted."""
        return self.mode in _KEPT_EXTRAS

    @property
    def mismatches(self) -> int:
        """Keys that must not differ and do."""
        return sum(count for difference, count in self.counts.items() if not self.is_allowed(difference))

    def is_allowed(self, difference: Difference) -> bool:
        """True when the mode lets rows differ in this way."""
        return difference is Difference.EXTRA and self.allows_extras

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict.value,
            "mode": self.mode.value,
            "key": list(self.key),
            "source_rows": self.source_rows,
            "destination_rows": self.destination_rows,
            **{difference.value: self.counts[difference] for difference in Difference},
            "counts_are_complete": self.is_counted,
            "extra_rows_allowed": self.allows_extras,
            "differing_keys": [{"key": list(each.key), "difference": each.difference.value} for each in self.differing],
            "absent_columns": list(self.absent_columns),
            "ignored_columns": list(self.ignored_columns),
            "reasons": self.reasons,
            "notes": self.notes,
        }


def compare(
    source: Comparable,
    destination: Comparable,
    schema: StreamSchema,
    mode: Mode,
    *,
    named_keys: int = 20,
    report: ComparisonReport | None = None,
) -> Comparison:
    """Compare both ends of a stream.

    Args:
        source: One end.
        destination: The other.
        schema: As the source describes it.
        mode: Of the stream.
        named_keys: How many differing keys are named; the search ends when so many mismatches are found.
        report: Told how far it is.
    """
    return _Comparing(source, destination, schema, mode, named_keys, report or ComparisonReport()).run()


class _Comparing:
    """One comparison under way."""

    def __init__(
        self,
        source: Comparable,
        destination: Comparable,
        schema: StreamSchema,
        mode: Mode,
        named_keys: int,
        report: ComparisonReport,
    ) -> None:
        self._source = source
        self._destination = destination
        self._named_keys = named_keys
        self._report = report
        self._columns = _shared_columns(source, destination, schema)
        known = {column.name for column in schema.columns}
        offered = [column.name for column in schema.columns if column.name in source.column_names]
        self._found = Comparison(
            mode,
            key=source.key if source.key == destination.key else (),
            absent_columns=tuple(name for name in offered if name not in destination.column_names),
            ignored_columns=tuple(name for name in destination.column_names if name not in known),
        )

    def run(self) -> Comparison:
        found = self._found
        if not self._can_compare():
            return found
        self._report.rows_expected = self._source.estimated_rows
        self._report.begins(Work.CUTTING)
        ranges = self._ranges()
        self._report.begins(Work.HASHING, len(ranges))
        ours, theirs = self._both(lambda end: self._hashed(end, ranges))
        found.source_rows = sum(digest.rows for digest in ours)
        found.destination_rows = sum(digest.rows for digest in theirs)
        differing = [
            (each, mine, their) for each, mine, their in zip(ranges, ours, theirs, strict=True) if mine != their
        ]
        if differing and found.key:
            self._drill_all(differing)
        elif differing:
            found.reasons.append(_unnamed(found, ours, theirs))
        self._judge()
        return found

    def _hashed(self, end: Comparable, ranges: Sequence[KeyRange]) -> list[Digest]:
        found = end.digests(self._columns, ranges)
        self._report.hashed += ("source" if end is self._source else "destination",)
        return found

    def _can_compare(self) -> bool:
        found = self._found
        lacking = [name for name in found.key if name in found.absent_columns]
        if lacking:
            found.reasons.append(f"the destination lacks key column {', '.join(lacking)}, so rows cannot be matched")
        elif not self._columns:
            found.reasons.append("the two ends have no column in common")
        return not found.reasons

    def _ranges(self) -> list[KeyRange]:
        rows = self._source.estimated_rows
        if not self._found.key or rows is None or rows <= RANGE_ROWS:
            return [KeyRange()]
        return self._source.split(KeyRange(), min(-(-rows // RANGE_ROWS), _MOST_RANGES))

    def _both(self, ask: Callable[[Comparable], T]) -> tuple[T, T]:
        """The same question to both ends at once: each waits for its own server."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="compare") as executor:
            theirs = executor.submit(ask, self._destination)
            return ask(self._source), theirs.result()

    def _drill_all(self, differing: Sequence[tuple[KeyRange, Digest, Digest]]) -> None:
        self._report.begins(Work.SEARCHING, len(differing))
        for number, (key_range, mine, their) in enumerate(differing):
            self._report.ranges_done = number
            for difference in self._drill(key_range, mine, their):
                self._add(difference)
                if self._found.mismatches >= self._named_keys > 0:
                    self._end_early(len(differing) - number - 1)
                    return

    def _drill(self, key_range: KeyRange, mine: Digest, their: Digest) -> Iterator[DifferingKey]:
        """The differing keys of a range, with a bounded number of rows in memory."""
        if max(mine.rows, their.rows) <= _DRILLED_ROWS:
            yield from self._by_key(key_range, mine, their)
            return
        larger = self._source if mine.rows >= their.rows else self._destination
        parts = min(-(-2 * max(mine.rows, their.rows) // _DRILLED_ROWS), _MOST_PARTS)
        ranges = larger.split(key_range, parts)
        ours, theirs = self._both(lambda end: end.digests(self._columns, ranges))
        for part, our_part, their_part in zip(ranges, ours, theirs, strict=True):
            if (our_part, their_part) == (mine, their):
                self._found.reasons.append(
                    f"one key has more than {_DRILLED_ROWS:,} rows at one end, so rows cannot be told apart by the key"
                )
            elif our_part != their_part:
                yield from self._drill(part, our_part, their_part)

    def _by_key(self, key_range: KeyRange, mine: Digest, their: Digest) -> Iterator[DifferingKey]:
        ours, theirs = self._both(lambda end: end.row_hashes(self._columns, key_range))
        if sum(ours.values()) != mine.hash_sum or sum(theirs.values()) != their.hash_sum:
            self._found.reasons.append("rows changed at one end while they were compared; compare again")
        named = 0
        for key in ours.keys() | theirs.keys():
            difference = _difference(ours.get(key), theirs.get(key))
            if difference is not None:
                named += 1
                yield DifferingKey(key, difference)
        if not named:
            self._found.reasons.append("hashes differ in a range in which no key does; compare again")

    def _add(self, each: DifferingKey) -> None:
        """Count a key, and name it when it is among the first; a mismatch takes the place of an allowed extra."""
        found = self._found
        found.counts[each.difference] += 1
        self._report.mismatches += not found.is_allowed(each.difference)
        if len(found.differing) < self._named_keys:
            found.differing.append(each)
        elif not found.is_allowed(each.difference):
            for place, named in enumerate(found.differing):
                if found.is_allowed(named.difference):
                    found.differing[place] = each
                    return

    def _end_early(self, ranges_left: int) -> None:
        found = self._found
        found.is_counted = False
        found.notes.append(
            f"the search ended after {found.mismatches:,} differing keys"
            + (f"; {ranges_left:,} more key ranges differ" if ranges_left else "")
        )

    def _judge(self) -> None:
        found = self._found
        found.differing.sort(key=lambda each: (found.is_allowed(each.difference), each.difference, _natural(each.key)))
        unsettled = bool(found.reasons) and bool(found.key)
        for difference, count in sorted(found.counts.items()):
            if count and not found.is_allowed(difference):
                least = "" if found.is_counted else "at least "
                found.reasons.append(f"{least}{counted(count, *_WORDS[difference])}")
        if found.absent_columns:
            found.reasons.append(
                f"the destination lacks column {', '.join(found.absent_columns)}, which the next run adds"
            )
        if found.counts[Difference.EXTRA] and found.allows_extras:
            gone = "that the source no longer has"
            kept = counted(found.counts[Difference.EXTRA], f"row {gone} is kept", f"rows {gone} are kept")
            found.notes.append(f"{kept}, as {found.mode} does")
        if found.mismatches or found.absent_columns or (found.reasons and not found.key):
            found.verdict = Verdict.DIFFERENT
        else:
            found.verdict = Verdict.UNKNOWN if unsettled else Verdict.EQUAL


_WORDS = {
    Difference.MISSING: ("row is missing at the destination", "rows are missing at the destination"),
    Difference.EXTRA: ("row is at the destination only", "rows are at the destination only"),
    Difference.CHANGED: ("row differs", "rows differ"),
    Difference.REPEATED: ("row is at the destination more than once", "rows are at the destination more than once"),
}


def _shared_columns(source: Comparable, destination: Comparable, schema: StreamSchema) -> tuple[Column, ...]:
    both = set(source.column_names) & set(destination.column_names)
    return tuple(column for column in schema.columns if column.name in both)


def _difference(ours: int | None, theirs: int | None) -> Difference | None:
    if ours == theirs:
        return None
    if theirs is None:
        return Difference.MISSING
    if ours is None:
        return Difference.EXTRA
    if ours and theirs % ours == 0 and theirs // ours > 1:
        return Difference.REPEATED
    return Difference.CHANGED


def _unnamed(found: Comparison, ours: Sequence[Digest], theirs: Sequence[Digest]) -> str:
    """What can be said of a difference without a key."""
    if found.source_rows != found.destination_rows:
        return f"the source has {counted(found.source_rows, 'row')} and the destination {found.destination_rows:,}"
    differing = sum(mine != their for mine, their in zip(ours, theirs, strict=True))
    return f"as many rows at both ends, but not the same ones ({differing} of {len(ours)} hashes differ)"


def _natural(key: Key) -> tuple[tuple[int, int, str], ...]:
    """Order in which people expect keys: numbers by value, texts after them."""
    return tuple((0, int(part), "") if part.lstrip("-").isdecimal() else (1, 0, part) for part in key)
