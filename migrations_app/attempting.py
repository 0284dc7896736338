"""Steps that are taken again and again: what goes wrong in one holds up neither the others nor its next time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")


class QueueAwayError(Exception):
    """What carries tasks is away. A task that was not sent is sent again by whoever looks next."""


def attempt(step: Callable[[], T]) -> T | None:
    """Take a step; None when it failed, which the log tells."""
    try:
        return step()
    except Error as error:
        # It restarts, or another process holds it; the next time tells.
        logger.warning("control database: %s", type(error).__name__, extra={"action": "attempt"})
        connection.close()
    except QueueAwayError as error:
        logger.warning("%s", error, extra={"action": "attempt"})
    except Exception:
        logger.exception("a step failed", extra={"action": "attempt"})
    return None
