"""Freed memory goes back to the system at once, so that a run's peak is what it holds and not what it once held."""

from __future__ import annotations

import ctypes
import functools
import sys

# Of glibc's malloc.h. From this size on, a block is mapped by itself and unmapped when it is freed. Without it, the C
# library raises the limit with each such block that is freed, and keeps larger and larger ones for each thread.
_M_MMAP_THRESHOLD = -3
_MAPPED_FROM_BYTES = 1024 * 1024


@functools.cache
def return_freed_blocks() -> None:
    """Set it for the process, once."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        # Other C libraries have no such call, and need none.
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
