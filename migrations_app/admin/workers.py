"""Workers in the admin: hosts, their signs of life and slots, and the queue; and the pieces of the home page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from migrations_app.admin import home
from migrations_app.admin.base import ReadOnlyAdmin
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import shown
from migrations_app.models import Heartbeat
from migrations_app.monitoring import workforce
from migrations_app.settings_io import schedule_settings


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    """The service's own processes; starting and draining is done on their hosts."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:  # noqa: ARG002 - Django's signature
        """One page in place of a list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = workforce.look(timezone.now())
        return page(request, "pages/workers.html", "Workers", found=found, is_scheduling=schedule_settings()[0])

    @shown("migrations_app.view_run", on_list=True)
    def now(self, request: HttpRequest) -> HttpResponseBase:
        """The part of the home page that is asked for every few seconds."""
        return self._piece(request, "parts/home_now.html", home.now)

    @shown("migrations_app.view_stream", on_list=True)
    def outlook(self, request: HttpRequest) -> HttpResponseBase:
        """The part of the home page that is asked for every minute."""
        return self._piece(request, "parts/home_outlook.html", home.outlook)

    @shown("migrations_app.view_run", on_list=True)
    def charts(self, request: HttpRequest) -> HttpResponseBase:
        """The charts of the home page; nothing where the page shows these already."""
        if not home.may_see(request):
            raise PermissionDenied
        found = home.charts(request)
        if request.GET.get("seen") == found["history_mark"]:
            return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
        return fragment(request, "parts/home_history.html", **found)

    def _piece(self, request: HttpRequest, template: str, find: Any) -> HttpResponseBase:
        if not home.may_see(request):
            raise PermissionDenied
        return fragment(request, template, is_asked_again=True, **find(request))
