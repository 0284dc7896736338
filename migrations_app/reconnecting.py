"""Connecting anew inside a run: when, how often, and how long to wait before."""

from __future__ import annotations

from connectors.base import Position
from connectors.errors import ConnectorError, Recovery
from connectors.mapping import Mode

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0


class Reconnecting:
    """Counts how often in a row one run was cut off without having come further.

    A run that has not been connected at all ends at once: whoever started it is told, and a worker tries again later.
    A dump is not begun a second time once its snapshot is durable.

    Args:
        limit: How often in a row.
        mode: Of the stream.
    """

    def __init__(self, limit: int, mode: Mode) -> None:
        self._limit = limit
        self._is_dump = mode is Mode.DUMPING
        self._is_open = False
        self._is_dumped = False
        self._position: Position | None = None
        self._in_a_row = 0

    def opened(self, position: Position | None) -> None:
        """Both ends are connected, and the stream stands there."""
        self._is_open = True
        self._position = position

    def committed(self, position: Position) -> bool:
        """Rows are durable; True when the stream has come further than where it was opened."""
        self._is_dumped = self._is_dump
        if position == self._position:
            return False
        self._in_a_row = 0
        return True

    def delay_s(self, error: ConnectorError) -> float | None:
        """Seconds to wait before connecting anew; None when the error ends the run."""
        is_over = not self._is_open or self._is_dumped or self._in_a_row >= self._limit
        if error.recovery is not Recovery.RETRY or is_over:
            return None
        self._in_a_row += 1
        return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * (1 << (self._in_a_row - 1)))
