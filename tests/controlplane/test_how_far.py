"""How far a first copy or a backfill is, and how long the rest takes: said only where somebody can know it."""

from __future__ import annotations

import pytest

from migrations_app.live import HowFar, how_far


def test_rest_takes_as_long_as_the_rate_says() -> None:
    assert how_far("copy", 1000, 4000, 10.0) == HowFar(25, 300.0)
    assert how_far("copy", 0, 4000, 10.0) == HowFar(0, 400.0)


def test_percent_is_that_of_whole_numbers() -> None:
    assert [how_far("copy", n, 100, None).percent for n in (29, 57, 58)] == [29, 57, 58]


@pytest.mark.parametrize("rate", [None, 0.0, -1.0])
def test_nothing_that_moves_has_no_time_left(rate: float | None) -> None:
    assert how_far("copy", 1000, 4000, rate) == HowFar(25, None)


@pytest.mark.parametrize("done", [4000, 4001, 1_000_000])
def test_estimate_that_is_reached_or_exceeded_promises_nothing(done: int) -> None:
    assert how_far("copy", done, 4000, 10.0) == HowFar(99, None)


def test_last_row_before_the_estimate_still_has_its_time() -> None:
    assert how_far("copy", 3999, 4000, 2.0) == HowFar(99, 0.5)


@pytest.mark.parametrize(("done", "expected"), [(None, 4000), (1000, None), (1000, 0), (0, 0), (1000, -1)])
def test_what_is_not_known_is_not_said(done: int | None, expected: int | None) -> None:
    assert how_far("copy", done, expected, 10.0) == HowFar(None, None)


@pytest.mark.parametrize("phase", ["", "open", "follow", "dump", "delete", "buffer"])
def test_only_a_first_copy_and_a_backfill_are_counted(phase: str) -> None:
    assert how_far(phase, 1000, 4000, 10.0) == HowFar()


def test_backfill_is_counted_whatever_key_it_has_reached() -> None:
    assert how_far("backfill up to key 12", 1000, 4000, 10.0) == HowFar(25, 300.0)
