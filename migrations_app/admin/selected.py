"""What is done to several rows of a list at a time: one after the other, each with its sentence and its audit entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from migrations_app import audit
from migrations_app.admin.posting import Refused, one_or_after


def each_of(
    request: HttpRequest, rows: Iterable[Any], action: str, act: Callable[[Any], str], *, reaches_out: bool = False
) -> None:
    """Do it to each row. A refusal stops none of the others, and says what to do.

    Args:
        request: Whose.
        rows: The selected rows that the action is for.
        action: What the audit log calls it.
        act: Does it to one, and says what came of it; may raise Refused.
        reaches_out: As of `posting.Address`: else what is done to a row and its entry are one transaction.
    """
    found = list(rows)
    for row in found:
        try:
            with one_or_after(is_one=not reaches_out):
                said = act(row)
                audit.record(audit.actor_of(request), action, row)
        except Refused as refusal:
            messages.error(request, str(refusal))
            continue
        messages.success(request, said)
    if not found:
        messages.warning(request, f"None of the selected rows is in a state to {action.replace('_', ' ')}.")
