"""The table's columns: what a new table gets, and what must change in one that is there before today's rows fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.arrow.types import arrow_schema
from connectors.base import Stream
from connectors.destinations.s3.errors import CONNECTOR
from connectors.destinations.s3.manifest import Manifest, Part, StoredColumn
from connectors.destinations.s3.partitions import PartitionColumn, Partitioning, check_formats, partitioning_of
from connectors.destinations.s3.publication import Publication
from connectors.destinations.s3.rewriting import local_copy
from connectors.destinations.s3.target import SNAPSHOT_COLUMN
from connectors.destinations.s3.work import Work, side_by_side
from connectors.errors import SchemaMismatch
from connectors.mapping import Mode, PartitionFormat
from connectors.types import StreamSchema

_DECIMAL = re.compile(r"decimal128\((\d+), (-?\d+)\)")
_INSTANT = re.compile(r"timestamp\[us, tz=(.+)\]")
_PARTITIONING = "partitioning"


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What the table is, or is to be.

    Attributes:
        creates: True when there is no part yet.
        columns: Of every part: those that are there, then those that are new.
        key: Destination names of the key's columns; empty for dumps, which hold many snapshots of one row.
        partitioning: As the table is partitioned.
        added: Columns that the parts do not have yet.
        notes: What differs and was left alone.
    """

    creates: bool
    columns: tuple[StoredColumn, ...]
    key: tuple[str, ...]
    partitioning: Partitioning
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Of every part."""
        return pa.schema([pa.field(column.name, type_of(column.arrow)) for column in self.columns])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest keeps of it besides columns and key."""
        return {_PARTITIONING: [[column.name, column.format.value] for column in self.partitioning.columns]}


def plan_table(manifest: Manifest | None, schema: StreamSchema, stream: Stream) -> TablePlan:
    """Decide what must be created or changed. Changes nothing.

    Raises:
        ConfigError: The partition columns do not fit the rows.
        SchemaMismatch: The parts that are there cannot take the rows, and only a person can decide what to do.
    """
    stream = in_held_zone(manifest, stream)
    twins = _twins(schema)
    wanted = _wanted_columns(schema, stream)
    key = () if stream.mode is Mode.DUMPING else schema.key
    partitioning = partitioning_of(stream, schema)
    if manifest is None or not manifest.parts:
        plan = TablePlan(creates=True, columns=wanted, key=key, partitioning=partitioning, notes=tuple(twins))
        check_formats(partitioning, plan.schema, stream)
        return plan
    _check_key(manifest, key, stream)
    held = {column.name: column for column in manifest.columns}
    for column in wanted:
        if column.name in held:
            _check_type(held[column.name], column, stream)
    today = {column.name: column for column in wanted}
    kept = tuple(today.get(column.name, column) for column in manifest.columns)
    added = tuple(column for column in wanted if column.name not in held)
    gone = [column.name for column in manifest.columns if column.name not in today]
    notes = [*twins, *(f"the source has no column {name}: it stays, NULL in new rows" for name in gone)]
    stands = _stored_partitioning(manifest, partitioning)
    if stands != partitioning:
        notes.append(
            f"the table is partitioned by {_in_words(stands)} and the mapping asks for {_in_words(partitioning)}: it is"
            " left as it is; set another `s3_suffix` for a new table"
        )
    _check_partition_columns(stands, today, stream)
    return TablePlan(
        creates=False,
        columns=(*kept, *added),
        key=key,
        partitioning=stands,
        added=tuple(column.name for column in added),
        notes=tuple(notes),
    )


def in_held_zone(manifest: Manifest | None, stream: Stream) -> Stream:
    """The stream with the time zone in which the table's instants were written, whatever the settings say since.

    An instant is the same in any zone. Directories by day are not, and a table must not mix those of two.
    """
    for column in () if manifest is None or not manifest.parts else manifest.columns:
        if found := _INSTANT.fullmatch(column.arrow):
            return replace(stream, timezone=found[1])
    return stream


def add_columns(work: Work, publication: Publication) -> None:
    """Rewrite every part with NULL in the columns that are new, so that all parts have one schema for every reader."""
    jobs: list[Callable[[], int]] = [
        partial(_widened, work, publication, part) for part in work.table.manifest.parts if part.rows
    ]
    side_by_side(jobs)


def type_of(text: str) -> pa.DataType:
    """The Arrow type that has this text."""
    if found := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := _INSTANT.fullmatch(text):
        return pa.timestamp("us", found[1])
    return pa.type_for_alias(text)


def _wanted_columns(schema: StreamSchema, stream: Stream) -> tuple[StoredColumn, ...]:
    types = arrow_schema(schema.columns, stream.timezone)
    return tuple(
        StoredColumn(column.name, str(types.field(number).type), column.pg_type.text, column.source_name)
        for number, column in enumerate(schema.columns)
    )


def _twins(schema: StreamSchema) -> list[str]:
    """Athena, Hive and Spark know no upper case in names, and so read two columns as one."""
    seen: dict[str, str] = {}
    return [
        f"the columns {twin} and {column.name} differ only in upper and lower case, which Athena, Hive and Spark do not"
        " tell apart; rename one with `col_rename`"
        for column in schema.columns
        if (twin := seen.setdefault(column.name.lower(), column.name)) != column.name
    ]


def _check_key(manifest: Manifest, key: tuple[str, ...], stream: Stream) -> None:
    if manifest.key == key:
        return
    message = (
        f"the parts that are there were written with the key ({', '.join(manifest.key) or 'none'}) and the mapping has"
        f" ({', '.join(key) or 'none'}); change `primary_key` or `mode` back, or set another `s3_suffix` for a new copy"
    )
    raise SchemaMismatch(message, connector=CONNECTOR, stream=stream.unique_id)


def _check_type(held: StoredColumn, wanted: StoredColumn, stream: Stream) -> None:
    if held.arrow == wanted.arrow:
        return
    message = (
        f"the column {held.name} is {held.arrow} ({held.pg}) in the parts that are there and arrives as {wanted.arrow}"
        f" ({wanted.pg}) now; set another `s3_suffix` for a new copy, give the column another name with `col_rename`,"
        " or change its type back"
    )
    raise SchemaMismatch(message, connector=CONNECTOR, stream=stream.unique_id)


def _stored_partitioning(manifest: Manifest, wanted: Partitioning) -> Partitioning:
    stored = manifest.facts.get(_PARTITIONING)
    if stored is None:
        return wanted
    columns = tuple(PartitionColumn(name, PartitionFormat(form)) for name, form in stored)
    return Partitioning(columns, wanted.timezone)


def _check_partition_columns(partitioning: Partitioning, today: Mapping[str, StoredColumn], stream: Stream) -> None:
    for column in partitioning.columns:
        if column.name not in today and column.name != SNAPSHOT_COLUMN:
            message = (
                f"the table is partitioned by {column.name}, which the source does not have any more, so no row can be"
                " given its directory; set another `s3_suffix` for a new copy, or bring the column back"
            )
            raise SchemaMismatch(message, connector=CONNECTOR, stream=stream.unique_id)


def _in_words(partitioning: Partitioning) -> str:
    return ", ".join(f"{column.name} ({column.format})" for column in partitioning.columns) or "nothing"


def _widened(work: Work, publication: Publication, part: Part) -> int:
    schema = work.form.schema
    file = work.part_file()
    try:
        with local_copy(work, part) as path, pq.ParquetFile(path) as old:
            for group in range(old.metadata.num_row_groups):
                work.check_stop()
                table = old.read_row_group(group, use_threads=False)
                columns = [
                    table.column(field.name) if field.name in table.schema.names else pa.nulls(len(table), field.type)
                    for field in schema
                ]
                for batch in pa.table(columns, schema=schema).to_batches():
                    file.write(batch)
        work.replace(publication, part, file.close(), gains_moved_rows=False)
    except BaseException:
        file.discard()
        raise
    return part.rows
