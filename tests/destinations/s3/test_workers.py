"""Threads that talk to the store: how long they are waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from connectors.destinations.s3.errors import Side
from connectors.destinations.s3.workers import Patience, Workers
from connectors.errors import Stopped


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two of them."""
    made = Workers(2, Side("shop_DMS_orders_main"))
    yield made
    made.close()


def test_patience_lasts_while_the_store_answers(workers: Workers) -> None:
    workers.run(lambda: None)
    answered = threading.Event()
    threading.Timer(0.3, answered.set).start()
    assert workers.run(answered.wait, urgent=True, patience=Patience(60.0, began=time.monotonic() - 100))


def test_patience_ends_when_the_store_is_silent(workers: Workers) -> None:
    answered = threading.Event()
    with pytest.raises(Stopped):
        workers.run(answered.wait, urgent=True, patience=Patience(0.2))
    answered.set()
