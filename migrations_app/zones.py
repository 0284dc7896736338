"""Pages show times in the time zone of the service settings, whatever the browser's or the server's is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from migrations_app.settings_io import schedule_settings


class SettingsZone:
    """Middleware: the pages of the admin, and they alone, are in the settings' time zone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the time zone; one query."""
        if not request.path_info.startswith(reverse("admin:index")):
            return self._get_response(request)
        with timezone.override(zone_named(schedule_settings()[1])):
            return self._get_response(request)


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name; UTC for one that this system does not know, as the settings' page says."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def zone_name(local: datetime) -> str:
    """The zone's own short name, or its distance from UTC where it has none: IST, UTC+05:45."""
    name = local.tzname() or "UTC"
    return f"UTC{local.strftime('%z')[:3]}:{local.strftime('%z')[3:5]}" if name[:1] in "+-" else name


def moments_of(wall_time: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first and the last moment that a time on the clocks of a zone may stand for: two when they are put back.

    A range that begins with the one and ends with the other leaves nothing out.

    Raises:
        OverflowError: Python knows no such moment.
    """
    found = [wall_time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(found), max(found)
