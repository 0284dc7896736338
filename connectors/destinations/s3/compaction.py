"""Compaction: the small parts of a partition become few full ones. Rows and values stay as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pyarrow.parquet as pq

from connectors.destinations.s3.manifest import Part
from connectors.destinations.s3.parts import PartWriter, Sizes
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.rewriting import local_copy
from connectors.destinations.s3.work import Work
from connectors.verbs import Compacted

#: So much is merged by one set: what is being merged is twice in the bucket until its set is published.
_SET_BYTES = 512 * 1024 * 1024


def compact(work: Work, *, from_parts: int = 2) -> Compacted:
    """Merge the small parts of each partition, and of each snapshot of a dump, that has so many of them.

    Args:
        work: The table.
        from_parts: Partitions with fewer small parts are left alone.
    """
    total = Compacted()
    for plan in _sets(work, from_parts):
        with work.table.publish() as publication:
            done = Compacted()
            for parts in plan:
                work.check_stop()
                done += _merge(work, publication, parts)
            publication.commit()
        total += done
    return total


def forecast(parts: tuple[Part, ...], sizes: Sizes) -> Compacted:
    """About what `compact` would do with these parts."""
    total = Compacted()
    for small in mergeable(parts, sizes, 2):
        rows = sum(part.rows for part in small)
        byte_count = sum(part.arrow_bytes or 0 for part in small)
        made = max(1, -(-rows // sizes.part_rows), -(-byte_count // sizes.part_bytes))
        total += Compacted(merged=len(small), made=made, rows=rows, partitions=1)
    return total


def mergeable(parts: tuple[Part, ...], sizes: Sizes, from_parts: int) -> list[list[Part]]:
    """Lists of parts of which each list can become fewer."""
    small: dict[tuple[str, str | None], list[Part]] = defaultdict(list)
    for part in parts:
        if _is_small(part, sizes):
            small[part.partition, part.snapshot].append(part)
    return [each for each in small.values() if len(each) >= max(2, from_parts)]


def _is_small(part: Part, sizes: Sizes) -> bool:
    """True when two such parts have room in one, so that what was merged is not merged again.

    A part that an older release wrote counts as small by its rows alone, until it is merged once.
    """
    if part.rows * 2 > sizes.part_rows or part.byte_count >= sizes.small_file_bytes:
        return False
    return part.arrow_bytes is None or part.arrow_bytes * 2 <= sizes.part_bytes


def _sets(work: Work, from_parts: int) -> Iterator[list[list[Part]]]:
    """What one publication merges: lists of parts, up to a limit of bytes."""
    plan: list[list[Part]] = []
    byte_count = 0
    for parts in mergeable(work.table.manifest.parts, work.form.sizes, from_parts):
        plan.append(parts)
        byte_count += sum(part.byte_count for part in parts)
        if byte_count >= _SET_BYTES:
            yield plan
            plan, byte_count = [], 0
    if plan:
        yield plan


def _merge(work: Work, publication: Publication, parts: list[Part]) -> Compacted:
    made: list[int] = []
    writer = work.part_writer(
        publication,
        parts[0].partition,
        snapshot=parts[0].snapshot,
        finished=lambda local: made.append(local.rows),
    )
    try:
        for part in parts:
            _copy(work, part, writer)
            publication.remove(part)
        writer.close()
    except BaseException:
        writer.discard()
        raise
    return Compacted(merged=len(parts), made=len(made), rows=sum(made), partitions=1)


def _copy(work: Work, part: Part, writer: PartWriter) -> None:
    with local_copy(work, part) as path, pq.ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups):
            work.check_stop()
            table = file.read_row_group(group, use_threads=False)
            for batch in table.select(work.form.schema.names).to_batches():
                writer.write(batch)
