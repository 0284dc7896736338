"""What every spec has in common: schedule, batches, partitions, renames, lags."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from connectors.mapping.base import Contract, Problem, Rule, problem_error, rule
from connectors.mapping.cron import check_cron
from connectors.mapping.enums import Mode, PartitionFormat
from connectors.mapping.fields import (
    ColumnOrFalse,
    ColumnsOrFalse,
    Count,
    Flag,
    Name,
    Zone,
    as_tuple,
    checked,
    expect,
)

SNAPSHOT_COLUMN = "migration_snapshot_date"
"""Column that dumping adds: when the snapshot was taken."""

Span = Annotated[Count, Field(ge=0)]


def _from_timedelta(value: Any) -> Any:
    if not isinstance(value, dt.timedelta):
        return value
    minutes, rest = divmod(value, dt.timedelta(minutes=1))
    if rest:
        message = "expected a whole number of minutes"
        raise problem_error(message)
    parts = {"days": minutes // 1440, "hours": minutes // 60 % 24, "minutes": minutes % 60}
    return {key: part for key, part in parts.items() if part}


class Lag(Contract):
    """A span of time before some moment, in which rows are read again."""

    days: Span = Field(default=0, description="days of the span")
    hours: Span = Field(default=0, description="hours of the span")
    minutes: Span = Field(default=0, description="minutes of the span")

    @property
    def timedelta(self) -> dt.timedelta:
        """The whole span."""
        return dt.timedelta(days=self.days, hours=self.hours, minutes=self.minutes)


@rule("days", "hours")
def _some_expiry(expiry: "Expiry") -> Iterator[Problem]:
    if not expiry.timedelta:
        yield Problem((), "must be longer than nothing; give days, hours or both, or leave expiry out")


class Expiry(Contract):
    """The age at which old snapshots are removed."""

    rules: ClassVar[tuple[Rule, ...]] = (_some_expiry,)

    days: Span = Field(default=0, description="days that a snapshot is kept")
    hours: Span = Field(default=0, description="hours that a snapshot is kept, on top of days")

    @property
    def timedelta(self) -> dt.timedelta:
        """The whole age."""
        return dt.timedelta(days=self.days, hours=self.hours)


LagField = Annotated[Lag, BeforeValidator(_from_timedelta)]
Formats = Annotated[
    PartitionFormat | tuple[PartitionFormat, ...],
    expect("expected 'datetime', 'int' or 'str', or a list with one of them for each partition column"),
]


@rule("partition_col", "partition_col_format")
def _partition_formats_fit(spec: "Spec") -> Iterator[Problem]:
    columns, formats = as_tuple(spec.partition_col), spec.partition_col_format
    if not isinstance(formats, PartitionFormat) and len(formats) != len(columns):
        message = f"lists {len(formats)} formats for {len(columns)} partition columns; give one for all or one each"
        yield Problem(("partition_col_format",), message)


@rule("partition_col")
def _partition_columns_differ(spec: "Spec") -> Iterator[Problem]:
    columns = as_tuple(spec.partition_col)
    if spec.partition_col == ():
        yield Problem(("partition_col",), "lists no column; name one, or write False for no partitions")
    if len(set(columns)) != len(columns):
        yield Problem(("partition_col",), "names the same column twice; list each column once")


@rule("col_rename")
def _renames_differ(spec: "Spec") -> Iterator[Problem]:
    first: dict[str, str] = {}
    for old, new in spec.col_rename.items():
        if new in first:
            message = f"gets the same new name as {first[new]!r}; choose another name for one of them"
            yield Problem(("col_rename", old), message)
        first.setdefault(new, old)


@rule("col_rename", "partition_col")
def _renames_leave_partitions(spec: "Spec") -> Iterator[Problem]:
    yield from rename_clashes(spec, as_tuple(spec.partition_col), "a partition column")


def rename_clashes(spec: "Spec", columns: tuple[str, ...], what: str) -> Iterator[Problem]:
    """Find renames that give a column the name that another, known column keeps."""
    for old, new in spec.col_rename.items():
        if new in columns and old != new and new not in spec.col_rename:
            message = f"takes the name of {what} of this spec; choose another name, or rename that column too"
            yield Problem(("col_rename", old), message)


class Spec(Contract):
    """What tables, collections, topics and APIs have in common."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _partition_formats_fit,
        _partition_columns_differ,
        _renames_differ,
        _renames_leave_partitions,
    )
    noun: ClassVar[str]
    name_key: ClassVar[str]

    cron: Annotated[str, checked(check_cron)] = Field(
        description="self-managed, or eight cron fields: year month day week day_of_week hour minute second"
    )
    batch_size: Annotated[Count, Field(ge=1)] = Field(default=10000, description="rows in a batch")
    partition_col: ColumnsOrFalse = Field(
        default=False, description="column or columns by which the destination is partitioned; False for none"
    )
    partition_col_format: Formats = Field(
        default=PartitionFormat.STR,
        description="datatype of the partition column, or a list with one for each",
    )
    col_rename: dict[Name, Name] = Field(
        default={}, description="new names of columns at the destination, by their name at the source"
    )
    lob_fields_length: dict[Name, Annotated[Count, Field(ge=1)]] = Field(
        default={}, description="length of long text columns at a Redshift destination, by column"
    )
    slack_channel: Name | None = Field(
        default=None, description="Slack channel for this spec's notifications instead of the default one"
    )

    @property
    def name(self) -> str:
        """The name of the thing to copy, as the source spells it."""
        return str(getattr(self, self.name_key))

    @property
    def target(self) -> str:
        """The name of the table at the destination, before any suffix."""
        return self.name

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """The partition columns; empty when the destination is not partitioned."""
        return as_tuple(self.partition_col)

    @property
    def partition_formats(self) -> tuple[PartitionFormat, ...]:
        """The datatype of each partition column."""
        if isinstance(self.partition_col_format, PartitionFormat):
            return (self.partition_col_format,) * len(self.partition_columns)
        return self.partition_col_format


@rule("mode", "bookmark")
def _bookmark_for_updates(spec: "ModedSpec") -> Iterator[Problem]:
    if spec.mode.follows_updates and spec.bookmark is None:
        message = (
            f"is required in {spec.mode} mode, to find changed rows; name the datetime column that every"
            " update sets, or write False to compare all rows on every run"
        )
        yield Problem(("bookmark",), message)


@rule("bookmark", "bookmark_timezone")
def _zone_of_a_bookmark(spec: "ModedSpec") -> Iterator[Problem]:
    if spec.bookmark_timezone is not None and not spec.bookmark:
        yield Problem(("bookmark_timezone",), "has no bookmark to apply to; name the bookmark column, or leave it out")


@rule("mode", "expiry")
def _expiry_of_snapshots(spec: "ModedSpec") -> Iterator[Problem]:
    if spec.expiry is not None and spec.mode is not Mode.DUMPING:
        message = f"removes old snapshots, which {spec.mode} mode does not make; leave it out, or use mode dumping"
        yield Problem(("expiry",), message)


@rule("mode", "col_rename")
def _snapshot_column_is_ours(spec: "ModedSpec") -> Iterator[Problem]:
    for old, new in spec.col_rename.items():
        if spec.mode is Mode.DUMPING and new == SNAPSHOT_COLUMN:
            message = f"takes the name {SNAPSHOT_COLUMN}, which dumping adds itself; choose another name"
            yield Problem(("col_rename", old), message)


@rule("col_rename", "bookmark")
def _renames_leave_the_bookmark(spec: "ModedSpec") -> Iterator[Problem]:
    yield from rename_clashes(spec, as_tuple(spec.bookmark), "the bookmark")


class ModedSpec(Spec):
    """What tables and collections have in common: they have a mode and may have a bookmark."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *Spec.rules,
        _bookmark_for_updates,
        _zone_of_a_bookmark,
        _expiry_of_snapshots,
        _snapshot_column_is_ours,
        _renames_leave_the_bookmark,
    )

    mode: Mode = Field(description="how it is copied: dumping, logging, syncing or mirroring")
    bookmark: ColumnOrFalse | None = Field(
        default=None, description="datetime column that every update sets; False to compare all rows instead"
    )
    bookmark_timezone: Zone | None = Field(
        default=None, description="time zone of a bookmark without one; the source database's when not given"
    )
    improper_bookmarks: Flag = Field(
        default=False, description="whether bookmarks are kept in another format than datetime, such as text"
    )
    expiry: Expiry | None = Field(default=None, description="age at which old snapshots are removed; mode dumping only")
    buffer_updation_lag: LagField | None = Field(
        default=None, description="span before the start of a run of which updates are read a second time"
    )
    grace_updation_lag: LagField | None = Field(
        default=None, description="span before the previous successful run of which updates are read again"
    )

    @property
    def bookmark_column(self) -> str | None:
        """The bookmark column, if there is one."""
        return self.bookmark or None
