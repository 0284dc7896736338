"""Calls in a thread of their own: in order, a few behind, and none after one that failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from connectors.destinations.s3.behind import Behind


@pytest.fixture
def behind() -> Iterator[Behind]:
    behind = Behind("test", 2)
    yield behind
    behind.close()


def test_calls_are_made_in_order_and_all_by_the_end(behind: Behind) -> None:
    made: list[int] = []
    for number in range(50):
        behind.call(lambda number=number: made.append(number))  # type: ignore[misc]
    behind.finish()
    assert made == list(range(50))


def test_no_more_than_a_few_calls_wait(behind: Behind) -> None:
    may_go = threading.Event()
    asked: list[int] = []

    def wait() -> None:
        may_go.wait(20)

    def ask() -> None:
        for number in range(4):
            behind.call(wait)
            asked.append(number)

    asker = threading.Thread(target=ask)
    asker.start()
    asker.join(0.3)
    assert asked == [0, 1, 2]
    may_go.set()
    asker.join()
    assert asked == [0, 1, 2, 3]


def test_an_error_is_raised_at_the_end_at_the_latest_and_no_later_call_is_made(behind: Behind) -> None:
    made: list[str] = []
    behind.call(lambda: made.append("first"))
    behind.call([].pop)
    behind.call(lambda: made.append("later"))
    with pytest.raises(IndexError):
        behind.finish()
    assert made == ["first"]


def test_closing_waits_for_the_call_that_is_being_made_and_drops_the_rest(behind: Behind) -> None:
    begun, may_go = threading.Event(), threading.Event()
    made: list[str] = []

    def slow() -> None:
        begun.set()
        may_go.wait(20)
        made.append("slow")

    behind.call(slow)
    behind.call(lambda: made.append("dropped"))
    assert begun.wait(20)
    closer = threading.Thread(target=behind.close)
    closer.start()
    closer.join(0.2)
    assert closer.is_alive()
    may_go.set()
    closer.join()
    assert made == ["slow"]
