"""Ranges of a backfill as people write them: told apart from mistakes, and holding all that they name."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connectors.base import Selection
from connectors.mapping import MappingError, TableSpec
from migrations_app.plans import Plan
from migrations_app.verbs.backfill import parse_selection

LINES = TableSpec.model_validate(
    {
        "table_name": "lines",
        "cron": "self-managed",
        "mode": "syncing",
        "primary_key": ["tenant", "year", "code"],
        "primary_key_datatype": ["int", "int", "str"],
        "bookmark": "updated_at",
    }
)
BERLIN = "Europe/Berlin"


def selected(**given: Any) -> Selection:
    plan = cast(Plan, SimpleNamespace(stream=SimpleNamespace(spec=LINES)))
    fields = dict.fromkeys(("from_key", "to_key", "since", "until")) | given
    return parse_selection([plan], timezone=BERLIN, **fields)


@pytest.mark.parametrize("last", ['[1, 9, "a"]', '[2, 1, "zz"]'])
def test_range_of_composite_keys_that_ends_before_it_begins_is_refused(last: str) -> None:
    with pytest.raises(MappingError, match="is below the lowest key of the range"):
        selected(from_key='[2, 2, "b"]', to_key=last)


@pytest.mark.parametrize("last", ['[2, 2, "a"]', '[10, 1, "a"]', '[2, 3, ""]'])
def test_range_of_composite_keys_is_taken_where_only_the_source_knows_the_order(last: str) -> None:
    assert selected(from_key='[2, 2, "b"]', to_key=last).is_by_key


@pytest.mark.parametrize(
    ("written", "since", "until"),
    [
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
        ("2026-07-01T12:00", "2026-07-01T12:00:00+02:00", "2026-07-01T12:00:00+02:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_range_of_times_holds_both_of_an_hour_that_comes_twice(written: str, since: str, until: str) -> None:
    selection = selected(since=written, until=written)
    assert (selection.since, selection.until) == (datetime.fromisoformat(since), datetime.fromisoformat(until))
