"""Ties the life of a process to its parent's: django-q2's own processes would work on, unguarded, without theirs."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: Source: man 2 prctl. Elsewhere than on Linux there is no such thing, and the group is ended by its leader alone.
_PR_SET_PDEATHSIG = 1


def tie_all() -> None:
    """Have every process that is forked from here on, and from those, killed when its parent ends."""
    os.register_at_fork(after_in_child=_tie)


def untie() -> None:
    """Let this process outlive its parent, to end in an orderly way."""
    _prctl(0)


def _tie() -> None:
    _prctl(signal.SIGKILL)


def _prctl(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
