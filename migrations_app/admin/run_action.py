"""What stands between a click on "Run now" and a run."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from connectors.mapping import MappingError
from migrations_app import secrets, starting
from migrations_app.models import Mapping


def may_start(request: HttpRequest, mapping: Mapping) -> bool:
    """Tell whether a mapping can be run at all, and tell the user why not."""
    try:
        starting.check_startable(mapping)
    except MappingError as error:
        for issue in error.issues:
            messages.error(request, f"{mapping.pk}: {issue}")
        return False
    except secrets.SecretUnreadableError as error:
        messages.error(request, f"{mapping.pk}: {error}")
        return False
    return True
