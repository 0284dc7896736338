"""Columns that are read otherwise than before: which of them make a run read rows again that did not change.

A bookmark does not move when a column is added, renamed, retyped, masked, or dropped and added again. So the position
keeps the form of each column under which the rows were read, until all of them were read under another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg2 import sql

from connectors.base import RunReport
from connectors.mapping import Mode
from connectors.positions import Phase
from connectors.sources.pgsql.position import PgPosition
from connectors.sources.pgsql.reading import Reading
from connectors.sources.pgsql.select import Selected, forms_of


def needs_refill(reading: Reading, position: PgPosition, added_columns: Collection[str]) -> bool:
    """True when older rows may lack values that the columns have now; says so, also where nothing is done about it.

    Args:
        reading: The table.
        position: Where the last commit ended.
        added_columns: Columns that the destination's table did not have before this run, by destination name.
    """
    changed = changed_columns(position, reading.selected, added_columns)
    if not changed:
        return False
    reading.report.altered.update(changed)
    is_sure = position.phase is Phase.COPY or any(name not in added_columns for name in changed)
    # A column that the table did not have is NULL in its rows, and right so when the source has no value either.
    if not is_sure and not _holds_values(reading, changed):
        return False
    words = in_words(changed)
    if reading.spec.mode is Mode.LOGGING:
        reading.report.warn(
            f"rows that are there keep what they hold in columns that changed, as logging does not touch them: {words};"
            " run reset_checkpoint to have the next run read all rows again and put them right"
        )
        return False
    reading.report.warn(f"columns were added or changed, so all rows are compared once: {words}")
    return True


def warn_of_earlier_snapshots(position: PgPosition, selected: tuple[Selected, ...], report: RunReport) -> None:
    """Dumping: say which columns mean something else in this snapshot than in the one before it."""
    if position.mode is not Mode.DUMPING:
        return
    changed = {
        name: form.against(position.forms[name])
        for name, form in forms_of(selected).items()
        if name in position.forms and position.forms[name] != form
    }
    if changed:
        report.altered.update(changed)
        report.warn(
            f"earlier snapshots keep what they hold in columns that changed: {in_words(changed)}; delete the snapshots"
            " that must not stay"
        )


def dropped_columns(position: PgPosition, selected: tuple[Selected, ...]) -> Mapping[str, str]:
    """The columns with which rows were read before and are not read now, by their names at the destination."""
    names = {each.column.name for each in selected}
    return {name: "arrives no more" for name in position.forms if name not in names}


def changed_columns(
    position: PgPosition, selected: tuple[Selected, ...], added_columns: Collection[str] = ()
) -> Mapping[str, str]:
    """What became of each column that is not read as it was, by its name at the destination."""
    changed = {}
    for each in selected:
        name, form = each.column.name, each.form
        was = position.forms.get(name)
        if form is not None and was is not None and was != form:
            changed[name] = form.against(was)
        elif name in added_columns or (was is None and _is_new(position, each)):
            changed[name] = "new"
    return changed


def in_words(changed: Mapping[str, str]) -> str:
    """For people."""
    return ", ".join(f"{name} ({words})" for name, words in changed.items())


def _is_new(position: PgPosition, column: Selected) -> bool:
    """Positions of a time before forms have the names of the source's columns, or nothing: then none counts as new."""
    if position.forms:
        return True
    return bool(position.columns) and column.column.source_name not in position.columns


def _holds_values(reading: Reading, names: Collection[str]) -> bool:
    """True when one of these columns is not NULL in some row of the source."""
    source_names = [each.column.source_name for each in reading.selected if each.column.name in names]
    found = reading.aside.value(
        sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
            reading.table.qualified,
            sql.SQL(" OR ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in source_names if name
            ),
        )
    )
    return bool(found)
