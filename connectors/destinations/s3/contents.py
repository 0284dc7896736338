"""What parts hold, read from their rows: key bounds, snapshots, and rows that stand in more than one part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.arrow.arrays import one_array
from connectors.arrow.hashing import Hashes, row_hashes
from connectors.destinations.s3.keys import KeyForm
from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.objects import Objects
from connectors.destinations.s3.parts import snapshot_of
from connectors.destinations.s3.target import SNAPSHOT_COLUMN
from connectors.errors import DestinationError
from connectors.wording import counted

#: Rows whose hashes are in memory at once; of larger tables the parts are read several times.
_ROWS_AT_ONCE = 8_000_000
_NAMED_PAIRS = 5

#: Epoch, sequence and number in a part's name.
Number = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Contents:
    """Where the parts are and what they have in common.

    Attributes:
        objects: The store.
        schema: Of all parts.
        key: Names of the key's columns; empty for dumps.
        is_dump: True when every part belongs to one snapshot.
    """

    objects: Objects
    schema: pa.Schema
    key: tuple[str, ...]
    is_dump: bool


def contents_of(contents: Contents, part: Part) -> Part:
    """A part of which key, rows, size and etag are known, with everything else that a manifest says.

    Raises:
        DestinationError: A part of a dump holds rows of several snapshots.
    """
    partition = part.key.rpartition("/")[0]
    if contents.is_dump:
        return replace(part, partition=partition, snapshot=_snapshot(contents, part))
    if not contents.key:
        return replace(part, partition=partition)
    form = KeyForm.of(contents.key, contents.schema)
    lows, highs = [], []
    for table in _groups(contents, part, contents.key):
        bounds = form.bounds(form.encode(table))
        if bounds is not None:
            lows.append(bounds[0])
            highs.append(bounds[1])
    if not lows:
        return replace(part, partition=partition)
    low, high = min(lows), max(highs)
    return replace(
        part,
        partition=partition,
        key_min=form.bound_text(low, is_upper=False),
        key_max=form.bound_text(high, is_upper=True),
    )


def refuse_repeated_rows(contents: Contents, parts: Sequence[Part], numbers: Mapping[str, Number]) -> None:
    """Make sure that no row counts twice, as it would when a part stands beside the one that it was merged into.

    Args:
        contents: Of the table.
        parts: All of them.
        numbers: Epoch, sequence and number of each part, by its key.

    Raises:
        DestinationError: A key stands in two parts, or a dump's part in other parts that were written later.
    """
    pairs = _nested_parts(contents, parts, numbers) if contents.is_dump else _pairs_with_one_key(contents, parts)
    if not pairs:
        return
    named = "; ".join(
        f"{one} and {other} ({counted(count, 'row')})" for (one, other), count in pairs.most_common(_NAMED_PAIRS)
    )
    more = f" and {len(pairs) - _NAMED_PAIRS} more pairs" if len(pairs) > _NAMED_PAIRS else ""
    message = (
        f"parts hold the same rows: {named}{more}; of each pair move one away, usually the one with the lower numbers"
        " in its name, and rebuild again"
    )
    raise contents.objects.side.error(DestinationError, message)


def _pairs_with_one_key(contents: Contents, parts: Sequence[Part]) -> Counter[tuple[str, str]]:
    """Pairs of parts that hold rows of one key, and how many; a part with itself when it has a key twice."""
    pairs: Counter[tuple[str, str]] = Counter()
    if not contents.key:
        return pairs
    passes = _passes(parts)
    for number in range(passes):
        hashes, owners = [], []
        for place, part in enumerate(parts):
            found = _hashes(contents, part, contents.key, passes, number)
            hashes.append(found)
            owners.append(np.full(len(found), place, np.int32))
        if not hashes:
            continue
        together, owner = np.concatenate(hashes), np.concatenate(owners)
        order = np.argsort(together, kind="stable")
        same = np.flatnonzero(together[order][1:] == together[order][:-1])
        for first, second in zip(owner[order[same]].tolist(), owner[order[same + 1]].tolist(), strict=True):
            pairs[parts[first].key, parts[second].key] += 1
    return pairs


def _nested_parts(contents: Contents, parts: Sequence[Part], numbers: Mapping[str, Number]) -> Counter[tuple[str, str]]:
    """Parts of a dump all of whose rows stand in parts of the same snapshot that another, later set brought."""
    pairs: Counter[tuple[str, str]] = Counter()
    by_snapshot: dict[tuple[str | None, str], list[Part]] = {}
    for part in parts:
        by_snapshot.setdefault((part.snapshot, part.partition), []).append(part)
    for together in by_snapshot.values():
        sets = {numbers[part.key][:2] for part in together}
        # What one set brought is there as it was read, rows that are equal included.
        for older in (part for part in together if part.rows and numbers[part.key][:2] != max(sets)):
            newer = [part for part in together if numbers[part.key][:2] > numbers[older.key][:2]]
            if _is_within(contents, older, newer):
                pairs[older.key, newer[-1].key] = older.rows
    return pairs


def _is_within(contents: Contents, older: Part, newer: Sequence[Part]) -> bool:
    names = contents.schema.names
    passes = _passes([older, *newer])
    for number in range(passes):
        ours = _hashes(contents, older, names, passes, number)
        theirs = np.concatenate([_hashes(contents, part, names, passes, number) for part in newer])
        if not np.isin(ours, theirs).all():
            return False
    return True


def _passes(parts: Sequence[Part]) -> int:
    return max(1, -(-sum(part.rows for part in parts) // _ROWS_AT_ONCE))


def _hashes(contents: Contents, part: Part, names: Sequence[str], passes: int, number: int) -> Hashes:
    """The hashes of a part's rows that one of several passes looks at."""
    found = [np.empty(0, np.int64)]
    for table in _groups(contents, part, names):
        hashes = row_hashes([one_array(table.column(name)) for name in names])
        found.append(hashes[hashes % passes == number])
    return np.concatenate(found)


def _snapshot(contents: Contents, part: Part) -> str | None:
    found: set[str] = set()
    for table in _groups(contents, part, [SNAPSHOT_COLUMN]):
        for value in pc.unique(table.column(SNAPSHOT_COLUMN)):
            batch = pa.record_batch([pa.array([value.as_py()], value.type)], [SNAPSHOT_COLUMN])
            found.add(snapshot_of(batch))
    if len(found) > 1:
        message = f"the part {part.key} holds rows of {len(found)} snapshots; move it away, and rebuild again"
        raise contents.objects.side.error(DestinationError, message)
    return next(iter(found), None)


def _groups(contents: Contents, part: Part, names: Sequence[str]) -> Iterator[pa.Table]:
    with ExitStack() as stack:
        source = stack.enter_context(contents.objects.open_input(part))
        file = stack.enter_context(pq.ParquetFile(source, pre_buffer=True))
        for number in range(file.metadata.num_row_groups):
            yield file.read_row_group(number, list(names), use_threads=False)
