"""The steps of a connection test, one after the other until one fails or time is up."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from connectors import egress
from connectors.errors import ConnectorError
from connectors.verbs import Step
from connectors.waiting import Overdue, within

OK, WARNING, FAILED = "ok", "warning", "failed"
#: The outcome of a step that has begun, for who is told of it then.
RUNNING = "running"

#: Outcome and detail of a step.
Finding = tuple[str, str]

#: Is told of each step when it begins, as RUNNING and without a detail, and when it has ended.
Tell = Callable[[Step], None]

#: A whole test ends within this time, whatever hangs: with what is cleared away then it stays below 30 seconds.
TEST_WITHIN_S = 25.0
_CLEAR_AWAY_WITHIN_S = 3.0


def _leave_it() -> None:
    """Nothing can be done about what hangs; it ends by its own timeouts."""


def tell_nobody(_step: Step) -> None:
    """For who waits for all of the steps."""


def take_steps(
    checks: Mapping[str, Callable[[], Finding]],
    steps: list[Step],
    *,
    leave: Callable[[], None] = _leave_it,
    tell: Tell = tell_nobody,
) -> list[Step]:
    """Do the checks in their order until one fails or TEST_WITHIN_S is up, for all of them together.

    Args:
        checks: By the step's name. Each is done in a thread of its own, which a check that hangs keeps.
        steps: Gets the steps; a check may add some of its own.
        leave: Called when time is up, to end what the check waits for. Must not wait itself.
        tell: Told of the steps while they are taken, in the caller's thread; those that a check has added when it ends.

    Returns:
        The steps, a list that a check which was left behind does not touch any more.
    """
    until = time.monotonic() + TEST_WITHIN_S
    taken = steps
    for name, check in checks.items():
        known = len(taken)
        tell(Step(name, RUNNING, ""))
        try:
            outcome, detail = within(until - time.monotonic(), check)
        except ConnectorError as error:
            outcome, detail = FAILED, error.message
        except Overdue:
            leave()
            outcome, detail = FAILED, _overdue()
            taken = list(steps)
        taken.append(Step(name, outcome, detail))
        for step in taken[known:]:
            tell(step)
        if outcome == FAILED:
            break
    return taken


def _overdue() -> str:
    return (
        f"no answer; the test was given up after {TEST_WITHIN_S:.0f} seconds in this step: look for a firewall that"
        " drops packets, a server that hangs or is overloaded, and locks there, then test again"
    )


def clear_away(work: Callable[[], None]) -> None:
    """Free what a test holds; a server that hangs keeps it only so long."""
    try:
        within(_CLEAR_AWAY_WITHIN_S, work)
    except Overdue:
        return


def resolve(host: str, port: int | None, remedy: str) -> tuple[Finding, list[str]]:
    """Look a host's name up.

    Args:
        host: The name, or an address.
        port: The server's.
        remedy: What to check when nobody knows the name.

    Returns:
        The finding, and the addresses that may be connected to.
    """
    try:
        found = egress.permitted_addresses(host, port)
    except egress.ConnectionForbidden as refusal:
        return (FAILED, str(refusal)), []
    if not found:
        return (FAILED, f"the host name {host} is unknown; {remedy}"), []
    return (OK, f"{host} is {', '.join(sorted(found))}"), found


def connect(host: str, port: int, addresses: Iterable[str], timeout_s: float, remedy: str) -> Finding:
    """Open a connection to one of a host's addresses, and close it.

    Args:
        host: For the words.
        port: The server's.
        addresses: As `resolve` found them.
        timeout_s: For each address.
        remedy: What to check when none answers.
    """
    reason = "refused the connection"
    for address in addresses:
        try:
            socket.create_connection((address, port), timeout=timeout_s).close()
        except OSError as error:
            reason = "did not answer in time" if isinstance(error, TimeoutError) else "refused the connection"
        else:
            return OK, f"port {port} is open"
    return FAILED, f"{host}, port {port}, {reason}; {remedy}"


def together(findings: Sequence[Finding]) -> Finding:
    """One finding for several servers: a cluster works while one of them answers."""
    good = [detail for outcome, detail in findings if outcome == OK]
    bad = [detail for outcome, detail in findings if outcome != OK]
    outcome = FAILED if not good else WARNING if bad else OK
    return outcome, "; ".join([*bad, *good])
