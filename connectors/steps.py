"""The steps of a connection test, one after the other until one fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.errors import ConnectorError
from connectors.verbs import Step

OK, WARNING, FAILED = "ok", "warning", "failed"

#: Outcome and detail of a step.
Finding = tuple[str, str]


def take_steps(checks: Mapping[str, Callable[[], Finding]], steps: list[Step]) -> list[Step]:
    """Do the checks in their order until one fails.

    Args:
        checks: By the step's name.
        steps: Gets the steps; a check may add some of its own.

    Returns:
        The steps.
    """
    for name, check in checks.items():
        try:
            outcome, detail = check()
        except ConnectorError as error:
            outcome, detail = FAILED, error.message
        steps.append(Step(name, outcome, detail))
        if outcome == FAILED:
            break
    return steps
