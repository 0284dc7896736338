"""How far a stream is, in words, from the position that is stored."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import registry
from migrations_app.models import Checkpoint, Stream
from migrations_app.standing.places import moment_in_words, place_of
from tests.controlplane.builders import make_stream

KOLKATA = "Asia/Kolkata"
FOLLOWING = {"mode": "syncing", "key": ["id"], "bookmark": "updated_at", "phase": "follow"}


def words(position: dict[str, Any], source_type: str = "pgsql") -> str:
    return registry.place_in_words(source_type, position, lambda text: moment_in_words(text, KOLKATA))


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (
            FOLLOWING | {"safe_key": "60500", "watermark": "2026-11-28T11:10:05+00:00"},
            "rows with id up to 60,500 and changes by updated_at up to 2026-11-28 16:40 IST",
        ),
        (FOLLOWING | {"watermark": "2026-11-28T11:10:05+00:00"}, "changes by updated_at up to 2026-11-28 16:40 IST"),
        (FOLLOWING | {"bookmark": None}, "everything; each run compares all rows"),
        (
            FOLLOWING | {"key": ["day"], "bookmark": None, "watermark": "2026-11-28 00:00:00+00"},
            "rows up to 2026-11-28 05:30 IST",
        ),
        ({"mode": "logging", "key": ["id"], "phase": "follow", "safe_key": "7"}, "rows with id up to 7"),
        ({"mode": "dumping", "phase": "follow", "snapshot": "2026-11-28T11:10:05"}, "the snapshot of 2026-11-28 11:10"),
        (
            {"mode": "syncing", "key": ["a", "b"], "phase": "copy", "batch": 1200, "cursor": ["x", "5000"]},
            "an unfinished first copy: 1,200 chunks, rows with a and b up to x, 5,000",
        ),
        (
            {"mode": "syncing", "key": ["code"], "phase": "copy", "batch": 2, "cursor": ["0071000"]},
            "an unfinished first copy: 2 chunks, rows with code up to 0071000",
        ),
        ({"mode": "flying"}, "a place that another kind of source, or another version, has stored"),
    ],
)
def test_place_of_a_table_is_said_in_words(position: dict[str, Any], said: str) -> None:
    assert words(position) == said


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (
            {"mode": "syncing", "phase": "follow", "bookmark": "at", "watermark": "2026-11-28T11:10:05Z"},
            "changes by at up to 2026-11-28 16:40 IST",
        ),
        (
            {"mode": "syncing", "after": "5f0c", "batch": 3},
            "an unfinished first copy: 3 chunks, documents with _id up to 5f0c",
        ),
        ({"mode": "dumping", "snapshot": "2026-11-28T11:10:05+00:00"}, "the snapshot of 2026-11-28 16:40 IST"),
    ],
)
def test_place_of_a_collection_is_said_in_words(position: dict[str, Any], said: str) -> None:
    assert words(position, "mongo") == said


def test_place_of_a_source_without_a_connector_is_none_that_can_be_read() -> None:
    assert "no connector" in words({}, "kafka")


@pytest.mark.django_db
def test_stream_has_a_place_from_its_first_commit_on() -> None:
    stream = make_stream()
    assert place_of(stream, KOLKATA) is None
    Checkpoint.objects.create(stream=stream, position=FOLLOWING | {"safe_key": "9"}, epoch=1, rows_total=1234)

    found = place_of(Stream.objects.get(), KOLKATA)

    assert found is not None
    assert (found.words, found.rows) == ("rows with id up to 9", 1234)


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("2026-11-28T11:10:05+00:00", "Mars/Olympus", "2026-11-28 11:10 UTC"),
        ("2026-11-28T11:10:05+00:00", "Asia/Kathmandu", "2026-11-28 16:55 UTC+05:45"),
        ("0001-01-01T00:00:00+00:00", "America/New_York", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_zone_or_moment_without_a_name_stops_no_page(text: str, zone: str, said: str) -> None:
    assert moment_in_words(text, zone) == said
