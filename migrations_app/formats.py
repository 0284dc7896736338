"""Numbers as people read them: sizes, durations, counts, rates and ages."""

from __future__ import annotations

from connectors.wording import counted as counted

_KILO = 1000
_BRIEF_S = 9.95
_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


def human_bytes(count: float) -> str:
    """Such as 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < _KILO:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KILO
    return f"{count:.1f} TB"


def human_seconds(seconds: float) -> str:
    """Such as 0.4 s, 45 s, 3 min 5 s, 2 h 10 min."""
    if seconds < _BRIEF_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def human_age(seconds: float) -> str:
    """How long ago, or how long until, by the greatest unit alone: 5 s, 12 min, 3 h, 4 days."""
    for unit_s, one, many in ((_DAY_S, "day", "days"), (_HOUR_S, "h", "h"), (60, "min", "min")):
        if seconds >= unit_s:
            count = int(seconds // unit_s)
            return f"{count} {one if count == 1 else many}"
    return f"{int(seconds)} s"


def human_count(count: int) -> str:
    """Such as 1,234,567."""
    return f"{count:,}"


def human_rate(rows_a_second: float) -> str:
    """Such as 12,345 rows/s; with one digit where there are few."""
    return f"{rows_a_second:,.0f} rows/s" if rows_a_second >= 10 else f"{rows_a_second:.1f} rows/s"
