"""Which run the log lines of this process belong to.

A process executes one run at a time, in several threads: its own, the transfer's, and those of drivers. So this is
one value for the process; a context variable would not reach threads that others start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_current: dict[str, str] = {}


@contextmanager
def belonging_to(*, run_id: str, mapping: str, stream: str) -> Iterator[None]:
    """Everything that is logged until the end belongs to this run."""
    before = dict(_current)
    _current.update(run_id=run_id, mapping=mapping, stream=stream)
    try:
        yield
    finally:
        _current.clear()
        _current.update(before)


def current() -> Mapping[str, str]:
    """Keys of the run that is being executed; empty when there is none."""
    return dict(_current)
