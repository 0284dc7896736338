"""Where an error came from, told without what anybody said: lines of code and types of errors.

The message of an exception that is not ours can quote a row or an address, so it never gets in. Ours have
messages made to be shown; of `ValueNotRepresentable` even that stays out, for it names the row's key.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import PurePath

from connectors.errors import ConnectorError, ValueNotRepresentable
from migrations_app.masking import mask

_MOST_ERRORS = 6
_MOST_FRAMES = 12
#: Path elements after which a file's name means something to others.
_ROOTS = ("site-packages", "dist-packages")
_OURS = frozenset({"connectors", "migrations_app", "controlplane", "tests"})


def trace_of(error: BaseException) -> str:
    """The chain of errors as text, the first cause at the top, each with the frames that it came through."""
    chain = list(_chain(error))[:_MOST_ERRORS]
    return mask("\n\n".join(_told(each) for each in reversed(chain)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        hidden = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or hidden


def _told(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    left_out = len(frames) - _MOST_FRAMES
    lines = [f"  ({left_out} frames left out)"] if left_out > 0 else []
    for frame, number in frames[-_MOST_FRAMES:]:
        code = frame.f_code
        lines.append(f"  {_shortened(code.co_filename)}:{number} in {code.co_qualname}")
    return "\n".join([*lines, _headline(error)])


def _headline(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, ConnectorError) and not isinstance(error, ValueNotRepresentable):
        return f"{name}: {error}"
    return name


def _shortened(path: str) -> str:
    """The file's name from the package on; what is above it is the business of the installation."""
    parts = PurePath(path).parts
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] in _ROOTS:
            return "/".join(parts[index + 1 :])
        if parts[index] in _OURS:
            return "/".join(parts[index:])
    return "/".join(parts[-2:])
