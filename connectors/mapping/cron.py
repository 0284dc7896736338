"""The eight-field cron of the contract, as APScheduler reads it: from year to second."""

from datetime import tzinfo

from apscheduler.triggers.cron import CronTrigger

from connectors.mapping.cron_mistakes import is_misread, remedy_of, remedy_of_all, takes

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
        raise ValueError(_with(message, _confirmed(remedy_of_all(values))))
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
    if _can_be_read(name, value):
        return
    message = f"field {position} of {len(FIELDS)} ({name}) cannot be read; {takes(name)}"
    raise ValueError(_with(message, remedy_of(name, value)))


def _can_be_read(name: str, value: str) -> bool:
    if is_misread(name, value):
        return False
    try:
        CronTrigger.FIELDS_MAP[name](name, value)
    except ValueError:
        return False
    return True


def _with(message: str, remedy: str) -> str:
    return f"{message}; {remedy}" if remedy else message


def _confirmed(remedy: str) -> str:
    """The remedy, unless it proposes an expression that cannot be read either."""
    proposed = remedy.partition("write it as '")[2].rstrip("'")
    if not proposed:
        return remedy
    fields = zip(FIELDS, proposed.split(), strict=True)
    return remedy if all(_can_be_read(name, value) for name, value in fields) else ""
