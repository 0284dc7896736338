"""The eight-field cron of the contract, as APScheduler reads it: from year to second."""

from datetime import tzinfo

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.fields import MAX_VALUES, MIN_VALUES

SELF_MANAGED = "self-managed"
FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")

_UNSET = "?"


def check_cron(expression: str) -> str:
    """Check a schedule.

    Raises:
        ValueError: a sentence that names the field that is wrong.
    """
    if expression == SELF_MANAGED:
        return expression
    values = expression.split()
    if len(values) != len(FIELDS):
        message = (
            f"expected '{SELF_MANAGED}' or {len(FIELDS)} fields with spaces between ({' '.join(FIELDS)}),"
            f" such as '* * * * * 7-19 */1 0'; found {len(values)}"
        )
        raise ValueError(message)
    if all(value == _UNSET for value in values):
        message = f"at least one of the fields must be given; write '{SELF_MANAGED}' for a job without a schedule"
        raise ValueError(message)
    for position, (name, value) in enumerate(zip(FIELDS, values, strict=True), start=1):
        if value != _UNSET:
            _check_field(position, name, value)
    return expression


def cron_trigger(expression: str, timezone: tzinfo) -> CronTrigger | None:
    """Build the trigger that computes a schedule's next times.

    Args:
        expression: a schedule that passed check_cron.
        timezone: the zone in which the fields are meant.

    Returns:
        The trigger, or None for `self-managed`, which runs at once and has no schedule.
    """
    if expression == SELF_MANAGED:
        return None
    fields = {name: value for name, value in zip(FIELDS, expression.split(), strict=True) if value != _UNSET}
    return CronTrigger(timezone=timezone, **fields)


def _check_field(position: int, name: str, value: str) -> None:
    try:
        CronTrigger.FIELDS_MAP[name](name, value)
    except ValueError:
        message = (
            f"field {position} of {len(FIELDS)} ({name}) cannot be read; it takes *, */n, a, a-b, a-b/n"
            f" or a list of those, from {MIN_VALUES[name]} to {MAX_VALUES[name]}"
        )
        raise ValueError(message) from None
