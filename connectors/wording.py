"""Words that go with numbers, in sentences for people."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """Such as 1 row, 1,234 rows.

    Args:
        count: How many.
        one: The noun for one of them.
        many: For others, where it is not `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
